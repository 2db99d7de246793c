//! Placement: the workers that may run a task, and the workers that it prefers.

use std::{collections::BTreeMap, sync::Arc};

use crate::{engine::persistence::records::Label, hatchet::wire::WorkerId};

/// The binding of the tasks of a run to one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sticky {
    /// They prefer the worker.
    Soft,
    /// They wait for the worker.
    Hard,
}

/// A rule for the choice of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Placement {
    /// Only this worker.
    Only(WorkerId),
    /// This worker if it has a free slot, else any.
    Prefer(WorkerId),
    /// The worker whose labels have the greatest weight, among the workers with all required labels. Sorted by key.
    Labels(Vec<DesiredLabel>),
}

/// A worker label that a task requires or prefers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DesiredLabel {
    pub(crate) key: Arc<str>,
    pub(crate) text: Option<Arc<str>>,
    pub(crate) number: Option<i32>,
    pub(crate) comparator: Comparator,
    /// Whether only workers with the label may run the task.
    pub(crate) required: bool,
    /// Added to the rank of a worker with the label.
    pub(crate) weight: i32,
}

/// The relation of a worker's label to the desired value. Texts can only be equal or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Placement {
    /// Creates the rule of a task: by the worker of the run if the workflow is sticky, else by the desired labels. As
    /// in a real engine, a sticky workflow ignores labels.
    pub(crate) fn new(sticky: Option<Sticky>, worker: Option<WorkerId>, labels: Vec<DesiredLabel>) -> Option<Self> {
        match (sticky, worker) {
            (Some(Sticky::Soft), Some(worker)) => Some(Self::Prefer(worker)),
            (Some(Sticky::Hard), Some(worker)) => Some(Self::Only(worker)),
            (Some(_), None) => None,
            (None, _) => (!labels.is_empty()).then_some(Self::Labels(labels)),
        }
    }

    /// Merges the desired labels of a task and of a run. A label of the run replaces the label of the task with the
    /// same key.
    pub(crate) fn merge(task: &[DesiredLabel], run: &[DesiredLabel]) -> Vec<DesiredLabel> {
        let all = task.iter().chain(run).map(|label| (label.key.clone(), label.clone()));
        all.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// The rank of a worker, greater for a preferred one; `None` for a worker that may not run the task.
    pub(crate) fn rank(&self, worker: WorkerId, labels: &BTreeMap<String, Label>) -> Option<i64> {
        match self {
            Self::Only(only) => (*only == worker).then_some(0),
            Self::Prefer(preferred) => Some(i64::from(*preferred == worker)),
            Self::Labels(desired) => weight(desired, labels),
        }
    }
}

/// The sum of the weights of the desired labels that a worker with these labels has; `None` if it lacks a required one.
pub(crate) fn weight(desired: &[DesiredLabel], labels: &BTreeMap<String, Label>) -> Option<i64> {
    let weight = |desired: &DesiredLabel| match labels.get(&*desired.key) {
        Some(label) if desired.accepts(label) => Some(i64::from(desired.weight)),
        Some(_) | None => (!desired.required).then_some(0),
    };
    desired.iter().map(weight).sum()
}

impl DesiredLabel {
    /// Whether a worker's label has the desired relation to the value, as text or as number.
    fn accepts(&self, label: &Label) -> bool {
        let texts = self.text.as_deref().zip(label.text.as_deref());
        let numbers = label.number.zip(self.number);
        let text = |accepts: fn(&str, &str) -> bool| texts.is_some_and(|(desired, is)| accepts(is, desired));
        let number = |accepts: fn(&i32, &i32) -> bool| numbers.is_some_and(|(is, desired)| accepts(&is, &desired));
        match self.comparator {
            Comparator::Equal => text(|a, b| a == b) || number(i32::eq),
            Comparator::NotEqual => text(|a, b| a != b) || number(i32::ne),
            Comparator::Greater => number(i32::gt),
            Comparator::GreaterOrEqual => number(i32::ge),
            Comparator::Less => number(i32::lt),
            Comparator::LessOrEqual => number(i32::le),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn desired(key: &str, text: Option<&str>, number: Option<i32>, comparator: Comparator) -> DesiredLabel {
        DesiredLabel { key: key.into(), text: text.map(Arc::from), number, comparator, required: true, weight: 7 }
    }

    fn labels(text: Option<&str>, number: Option<i32>) -> BTreeMap<String, Label> {
        [("k".to_owned(), Label { text: text.map(str::to_owned), number })].into()
    }

    #[test]
    fn label_is_compared_as_in_a_real_engine() {
        let id = WorkerId::from(Uuid::from_u128(1));
        let is = |comparator, text, number, labels: &BTreeMap<String, Label>| {
            Placement::Labels(vec![desired("k", text, number, comparator)]).rank(id, labels).is_some()
        };
        use Comparator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let by_number = |comparator| [4, 5, 6].map(|n| is(comparator, None, Some(5), &labels(None, Some(n))));
        assert_eq!(by_number(Equal), [false, true, false]);
        assert_eq!(by_number(NotEqual), [true, false, true]);
        assert_eq!(by_number(Greater), [false, false, true]);
        assert_eq!(by_number(GreaterOrEqual), [false, true, true]);
        assert_eq!(by_number(Less), [true, false, false]);
        assert_eq!(by_number(LessOrEqual), [true, true, false]);
        let by_text = |comparator| ["a", "b", "c"].map(|t| is(comparator, Some("b"), None, &labels(Some(t), None)));
        assert_eq!(by_text(Equal), [false, true, false]);
        assert_eq!(by_text(NotEqual), [true, false, true]);
        assert_eq!(by_text(Greater), [false; 3], "texts have no order");
        assert!(!is(NotEqual, Some("b"), None, &labels(None, Some(5))), "a number is no text");
        assert!(!is(NotEqual, Some("b"), None, &BTreeMap::new()), "a missing label has no relation");
    }

    #[test]
    fn weights_add_up_and_optional_labels_exclude_no_worker() {
        let id = WorkerId::from(Uuid::from_u128(1));
        let optional = DesiredLabel { required: false, ..desired("other", Some("x"), None, Comparator::Equal) };
        let all = vec![desired("k", Some("b"), None, Comparator::Equal), optional.clone()];
        assert_eq!(Placement::Labels(all).rank(id, &labels(Some("b"), None)), Some(7));
        assert_eq!(Placement::Labels(vec![optional]).rank(id, &BTreeMap::new()), Some(0));
    }

    #[test]
    fn label_of_the_run_replaces_label_of_the_task() {
        let (task, run) =
            (desired("k", Some("a"), None, Comparator::Equal), desired("k", None, Some(1), Comparator::Less));
        let other = desired("l", None, Some(2), Comparator::Less);
        assert_eq!(Placement::merge(&[other.clone(), task], std::slice::from_ref(&run)), [run, other]);
    }
}
