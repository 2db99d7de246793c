//! Limits of runs per time window.

/// A limit of units per time window, of which each attempt of a task takes some. An attempt waits in the queue until
/// the window has enough units.
///
/// ```
/// use hatchet_quickstart::hatchet::task::{RateLimit, Window};
///
/// // A key whose limit is set by `Client::put_rate_limit`. An attempt takes one unit.
/// let api = RateLimit::of("warehouse-api");
/// // A key for each user, with 10 units a minute.
/// let user = RateLimit::per("input.user", 10, Window::Minute);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    pub(in crate::hatchet) key: RateLimitKey,
    pub(in crate::hatchet) units: RateLimitValue,
}

/// The key of a rate limit: fixed, or computed for each run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateLimitKey {
    /// A fixed key, whose limit is set separately.
    Static(String),
    /// A CEL expression whose result is the key, with the limit of each key.
    Dynamic {
        /// The expression over `input` and `additional_metadata`; its result is a string.
        expression: String,
        /// Units of each window.
        limit: RateLimitValue,
        /// Length of the window.
        window: Window,
    },
}

/// A number, fixed or computed for each run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateLimitValue {
    /// A fixed number.
    Fixed(u32),
    /// A CEL expression over `input` and `additional_metadata` whose result is the number.
    Expression(String),
}

/// The length of a window of a rate limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Window {
    /// One second.
    Second,
    /// One minute. The default of the official SDKs.
    #[default]
    Minute,
    /// One hour.
    Hour,
    /// One day.
    Day,
    /// One week.
    Week,
    /// One month.
    Month,
    /// One year.
    Year,
}

impl Window {
    /// Returns the number in the protocol, which is the same in both of its generations.
    pub(in crate::hatchet) fn number(self) -> i32 {
        match self {
            Self::Second => 0,
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
            Self::Week => 4,
            Self::Month => 5,
            Self::Year => 6,
        }
    }
}

impl RateLimit {
    /// Creates a limit with a fixed key. An attempt takes one unit. The limit of the key must exist in the engine
    /// before a worker registers the task: set it by `Client::put_rate_limit`.
    pub fn of(key: impl Into<String>) -> Self {
        Self { key: RateLimitKey::Static(key.into()), units: RateLimitValue::Fixed(1) }
    }

    /// Creates a limit with a key for each value of the CEL expression, such as `input.user`. An attempt takes one unit
    /// of the `limit` units of each window.
    pub fn per(expression: impl Into<String>, limit: impl Into<RateLimitValue>, window: Window) -> Self {
        let (expression, limit) = (expression.into(), limit.into());
        Self { key: RateLimitKey::Dynamic { expression, limit, window }, units: RateLimitValue::Fixed(1) }
    }

    /// Returns the key of a rule without expressions. An engine refuses a task with such a rule if the rate limit does
    /// not exist.
    pub(in crate::hatchet) fn fixed_key(&self) -> Option<&str> {
        match self.unique_key() {
            (false, key) => Some(key),
            (true, _) => None,
        }
    }

    /// The part that must be unique in a task: whether the rule has an expression, and the key or its expression.
    /// Engines store rules with and without expressions separately.
    pub(in crate::hatchet) fn unique_key(&self) -> (bool, &str) {
        match (&self.key, &self.units) {
            (RateLimitKey::Static(key), RateLimitValue::Fixed(_)) => (false, key),
            (RateLimitKey::Static(key), RateLimitValue::Expression(_)) => (true, key),
            (RateLimitKey::Dynamic { expression, .. }, _) => (true, expression),
        }
    }

    /// Sets the units that an attempt takes: a number, or a CEL expression such as `input.pages`. Default 1.
    #[must_use]
    pub fn units(mut self, units: impl Into<RateLimitValue>) -> Self {
        self.units = units.into();
        self
    }
}

impl From<u32> for RateLimitValue {
    fn from(number: u32) -> Self {
        Self::Fixed(number)
    }
}

impl From<&str> for RateLimitValue {
    fn from(expression: &str) -> Self {
        Self::Expression(expression.to_owned())
    }
}

impl From<String> for RateLimitValue {
    fn from(expression: String) -> Self {
        Self::Expression(expression)
    }
}
