//! A worker pool: workers that serve the same actions, and the queue heads that wait for them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::queue::{ClassId, GroupId, QueueId, QueuePosition};
use crate::{
    engine::{
        persistence::records::Label,
        state::slots::{Slot, SlotRequirements},
    },
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

/// The labels of a worker by their keys.
pub(crate) type Labels = BTreeMap<String, Label>;

/// A worker's free units by slot type, its labels, and the sequence number of its latest assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Advertisement {
    free: Vec<(Arc<str>, i64)>,
    labels: Arc<Labels>,
    last_assignment: u64,
}

/// Workers with free units, by slot type.
#[derive(Debug, Default)]
struct FreeUnits(HashMap<Arc<str>, BTreeSet<Candidate>>);

/// Workers that serve the same actions.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    /// In ascending order, so that equal sets are equal lists.
    pub(super) actions: Arc<[Arc<str>]>,
    /// All workers; `None` for a worker that may not get tasks.
    workers: HashMap<WorkerId, Option<Advertisement>>,
    /// All workers with free units.
    free: FreeUnits,
    /// The workers with free units by their labels: those with equal labels have the same rank for each task.
    free_by_labels: HashMap<Arc<Labels>, FreeUnits>,
    waiting: BTreeMap<ClassId, WaitingGroups>,
}

/// The workflows with a queue head of one resource class.
#[derive(Debug, Default)]
struct WaitingGroups {
    by_turn: BTreeSet<(u64, GroupId)>,
    heads: HashMap<GroupId, BTreeMap<QueuePosition, QueueId>>,
}

impl FreeUnits {
    fn insert(&mut self, kind: &Arc<str>, candidate: Candidate) {
        self.0.entry(kind.clone()).or_default().insert(candidate);
    }

    fn remove(&mut self, kind: &Arc<str>, candidate: &Candidate) {
        let Some(candidates) = self.0.get_mut(kind) else { return };
        candidates.remove(candidate);
        if candidates.is_empty() {
            self.0.remove(kind);
        }
    }

    /// The workers with enough free units of the first required slot type, best candidate first.
    fn candidates(&self, requirements: &SlotRequirements) -> impl Iterator<Item = Candidate> {
        let first = requirements.first();
        let candidates = first.and_then(|(kind, _)| self.0.get(kind));
        let all = candidates.into_iter().flat_map(|candidates| candidates.iter().rev());
        all.copied().take_while(move |candidate| first.is_some_and(|(_, units)| candidate.free >= *units))
    }
}

impl Advertisement {
    /// The entries of the worker in the sets of free units.
    fn candidates(&self, worker: WorkerId) -> impl Iterator<Item = (&Arc<str>, Candidate)> {
        let last_assignment = Reverse(self.last_assignment);
        let all = self.free.iter().filter(|(_, free)| *free > 0);
        all.map(move |(kind, free)| (kind, Candidate { free: *free, last_assignment, worker }))
    }
}

impl WorkerPool {
    pub(super) fn new(actions: Arc<[Arc<str>]>, first: WorkerId) -> Self {
        let workers = HashMap::from([(first, None)]);
        let (free, free_by_labels) = Default::default();
        Self { actions, workers, free, free_by_labels, waiting: BTreeMap::new() }
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

    /// Replaces a worker's advertisement; that of a worker that is not ready is empty.
    pub(super) fn advertise(
        &mut self,
        worker: WorkerId,
        slots: &[Slot],
        labels: &Labels,
        last_assignment: u64,
        is_ready: bool,
    ) {
        let new = is_ready.then(|| {
            // The labels of a worker change rarely.
            let current = self.workers.get(&worker).and_then(Option::as_ref).map(|current| &current.labels);
            let labels = match current.filter(|current| ***current == *labels) {
                Some(current) => current.clone(),
                None => Arc::new(labels.clone()),
            };
            let free = slots.iter().map(|slot| (slot.kind.clone(), slot.free())).collect();
            Advertisement { free, labels, last_assignment }
        });
        self.replace_advertisement(worker, new);
    }

    fn replace_advertisement(&mut self, worker: WorkerId, new: Option<Advertisement>) {
        let Self { workers, free, free_by_labels, .. } = self;
        let Some(current) = workers.get_mut(&worker) else { return };
        if *current == new {
            return;
        }
        if let Some(old) = current {
            let mut labeled_free = free_by_labels.get_mut(&old.labels);
            for (kind, candidate) in old.candidates(worker) {
                free.remove(kind, &candidate);
                if let Some(labeled_free) = &mut labeled_free {
                    labeled_free.remove(kind, &candidate);
                }
            }
            let is_unused = labeled_free.is_some_and(|labeled_free| labeled_free.0.is_empty());
            if is_unused {
                free_by_labels.remove(&old.labels);
            }
        }
        if let Some(new) = new.as_ref().filter(|new| new.candidates(worker).next().is_some()) {
            let labeled_free = free_by_labels.entry(new.labels.clone()).or_default();
            for (kind, candidate) in new.candidates(worker) {
                free.insert(kind, candidate);
                labeled_free.insert(kind, candidate);
            }
        }
        *current = new;
    }
}

/// Candidates for a task.
impl WorkerPool {
    /// The workers with enough free units of the first required slot type, best candidate first.
    pub(crate) fn candidates(&self, requirements: &SlotRequirements) -> impl Iterator<Item = Candidate> {
        self.free.candidates(requirements)
    }

    /// The same workers in groups of those with equal labels.
    pub(crate) fn candidates_by_labels(
        &self,
        requirements: &SlotRequirements,
    ) -> impl Iterator<Item = (&Labels, impl Iterator<Item = Candidate>)> {
        self.free_by_labels.iter().map(move |(labels, free)| (&**labels, free.candidates(requirements)))
    }

    /// A worker of the pool, if it has enough free units of the first required slot type.
    pub(crate) fn candidate(&self, worker: WorkerId, requirements: &SlotRequirements) -> Option<Candidate> {
        let (kind, units) = requirements.first()?;
        let mut all = self.workers.get(&worker)?.as_ref()?.candidates(worker);
        all.find(|(slot_type, candidate)| *slot_type == kind && candidate.free >= *units)
            .map(|(_, candidate)| candidate)
    }

    /// Number of sets of labels of workers with free units.
    #[cfg(test)]
    pub(in crate::engine::state) fn label_sets(&self) -> usize {
        self.free_by_labels.len()
    }
}
