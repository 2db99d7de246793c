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
//! - A **queue** contains the tasks of one workflow that need the same action, slots and workers. If there is no worker
//!   for the head of a queue, there is no worker for the tasks behind it. Therefore only heads are considered, and a
//!   task without a worker never blocks a task that a worker can run.
//! - A **resource class** is a distinct set of slot requirements and rules for the choice of a worker.
//! - A **temporary queue** contains tasks whose run adds requirements: units of rate limits, the worker of its other
//!   tasks, or labels of the worker. It exists only while it has tasks. While a rate limit has too few units for its
//!   head, a temporary queue is suspended: it has no head until the limit [resumes](Scheduler::resume) it.
//! - A **fairness group** is a workflow. Groups take turns: the group whose latest assignment is the oldest is next,
//!   independent of priorities, which order the tasks within a workflow only.
//! - A **worker pool** is the set of workers that serve the same actions. It has an index of the queue heads that wait
//!   for it, and of its workers by their free slots. A fleet has one pool for each kind of worker.
//!
//! Cost: a change of a queue's head takes O(p log n) for the p pools that serve its action. The search for the next
//! task of a worker, or for a worker of a task, takes O(c + log n) for the c resource classes with waiting tasks. The
//! number n of queued tasks, queues or workers affects both only by its logarithm. A class that desires labels is
//! searched once for each distinct set of labels of the workers with free units, since workers with equal labels have
//! equal ranks.

mod pool;
mod queue;

pub(crate) use self::{
    pool::{Candidate, Labels, PoolId, WorkerPool},
    queue::{QueueId, QueuePosition, RateDemands, ResourceClass, TaskQueue},
};

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use self::queue::{ClassId, GroupId, QueueKey};
use super::{placement::Placement, slots::Slot};
use crate::hatchet::wire::{RunId, WorkerId};

/// A fairness group: a workflow and its turn.
#[derive(Debug, Default)]
struct FairnessGroup {
    /// Sequence number of the group's latest assignment; the smallest is next.
    turn: u64,
    /// The pools and classes with a queue head of the group.
    waiting_in: BTreeSet<(PoolId, ClassId)>,
    /// Whether the queues of the group have no heads, as the workflow is paused.
    is_paused: bool,
}

/// All queues and worker pools.
///
/// Groups, and queues and classes of declared tasks, are never removed. Their number is bounded by the number of
/// declared workflows, actions and distinct requirements. A temporary queue is removed with its last task, its class
/// with the last queue of the class, and a pool with its last worker.
///
/// Invariant: the head of every queue that has one is registered in every pool that serves the queue's action, under
/// the current turn of the queue's group.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    queues: Vec<TaskQueue>,
    queue_ids: HashMap<QueueKey, QueueId>,
    /// Indexes of removed temporary queues in `queues`.
    free_queues: Vec<QueueId>,
    queues_by_action: HashMap<Arc<str>, BTreeSet<QueueId>>,
    groups: Vec<FairnessGroup>,
    group_ids: HashMap<Arc<str>, GroupId>,
    /// Classes with the numbers of their queues.
    classes: Vec<(ResourceClass, usize)>,
    class_ids: HashMap<ResourceClass, ClassId>,
    /// Indexes of removed classes in `classes`.
    free_classes: Vec<ClassId>,
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
    pub(crate) fn queue_for(&mut self, workflow: &Arc<str>, action: &Arc<str>, class: &ResourceClass) -> QueueId {
        let Self { groups, group_ids, .. } = self;
        let group = *group_ids.entry(workflow.clone()).or_insert_with(|| {
            groups.push(FairnessGroup::default());
            GroupId(groups.len() - 1)
        });
        let key = QueueKey { group, action: action.clone(), class: self.class_id(class), rates: None };
        let id = self.queue_of_key(key, class, false);
        // A temporary queue with the same requirements becomes permanent.
        self.queues[id.0].is_temporary = false;
        id
    }

    /// Returns the temporary queue for a task of a declared queue whose run adds these requirements. Creates it if it
    /// is new.
    pub(crate) fn temporary_queue(
        &mut self,
        queue: QueueId,
        placement: Option<Arc<Placement>>,
        rates: Option<RateDemands>,
    ) -> QueueId {
        let TaskQueue { key, class, .. } = &self.queues[queue.0];
        let (group, action) = (key.group, key.action.clone());
        let class = ResourceClass { requirements: class.requirements.clone(), placement };
        let key = QueueKey { group, action, class: self.class_id(&class), rates };
        self.queue_of_key(key, &class, true)
    }

    fn queue_of_key(&mut self, key: QueueKey, class: &ResourceClass, is_temporary: bool) -> QueueId {
        if let Some(known) = self.queue_ids.get(&key) {
            return *known;
        }
        self.classes[key.class.0].1 += 1;
        let mut queue = TaskQueue::new(key.clone(), class.clone(), is_temporary);
        queue.is_paused = self.groups[key.group.0].is_paused;
        let id = match self.free_queues.pop() {
            Some(free) => {
                self.queues[free.0] = queue;
                free
            }
            None => {
                self.queues.push(queue);
                QueueId(self.queues.len() - 1)
            }
        };
        self.queues_by_action.entry(key.action.clone()).or_default().insert(id);
        self.queue_ids.insert(key, id);
        id
    }

    fn class_id(&mut self, class: &ResourceClass) -> ClassId {
        if let Some(known) = self.class_ids.get(class) {
            return *known;
        }
        let id = match self.free_classes.pop() {
            Some(free) => {
                self.classes[free.0] = (class.clone(), 0);
                free
            }
            None => {
                self.classes.push((class.clone(), 0));
                ClassId(self.classes.len() - 1)
            }
        };
        self.class_ids.insert(class.clone(), id);
        id
    }

    /// Removes a temporary queue without tasks, and its class with its last queue.
    fn remove_temporary_queue(&mut self, id: QueueId) {
        let TaskQueue { key, class, .. } = &self.queues[id.0];
        if self.queue_ids.remove(key).is_none() {
            return;
        }
        if let Some(queues) = self.queues_by_action.get_mut(&key.action) {
            queues.remove(&id);
        }
        self.free_queues.push(id);
        let queues = &mut self.classes[key.class.0].1;
        *queues -= 1;
        if *queues == 0 {
            self.class_ids.remove(class);
            self.free_classes.push(key.class);
        }
    }

    /// A queue. The index of a removed temporary queue has an empty queue, or a newer temporary queue.
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

    /// Removes a task, and a temporary queue with its last task. Returns whether the queue was removed.
    pub(crate) fn remove(&mut self, id: QueueId, position: QueuePosition) -> bool {
        self.change(id, |queue| queue.remove(position));
        let queue = &self.queues[id.0];
        let is_unused = queue.is_temporary && queue.is_empty();
        if is_unused {
            self.remove_temporary_queue(id);
        }
        is_unused
    }

    /// Withdraws the tasks of a queue until [`resume`](Self::resume): a rate limit has too few units for the head.
    pub(crate) fn suspend(&mut self, id: QueueId) {
        self.change(id, |queue| queue.is_suspended = true);
    }

    /// Ends a suspension.
    pub(crate) fn resume(&mut self, id: QueueId) {
        self.change(id, |queue| queue.is_suspended = false);
    }

    /// Pauses or resumes the assignment of a workflow's tasks. Returns the queues of the workflow.
    pub(crate) fn set_paused(&mut self, workflow: &str, is_paused: bool) -> Vec<QueueId> {
        let Some(group) = self.group_ids.get(workflow).copied() else { return Vec::new() };
        self.groups[group.0].is_paused = is_paused;
        let queues = (0..self.queues.len()).filter(|index| self.queues[*index].key.group == group).map(QueueId);
        let queues: Vec<QueueId> = queues.collect();
        for id in &queues {
            self.change(*id, |queue| queue.is_paused = is_paused);
        }
        queues
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
        let group = &mut groups[queue.key.group.0];
        for pool_id in pools_by_action.get(&queue.key.action).into_iter().flatten() {
            let Some(pool) = pools.get_mut(pool_id) else { continue };
            if pool.replace_head(queue.key.class, queue.key.group, group.turn, (before, after), id) {
                group.waiting_in.insert((*pool_id, queue.key.class));
            } else {
                group.waiting_in.remove(&(*pool_id, queue.key.class));
            }
        }
    }
}

/// Turns.
impl Scheduler {
    /// Records an assignment: moves the queue's workflow behind all others, in every pool where it waits.
    pub(crate) fn record_assignment(&mut self, queue: QueueId) {
        let id = self.queues[queue.0].key.group;
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
        let group = &mut self.groups[self.queues[queue.0].key.group.0];
        group.turn = group.turn.max(assignment);
    }

    /// Continues the turns after the latest assignment before a restart.
    pub(crate) fn resume_turns(&mut self, last_assignment: u64) {
        self.last_turn = last_assignment;
    }

    /// Number of temporary queues.
    #[cfg(test)]
    pub(super) fn temporary_queues(&self) -> usize {
        self.queue_ids.values().filter(|id| self.queues[id.0].is_temporary).count()
    }

    /// Number of queues that wait for units of a rate limit.
    #[cfg(test)]
    pub(super) fn suspended(&self) -> usize {
        self.queue_ids.values().filter(|id| self.queues[id.0].is_suspended).count()
    }

    #[cfg(test)]
    pub(super) fn turn_of(&self, queue: QueueId) -> u64 {
        self.groups[self.queues[queue.0].key.group.0].turn
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
                let (class, group_id) = (queue.key.class, queue.key.group);
                let group = &mut self.groups[group_id.0];
                pool.replace_head(class, group_id, group.turn, (None, Some(head)), *queue_id);
                group.waiting_in.insert((id, class));
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

    /// Replaces a worker's advertisement of free slots and labels. A worker that is not ready advertises no slots.
    pub(crate) fn advertise(
        &mut self,
        pool: PoolId,
        worker: WorkerId,
        slots: &[Slot],
        labels: &Labels,
        last_assignment: u64,
        is_ready: bool,
    ) {
        if let Some(pool) = self.pools.get_mut(&pool) {
            pool.advertise(worker, slots, labels, last_assignment, is_ready);
        }
    }

    /// The queue with the next task for a pool, among the queues of the classes that `fit`.
    pub(crate) fn next_queue(&self, pool: PoolId, fit: impl Fn(&ResourceClass) -> bool) -> Option<QueueId> {
        self.pools.get(&pool)?.next_queue(|class| fit(&self.classes[class.0].0))
    }

    /// The pools that serve a queue.
    pub(crate) fn pools_of(&self, queue: &TaskQueue) -> impl Iterator<Item = &WorkerPool> {
        let pools = self.pools_by_action.get(&queue.key.action).into_iter().flatten();
        pools.filter_map(|id| self.pools.get(id))
    }
}
