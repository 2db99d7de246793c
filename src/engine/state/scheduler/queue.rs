//! Queues of tasks that need the same action, the same slots, the same workers and the same units of rate limits.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use crate::{
    engine::state::{placement::Placement, slots::SlotRequirements},
    hatchet::wire::RunId,
};

/// Identifies a fairness group, that is a workflow: its index in the order of first declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId(pub(super) usize);

/// Identifies a resource class by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClassId(pub(super) usize);

/// Identifies a queue by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueueId(pub(super) usize);

/// A position in a queue: high priority first, then first in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueuePosition {
    priority: Reverse<i32>,
    /// Number among all tasks ever queued.
    pub(crate) seq: u64,
}

impl QueuePosition {
    pub(crate) fn new(priority: i32, seq: u64) -> Self {
        Self { priority: Reverse(priority), seq }
    }

    #[cfg(test)]
    pub(in crate::engine::state) fn priority(self) -> i32 {
        self.priority.0
    }
}

/// Units of each rate limit that a task takes, in the order of its rules.
pub(crate) type RateDemands = Arc<[(Arc<str>, i64)]>;

/// Identifies a queue: tasks with equal keys share a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct QueueKey {
    pub(super) group: GroupId,
    pub(super) action: Arc<str>,
    pub(super) class: ClassId,
    pub(super) rates: Option<RateDemands>,
}

/// The requirements of an attempt for its worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ResourceClass {
    pub(crate) requirements: SlotRequirements,
    /// The workers that may run it, and the workers that it prefers; `None` for any worker with the slots.
    pub(crate) placement: Option<Arc<Placement>>,
}

/// Queued tasks of one workflow with the same needs.
#[derive(Debug)]
pub(crate) struct TaskQueue {
    pub(super) key: QueueKey,
    pub(crate) class: ResourceClass,
    /// Whether the queue exists only while it has tasks.
    pub(super) is_temporary: bool,
    /// Whether its tasks wait for units of a rate limit, so that no worker gets them.
    pub(super) is_suspended: bool,
    tasks: BTreeMap<QueuePosition, RunId>,
    /// A paused queue has no head.
    pub(super) is_paused: bool,
}

impl TaskQueue {
    pub(super) fn new(key: QueueKey, class: ResourceClass, is_temporary: bool) -> Self {
        Self { key, class, is_temporary, is_suspended: false, is_paused: false, tasks: BTreeMap::new() }
    }

    /// Units of rate limits that each of its tasks takes.
    pub(crate) fn rates(&self) -> Option<&RateDemands> {
        self.key.rates.as_ref()
    }

    /// Returns the task to assign next; `None` if the queue is empty, suspended or paused.
    pub(crate) fn head(&self) -> Option<RunId> {
        if self.is_suspended || self.is_paused {
            return None;
        }
        self.tasks.first_key_value().map(|(_, task)| *task)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Returns the position of the task that [`head`](Self::head) returns.
    pub(super) fn head_position(&self) -> Option<QueuePosition> {
        if self.is_suspended || self.is_paused {
            return None;
        }
        self.tasks.first_key_value().map(|(position, _)| *position)
    }

    pub(super) fn insert(&mut self, position: QueuePosition, task: RunId) {
        self.tasks.insert(position, task);
    }

    pub(super) fn remove(&mut self, position: QueuePosition) {
        self.tasks.remove(&position);
    }
}
