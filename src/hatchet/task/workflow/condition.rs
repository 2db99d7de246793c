//! Conditions on which a task of a workflow waits, is skipped or is cancelled.

use std::time::{Duration, SystemTime};

/// A condition: a time has passed, an event has occurred, or the output of a parent has a property.
///
/// Created by [`sleep`], [`event`] and [`parent_output`](super::parent_output). Passed to
/// [`Handle::wait_for`](super::Handle::wait_for), [`Handle::skip_if`](super::Handle::skip_if) and
/// [`Handle::cancel_if`](super::Handle::cancel_if).
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a condition has an effect only on a task"]
pub struct Condition(ConditionKind);

/// An event as a condition. Created by [`event`].
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a condition has an effect only on a task"]
pub struct Event {
    key: String,
    filter: Option<String>,
    scope: Option<String>,
    since: Option<SystemTime>,
}

/// Alternative conditions: any of them is sufficient. Created by `or`.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a condition has an effect only on a task"]
pub struct OrGroup(Vec<ConditionKind>);

/// The kind of a condition, with the data of the kind.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::hatchet) enum ConditionKind {
    Sleep(Duration),
    Event { key: String, filter: Option<String>, scope: Option<String>, since: Option<SystemTime> },
    ParentOutput { task: String, expression: String },
}

/// The effect of a group of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hatchet) enum Action {
    /// The task starts when the conditions hold.
    Wait,
    /// The task is skipped when the conditions hold.
    Skip,
    /// The task is cancelled when the conditions hold.
    Cancel,
}

/// Returns the condition that this time has passed since the task's parents have finished; 1 ms to 2,562,047 h.
pub fn sleep(duration: Duration) -> Condition {
    Condition(ConditionKind::Sleep(duration))
}

/// Returns the condition that an event of this key was pushed after the task's parents have finished.
pub fn event(key: impl Into<String>) -> Event {
    Event { key: key.into(), filter: None, scope: None, since: None }
}

impl Condition {
    /// The condition of [`parent_output`](super::parent_output).
    pub(super) fn of_output(task: &str, expression: String) -> Self {
        Self(ConditionKind::ParentOutput { task: task.to_owned(), expression })
    }

    /// Adds an alternative: one of both conditions is sufficient.
    pub fn or(self, other: impl Into<OrGroup>) -> OrGroup {
        OrGroup::from(self).or(other)
    }
}

impl Event {
    /// Accepts only events for which the CEL expression is true. It reads the event's payload as `input`. Default:
    /// every event of the key.
    pub fn filter(mut self, expression: impl Into<String>) -> Self {
        self.filter = Some(expression.into());
        self
    }

    /// Accepts only events of this scope. Default: every scope. Engine v0.104.7 and the embedded engine ignore the
    /// scope in a workflow.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Accepts events that were pushed after this time, even before the task's parents have finished. Requires a scope.
    /// Default: only later events. Engine v0.104.7 and the embedded engine ignore the time in a workflow.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.since = Some(time);
        self
    }

    /// Adds an alternative: one of both conditions is sufficient.
    pub fn or(self, other: impl Into<OrGroup>) -> OrGroup {
        OrGroup::from(self).or(other)
    }
}

impl OrGroup {
    /// Adds an alternative: one of the conditions is sufficient.
    pub fn or(mut self, other: impl Into<OrGroup>) -> Self {
        self.0.extend(other.into().0);
        self
    }

    /// Returns the conditions of the group.
    pub(in crate::hatchet) fn conditions(&self) -> &[ConditionKind] {
        &self.0
    }
}

impl From<Condition> for OrGroup {
    fn from(condition: Condition) -> Self {
        Self(vec![condition.0])
    }
}

impl From<Event> for OrGroup {
    fn from(Event { key, filter, scope, since }: Event) -> Self {
        Self(vec![ConditionKind::Event { key, filter, scope, since }])
    }
}
