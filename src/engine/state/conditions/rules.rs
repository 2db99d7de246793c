//! The conditions of a task, as its definition declares them.

use std::{sync::Arc, time::Duration};

use crate::engine::state::predicate::Predicate;

/// The conditions of a task. A task without conditions starts when its parents have completed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    pub(crate) parents: Vec<ParentCondition>,
    pub(crate) waits: Vec<WaitCondition>,
}

/// The effect of a condition on its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ConditionAction {
    /// Lets the task start.
    Wait,
    /// Completes the task without running it.
    Skip,
    /// Cancels the task.
    Cancel,
}

/// The action of a condition and its group. A group is met when one of its conditions is met; an action is taken when
/// all of its groups are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    pub(crate) action: ConditionAction,
    /// Number of the group among those of the task.
    pub(crate) group: usize,
}

/// A condition on the output of a parent.
#[derive(Debug, Clone)]
pub(crate) struct ParentCondition {
    pub(crate) rule: Rule,
    /// Index of the parent in the workflow.
    pub(crate) parent: usize,
    /// Evaluated with the parent's `output`.
    pub(crate) predicate: Predicate,
}

/// A condition that is met by time or by an event after the parents have completed.
#[derive(Debug, Clone)]
pub(crate) struct WaitCondition {
    pub(crate) rule: Rule,
    /// The key of the condition's data in the payload of the task.
    pub(crate) data_key: Arc<str>,
    pub(crate) kind: WaitKind,
}

/// The kind of a [`WaitCondition`].
#[derive(Debug, Clone)]
pub(crate) enum WaitKind {
    Sleep {
        duration: Duration,
        /// The declared text, which the payload of the task shows.
        text: Arc<str>,
    },
    Event {
        key: Arc<str>,
        /// Evaluated with the event's payload as `input`.
        predicate: Predicate,
    },
}

impl WaitCondition {
    /// Whether the condition can start the task, so that its data is part of the payload.
    pub(crate) fn starts_task(&self) -> bool {
        self.rule.action == ConditionAction::Wait
    }
}

/// The decision about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A condition is still open.
    Undecided,
    /// The parents permit the start; the sleeps and events decide.
    BeginWaits,
    Start,
    Skip,
    Cancel,
}

/// The end of a parent, for the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParentEnd {
    Open,
    Completed,
    /// Completed without running, or with the output of a skipped task.
    Skipped,
}

impl Conditions {
    /// Decides by the parents, before any sleep or event counts.
    ///
    /// - Skip precedes cancel, and cancel precedes the start, as in a real engine.
    /// - Without a skip condition on a parent, the task is skipped if all of its parents were skipped.
    /// - A parent without a wait condition must complete. One with wait conditions must meet their groups instead.
    /// - A group that also has sleeps or events can be met by these later, so it does not hold up the start of the waits.
    ///
    /// `ends` has an entry for each index in `parents`, and `met` one for each parent condition.
    pub(crate) fn decide_by_parents(&self, parents: &[usize], ends: &[ParentEnd], met: &[bool]) -> Decision {
        let is_met = |index: usize| met.get(index).copied().unwrap_or(false);
        let rules = || self.parents.iter().enumerate().map(|(index, condition)| (condition.rule, is_met(index)));
        let all_skipped = !ends.is_empty() && ends.iter().all(|end| *end == ParentEnd::Skipped);
        match all_groups_met(ConditionAction::Skip, rules()) {
            Some(true) => return Decision::Skip,
            None if all_skipped => return Decision::Skip,
            Some(false) | None => {}
        }
        if all_groups_met(ConditionAction::Cancel, rules()) == Some(true) {
            return Decision::Cancel;
        }
        let has_ended =
            |parent: usize| parents.iter().zip(ends).any(|(index, end)| *index == parent && *end != ParentEnd::Open);
        let waits_for = |parent: usize| {
            self.parents
                .iter()
                .any(|condition| condition.parent == parent && condition.rule.action == ConditionAction::Wait)
        };
        if parents.iter().any(|parent| !waits_for(*parent) && !has_ended(*parent)) {
            return Decision::Undecided;
        }
        for condition in self.parents.iter().filter(|condition| condition.rule.action == ConditionAction::Wait) {
            let can_be_met_later = self.waits.iter().any(|wait| wait.rule == condition.rule);
            if !(group_met(condition.rule, rules()) || can_be_met_later && has_ended(condition.parent)) {
                return Decision::Undecided;
            }
        }
        if self.waits.is_empty() { Decision::Start } else { Decision::BeginWaits }
    }

    /// Decides by the sleeps and events, after the parents have permitted the start. `met_waits` has an entry for each
    /// sleep and event, and `met_parents` one for each parent condition.
    ///
    /// As in a real engine, a task whose sleeps and events can only skip or cancel it does not start.
    pub(crate) fn decide_by_waits(&self, met_waits: &[bool], met_parents: &[bool]) -> Decision {
        let waits = || self.waits.iter().zip(met_waits).map(|(condition, met)| (condition.rule, *met));
        if all_groups_met(ConditionAction::Skip, waits()) == Some(true) {
            return Decision::Skip;
        }
        if all_groups_met(ConditionAction::Cancel, waits()) == Some(true) {
            return Decision::Cancel;
        }
        // A parent may have met a group that has sleeps or events too.
        let parents = || self.parents.iter().zip(met_parents).map(|(condition, met)| (condition.rule, *met));
        match all_groups_met(ConditionAction::Wait, waits().chain(parents())) {
            Some(true) if self.waits.iter().any(|wait| wait.rule.action == ConditionAction::Wait) => Decision::Start,
            Some(_) | None => Decision::Undecided,
        }
    }
}

/// Whether a group has a condition that is met.
fn group_met(group: Rule, mut rules: impl Iterator<Item = (Rule, bool)>) -> bool {
    rules.any(|(rule, met)| rule == group && met)
}

/// Whether all groups of an action are met; `None` if the action has no group.
fn all_groups_met(action: ConditionAction, rules: impl Iterator<Item = (Rule, bool)> + Clone) -> Option<bool> {
    let mut matching = rules.clone().filter(|(rule, _)| rule.action == action).peekable();
    matching.peek()?;
    Some(matching.all(|(rule, met)| met || group_met(rule, rules.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConditionAction::{Cancel, Skip, Wait};
    use ParentEnd::{Completed, Open, Skipped};

    fn conditions(parents: &[(ConditionAction, usize, usize)], waits: &[(ConditionAction, usize)]) -> Conditions {
        let parent = |(action, group, parent): &(ConditionAction, usize, usize)| ParentCondition {
            rule: Rule { action: *action, group: *group },
            parent: *parent,
            predicate: Predicate::compile("").unwrap(),
        };
        let wait = |(action, group): &(ConditionAction, usize)| WaitCondition {
            rule: Rule { action: *action, group: *group },
            data_key: "k".into(),
            kind: WaitKind::Sleep { duration: Duration::from_secs(1), text: "1s".into() },
        };
        Conditions { parents: parents.iter().map(parent).collect(), waits: waits.iter().map(wait).collect() }
    }

    #[test]
    fn parents_decide_by_groups() {
        for (conditions, ends, met, expected) in [
            (conditions(&[], &[]), [Completed, Open], &[][..], Decision::Undecided),
            (conditions(&[], &[]), [Completed, Skipped], &[], Decision::Start),
            (conditions(&[], &[]), [Skipped, Skipped], &[], Decision::Skip),
            (conditions(&[], &[(Wait, 0)]), [Completed, Completed], &[], Decision::BeginWaits),
            (conditions(&[(Skip, 0, 0)], &[]), [Completed, Open], &[true], Decision::Skip),
            (conditions(&[(Skip, 0, 0)], &[]), [Skipped, Skipped], &[false], Decision::Start),
            (conditions(&[(Skip, 0, 0), (Skip, 1, 1)], &[]), [Completed, Open], &[true, false], Decision::Undecided),
            (conditions(&[(Skip, 0, 0), (Skip, 0, 1)], &[]), [Completed, Open], &[true, false], Decision::Skip),
            (conditions(&[(Cancel, 0, 0), (Skip, 1, 0)], &[]), [Completed, Open], &[true, true], Decision::Skip),
            (conditions(&[(Cancel, 0, 0)], &[]), [Completed, Open], &[true], Decision::Cancel),
            (conditions(&[(Wait, 0, 0)], &[]), [Completed, Completed], &[false], Decision::Undecided),
            (conditions(&[(Wait, 0, 0), (Wait, 0, 1)], &[]), [Completed, Open], &[true, false], Decision::Start),
            (conditions(&[(Wait, 0, 0)], &[(Wait, 0)]), [Completed, Completed], &[false], Decision::BeginWaits),
            (conditions(&[(Wait, 0, 0)], &[(Wait, 1)]), [Completed, Completed], &[false], Decision::Undecided),
        ] {
            assert_eq!(conditions.decide_by_parents(&[0, 1], &ends, met), expected, "{conditions:?} {ends:?} {met:?}");
        }
    }

    #[test]
    fn waits_decide_by_groups() {
        for (conditions, waits, parents, expected) in [
            (conditions(&[], &[(Wait, 0), (Wait, 1)]), &[true, false][..], &[][..], Decision::Undecided),
            (conditions(&[], &[(Wait, 0), (Wait, 0)]), &[true, false], &[], Decision::Start),
            (conditions(&[], &[(Wait, 0), (Skip, 1)]), &[false, true], &[], Decision::Skip),
            (conditions(&[], &[(Wait, 0), (Cancel, 1)]), &[true, true], &[], Decision::Cancel),
            (conditions(&[], &[(Skip, 0)]), &[false], &[], Decision::Undecided),
            (conditions(&[(Wait, 0, 0)], &[(Wait, 0)]), &[false], &[true], Decision::Start),
            (conditions(&[(Wait, 0, 0)], &[(Skip, 1)]), &[false], &[true], Decision::Undecided),
        ] {
            assert_eq!(conditions.decide_by_waits(waits, parents), expected, "{conditions:?} {waits:?}");
        }
    }
}
