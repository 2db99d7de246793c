//! Queues of tasks that need the same action and the same slots.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use crate::{engine::state::slots::SlotRequirements, hatchet::wire::RunId};

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

/// Queued tasks of one workflow with the same action and requirements.
#[derive(Debug)]
pub(crate) struct TaskQueue {
    pub(super) group: GroupId,
    pub(super) class: ClassId,
    pub(super) action: Arc<str>,
    pub(crate) requirements: SlotRequirements,
    tasks: BTreeMap<QueuePosition, RunId>,
    /// A paused queue has no head.
    pub(super) is_paused: bool,
}

impl TaskQueue {
    pub(super) fn new(group: GroupId, action: Arc<str>, class: ClassId, requirements: SlotRequirements) -> Self {
        Self { group, class, action, requirements, tasks: BTreeMap::new(), is_paused: false }
    }

    /// The task to assign next.
    pub(crate) fn head(&self) -> Option<RunId> {
        self.tasks.first_key_value().filter(|_| !self.is_paused).map(|(_, task)| *task)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn head_position(&self) -> Option<QueuePosition> {
        self.tasks.first_key_value().filter(|_| !self.is_paused).map(|(position, _)| *position)
    }

    pub(super) fn insert(&mut self, position: QueuePosition, task: RunId) {
        self.tasks.insert(position, task);
    }

    pub(super) fn remove(&mut self, position: QueuePosition) {
        self.tasks.remove(&position);
    }
}
