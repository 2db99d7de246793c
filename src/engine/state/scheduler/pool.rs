//! A worker pool: workers that serve the same actions, and the queue heads that wait for them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::queue::{ClassId, GroupId, QueueId, QueuePosition};
use crate::{
    engine::state::slots::{Slot, SlotRequirements},
    hatchet::wire::WorkerId,
};

/// Identifies a worker pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PoolId(pub(super) u64);

/// A worker that may get a task. The greatest is the best: the most free units, then the oldest latest assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    free: i64,
    last_assignment: Reverse<u64>,
    pub(crate) worker: WorkerId,
}

/// A worker's free units by slot type, and the sequence number of its latest assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Advertisement {
    free: Vec<(Arc<str>, i64)>,
    last_assignment: u64,
}

/// Workers that serve the same actions.
#[derive(Debug)]
pub(super) struct WorkerPool {
    /// In ascending order, so that equal sets are equal lists.
    pub(super) actions: Arc<[Arc<str>]>,
    /// All workers; `None` for a worker that may not get tasks.
    workers: HashMap<WorkerId, Option<Advertisement>>,
    /// Workers with free units, by slot type.
    by_free_units: HashMap<Arc<str>, BTreeSet<Candidate>>,
    waiting: BTreeMap<ClassId, WaitingGroups>,
}

/// The workflows with a queue head of one resource class.
#[derive(Debug, Default)]
struct WaitingGroups {
    by_turn: BTreeSet<(u64, GroupId)>,
    heads: HashMap<GroupId, BTreeMap<QueuePosition, QueueId>>,
}

impl WorkerPool {
    pub(super) fn new(actions: Arc<[Arc<str>]>, first: WorkerId) -> Self {
        let workers = HashMap::from([(first, None)]);
        Self { actions, workers, by_free_units: HashMap::new(), waiting: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, worker: WorkerId) {
        self.workers.entry(worker).or_default();
    }

    pub(super) fn remove(&mut self, worker: WorkerId) {
        self.replace_advertisement(worker, None);
        self.workers.remove(&worker);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Replaces the head of a queue. Returns whether the queue's group still waits in this class.
    pub(super) fn replace_head(
        &mut self,
        class: ClassId,
        group: GroupId,
        turn: u64,
        (before, after): (Option<QueuePosition>, Option<QueuePosition>),
        queue: QueueId,
    ) -> bool {
        let waiting = self.waiting.entry(class).or_default();
        let heads = waiting.heads.entry(group).or_default();
        if let Some(position) = before {
            heads.remove(&position);
        }
        if let Some(position) = after {
            heads.insert(position, queue);
        }
        if !heads.is_empty() {
            waiting.by_turn.insert((turn, group));
            return true;
        }
        waiting.heads.remove(&group);
        waiting.by_turn.remove(&(turn, group));
        if waiting.by_turn.is_empty() {
            self.waiting.remove(&class);
        }
        false
    }

    pub(super) fn move_turn(&mut self, class: ClassId, group: GroupId, before: u64, after: u64) {
        if let Some(waiting) = self.waiting.get_mut(&class) {
            waiting.by_turn.remove(&(before, group));
            waiting.by_turn.insert((after, group));
        }
    }

    /// The classes and groups with a queue head that waits for this pool.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (ClassId, GroupId)> {
        self.waiting.iter().flat_map(|(class, waiting)| waiting.heads.keys().map(|group| (*class, *group)))
    }

    /// The next queue by turn and position, among the classes that `fit`.
    pub(super) fn next_queue(&self, fit: impl Fn(ClassId) -> bool) -> Option<QueueId> {
        let first = |(class, waiting): (&ClassId, &WaitingGroups)| {
            let (turn, group) = *waiting.by_turn.first()?;
            let (position, queue) = waiting.heads.get(&group)?.first_key_value()?;
            fit(*class).then_some((turn, group, *position, *queue))
        };
        self.waiting.iter().filter_map(first).min().map(|(.., queue)| queue)
    }

    pub(super) fn advertise(&mut self, worker: WorkerId, slots: &[Slot], last_assignment: u64, is_ready: bool) {
        let free = || slots.iter().map(|slot| (slot.kind.clone(), slot.free())).collect();
        self.replace_advertisement(worker, is_ready.then(|| Advertisement { free: free(), last_assignment }));
    }

    fn replace_advertisement(&mut self, worker: WorkerId, new: Option<Advertisement>) {
        let Self { workers, by_free_units, .. } = self;
        let Some(current) = workers.get_mut(&worker) else { return };
        if *current == new {
            return;
        }
        let candidate =
            |free: i64, last_assignment: u64| Candidate { free, last_assignment: Reverse(last_assignment), worker };
        if let Some(Advertisement { free, last_assignment }) = current {
            for (kind, units) in free {
                if let Some(candidates) = by_free_units.get_mut(kind) {
                    candidates.remove(&candidate(*units, *last_assignment));
                }
            }
        }
        if let Some(Advertisement { free, last_assignment }) = &new {
            for (kind, units) in free.iter().filter(|(_, units)| *units > 0) {
                let candidates = by_free_units.entry(kind.clone()).or_default();
                candidates.insert(candidate(*units, *last_assignment));
            }
        }
        *current = new;
    }

    /// The workers with enough free units of the first required slot type, best candidate first.
    pub(super) fn candidates(&self, requirements: &SlotRequirements) -> impl Iterator<Item = Candidate> {
        let first = requirements.first();
        let of_kind = first.and_then(|(kind, _)| self.by_free_units.get(kind));
        let all = of_kind.into_iter().flat_map(|candidates| candidates.iter().rev());
        all.copied().take_while(move |candidate| first.is_some_and(|(_, units)| candidate.free >= *units))
    }
}
