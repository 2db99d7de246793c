//! Labels of workers, and the labels that a task requires or prefers.

/// The value of a worker's label: a text or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelValue {
    /// A text.
    Text(String),
    /// A number, which [`LabelComparator`] can order.
    Number(i32),
}

/// A worker label that a task requires or prefers.
///
/// ```
/// use hatchet_quickstart::hatchet::task::{DesiredLabel, LabelComparator};
///
/// // Only workers with at least 16 GiB.
/// let memory = DesiredLabel::new("memory-gib", 16).comparator(LabelComparator::GreaterThanOrEqual).required();
/// // Preferably a worker that has the model loaded.
/// let model = DesiredLabel::new("model", "large").weight(10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredLabel {
    pub(in crate::hatchet) key: String,
    pub(in crate::hatchet) value: LabelValue,
    pub(in crate::hatchet) comparator: LabelComparator,
    pub(in crate::hatchet) weight: Option<i32>,
    pub(in crate::hatchet) is_required: bool,
}

/// The relation of a worker's label to the desired value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LabelComparator {
    /// The worker's value equals the desired value. The default.
    #[default]
    Equal,
    /// The worker's value differs from the desired value.
    NotEqual,
    /// The worker's number is greater.
    GreaterThan,
    /// The worker's number is greater or equal.
    GreaterThanOrEqual,
    /// The worker's number is less.
    LessThan,
    /// The worker's number is less or equal.
    LessThanOrEqual,
}

impl DesiredLabel {
    /// Creates a preference for workers whose label of this key has this value.
    pub fn new(key: impl Into<String>, value: impl Into<LabelValue>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            comparator: LabelComparator::default(),
            weight: None,
            is_required: false,
        }
    }

    /// Sets the relation of the worker's value to the desired value. Default [`LabelComparator::Equal`].
    #[must_use]
    pub fn comparator(mut self, comparator: LabelComparator) -> Self {
        self.comparator = comparator;
        self
    }

    /// Sets the weight of the label among the preferences: the engine prefers the worker with the greatest sum. Default
    /// 100.
    #[must_use]
    pub fn weight(mut self, weight: i32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Requires the label: the task waits for a worker that has it. By default the label is a preference.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.is_required = true;
        self
    }
}

impl From<&str> for LabelValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for LabelValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i32> for LabelValue {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for LabelValue {
    /// Converts to the text `true` or `false`.
    fn from(flag: bool) -> Self {
        Self::Text(flag.to_string())
    }
}
