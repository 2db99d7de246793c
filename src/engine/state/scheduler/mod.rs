//! The scheduler: the order in which queued tasks are assigned to workers.
//!
//! ```text
//!  queue: tasks of one workflow,          worker pool: workers that serve
//!  one action, one resource class         the same set of actions
//!  ┌─────────────────────────┐            ┌───────────────────────────────┐
//!  │ priority, then first in │──head────► │ per class: groups by turn,    │
//!  └─────────────────────────┘            │   each with its queue heads   │
//!  (heads are registered in every pool    │ per slot type: workers by     │
//!   that serves the queue's action)       │   free units                  │
//!                                         └───────────────────────────────┘
//! ```
//!
//! - A **queue** contains the tasks of one workflow that need the same action and the same slots. If there is no worker
//!   for the head of a queue, there is no worker for the tasks behind it. Therefore only heads are considered, and a
//!   task without a worker never blocks a task that a worker can run.
//! - A **resource class** is a distinct set of slot requirements.
//! - A **fairness group** is a workflow. Groups take turns: the group with the oldest latest assignment is next,
//!   independent of priorities, which order the tasks within a workflow only.
//! - A **worker pool** is the set of workers that serve the same actions. It has an index of the queue heads that wait
//!   for it, and of its workers by their free slots. A fleet has one pool for each kind of worker.
//!
//! Cost: a change of a queue's head takes O(p log n) for the p pools that serve its action. The search for the next
//! task of a worker, or for a worker of a task, takes O(c + log n) for the c resource classes with waiting tasks. The
//! number n of queued tasks, queues or workers affects both only by its logarithm.

mod pool;
mod queue;

pub(crate) use self::{
    pool::{Candidate, PoolId},
    queue::{QueueId, QueuePosition, TaskQueue},
};

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use self::{
    pool::WorkerPool,
    queue::{ClassId, GroupId},
};
use super::slots::{Slot, SlotRequirements};
use crate::hatchet::wire::{RunId, WorkerId};

/// A fairness group: a workflow and its turn.
#[derive(Debug, Default)]
struct FairnessGroup {
    /// Sequence number of the group's latest assignment; the smallest is next.
    turn: u64,
    /// The pools and classes with a queue head of the group.
    waiting_in: BTreeSet<(PoolId, ClassId)>,
}

/// All queues and worker pools.
///
/// Queues, groups and classes are never removed. Their number is bounded by the number of declared workflows, actions
/// and distinct requirements. A pool is removed with its last worker.
///
/// Invariant: the head of every non-empty queue is registered in every pool that serves the queue's action, under the
/// current turn of the queue's group.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    queues: Vec<TaskQueue>,
    queue_ids: HashMap<(GroupId, Arc<str>, ClassId), QueueId>,
    queues_by_action: HashMap<Arc<str>, Vec<QueueId>>,
    groups: Vec<FairnessGroup>,
    group_ids: HashMap<Arc<str>, GroupId>,
    classes: Vec<SlotRequirements>,
    class_ids: HashMap<SlotRequirements, ClassId>,
    pools: BTreeMap<PoolId, WorkerPool>,
    pool_ids: HashMap<Arc<[Arc<str>]>, PoolId>,
    pools_by_action: HashMap<Arc<str>, BTreeSet<PoolId>>,
    last_pool: u64,
    last_turn: u64,
    last_position: u64,
}

/// Queues: adding tasks and taking them out.
impl Scheduler {
    /// Returns the queue of an action of a workflow with these requirements. Creates it if it is new.
    pub(crate) fn queue_for(
        &mut self,
        workflow: &Arc<str>,
        action: &Arc<str>,
        requirements: &SlotRequirements,
    ) -> QueueId {
        let Self { groups, group_ids, classes, class_ids, .. } = self;
        let group = *group_ids.entry(workflow.clone()).or_insert_with(|| {
            groups.push(FairnessGroup::default());
            GroupId(groups.len() - 1)
        });
        let class = *class_ids.entry(requirements.clone()).or_insert_with(|| {
            classes.push(requirements.clone());
            ClassId(classes.len() - 1)
        });
        if let Some(known) = self.queue_ids.get(&(group, action.clone(), class)) {
            return *known;
        }
        let id = QueueId(self.queues.len());
        self.queues.push(TaskQueue::new(group, action.clone(), class, requirements.clone()));
        self.queue_ids.insert((group, action.clone(), class), id);
        self.queues_by_action.entry(action.clone()).or_default().push(id);
        id
    }

    pub(crate) fn queue(&self, id: QueueId) -> &TaskQueue {
        &self.queues[id.0]
    }

    /// Inserts a task behind all tasks of the same or a higher priority.
    pub(crate) fn push(&mut self, id: QueueId, priority: i32, task: RunId) -> QueuePosition {
        self.last_position += 1;
        let position = QueuePosition::new(priority, self.last_position);
        self.change(id, |queue| queue.insert(position, task));
        position
    }

    /// Inserts a task at the position that it had before a restart.
    pub(crate) fn restore(&mut self, id: QueueId, position: QueuePosition, task: RunId) {
        self.last_position = self.last_position.max(position.seq);
        self.change(id, |queue| queue.insert(position, task));
    }

    pub(crate) fn remove(&mut self, id: QueueId, position: QueuePosition) {
        self.change(id, |queue| queue.remove(position));
    }

    /// Changes a queue, and registers its new head in the pools that serve it.
    fn change(&mut self, id: QueueId, change: impl FnOnce(&mut TaskQueue)) {
        let Self { queues, groups, pools_by_action, pools, .. } = self;
        let queue = &mut queues[id.0];
        let before = queue.head_position();
        change(queue);
        let after = queue.head_position();
        if before == after {
            return;
        }
        let group = &mut groups[queue.group.0];
        for pool_id in pools_by_action.get(&queue.action).into_iter().flatten() {
            let Some(pool) = pools.get_mut(pool_id) else { continue };
            if pool.replace_head(queue.class, queue.group, group.turn, (before, after), id) {
                group.waiting_in.insert((*pool_id, queue.class));
            } else {
                group.waiting_in.remove(&(*pool_id, queue.class));
            }
        }
    }
}

/// Turns.
impl Scheduler {
    /// Records an assignment: moves the queue's workflow behind all others, in every pool where it waits.
    pub(crate) fn record_assignment(&mut self, queue: QueueId) {
        let id = self.queues[queue.0].group;
        self.last_turn += 1;
        let group = &mut self.groups[id.0];
        let before = std::mem::replace(&mut group.turn, self.last_turn);
        for (pool, class) in &group.waiting_in {
            if let Some(pool) = self.pools.get_mut(pool) {
                pool.move_turn(*class, id, before, self.last_turn);
            }
        }
    }

    /// Restores the turn of a queue's workflow from one of its assignments. The queue must be empty.
    pub(crate) fn restore_turn(&mut self, queue: QueueId, assignment: u64) {
        let group = &mut self.groups[self.queues[queue.0].group.0];
        group.turn = group.turn.max(assignment);
    }

    /// Continues the turns after the latest assignment before a restart.
    pub(crate) fn resume_turns(&mut self, last_assignment: u64) {
        self.last_turn = last_assignment;
    }

    #[cfg(test)]
    pub(super) fn turn_of(&self, queue: QueueId) -> u64 {
        self.groups[self.queues[queue.0].group.0].turn
    }
}

/// Worker pools.
impl Scheduler {
    /// Adds a worker to the pool of its actions, which must be sorted. The worker gets no task before the first
    /// [advertisement](Self::advertise) of its slots.
    pub(crate) fn add_worker(&mut self, actions: &[Arc<str>], worker: WorkerId) -> PoolId {
        if let Some(id) = self.pool_ids.get(actions) {
            if let Some(pool) = self.pools.get_mut(id) {
                pool.add(worker);
            }
            return *id;
        }
        self.last_pool += 1;
        let id = PoolId(self.last_pool);
        let actions: Arc<[Arc<str>]> = actions.into();
        let mut pool = WorkerPool::new(actions.clone(), worker);
        for action in actions.iter() {
            self.pools_by_action.entry(action.clone()).or_default().insert(id);
            for queue_id in self.queues_by_action.get(action).into_iter().flatten() {
                let queue = &self.queues[queue_id.0];
                let Some(head) = queue.head_position() else { continue };
                let group = &mut self.groups[queue.group.0];
                pool.replace_head(queue.class, queue.group, group.turn, (None, Some(head)), *queue_id);
                group.waiting_in.insert((id, queue.class));
            }
        }
        self.pool_ids.insert(actions, id);
        self.pools.insert(id, pool);
        id
    }

    /// Removes a worker from its pool, and the pool with its last worker.
    pub(crate) fn remove_worker(&mut self, id: PoolId, worker: WorkerId) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        pool.remove(worker);
        if !pool.is_empty() {
            return;
        }
        let Some(pool) = self.pools.remove(&id) else { return };
        for (class, group) in pool.waiting() {
            self.groups[group.0].waiting_in.remove(&(id, class));
        }
        self.pool_ids.remove(&pool.actions);
        for action in pool.actions.iter() {
            if let Some(pools) = self.pools_by_action.get_mut(action) {
                pools.remove(&id);
                if pools.is_empty() {
                    self.pools_by_action.remove(action);
                }
            }
        }
    }

    /// Replaces a worker's advertisement of free slots. A worker that is not ready advertises no slots.
    pub(crate) fn advertise(
        &mut self,
        pool: PoolId,
        worker: WorkerId,
        slots: &[Slot],
        last_assignment: u64,
        is_ready: bool,
    ) {
        if let Some(pool) = self.pools.get_mut(&pool) {
            pool.advertise(worker, slots, last_assignment, is_ready);
        }
    }

    /// The queue with the next task for a pool, among those whose requirements `fit`.
    pub(crate) fn next_queue(&self, pool: PoolId, fit: impl Fn(&SlotRequirements) -> bool) -> Option<QueueId> {
        self.pools.get(&pool)?.next_queue(|class| fit(&self.classes[class.0]))
    }

    /// Returns, for each pool that serves a queue, its workers with enough free units of the first required slot type,
    /// best candidate first.
    pub(crate) fn candidates(&self, queue: &TaskQueue) -> impl Iterator<Item = impl Iterator<Item = Candidate>> {
        let pools = self.pools_by_action.get(&queue.action).into_iter().flatten();
        pools.filter_map(|id| self.pools.get(id)).map(|pool| pool.candidates(&queue.requirements))
    }
}
