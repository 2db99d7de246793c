//! Cancelling and replaying, by id or by what runs have in common.

use uuid::Uuid;

use crate::engine::state::{
    ClockReading, State, Timestamp,
    attempt::AttemptEvent,
    model::{Origin, Run},
};
use crate::{
    engine::state::triggers::metadata::PairFilter,
    hatchet::wire::{RunId, RunStatus},
};

/// What runs have in common. What is empty or absent chooses all.
#[derive(Debug, Default)]
pub(crate) struct RunFilter {
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) statuses: Vec<RunStatus>,
    pub(crate) workflows: Vec<Uuid>,
    /// Any of its pairs is enough, unless `all_pairs` says otherwise.
    pub(crate) metadata: PairFilter,
    pub(crate) all_pairs: bool,
    pub(crate) parent: Option<RunId>,
    pub(crate) event: Option<Uuid>,
}

impl State {
    fn fits(&self, run: &Run, by: &RunFilter) -> bool {
        by.since.is_none_or(|at| run.created >= at)
            && by.until.is_none_or(|at| run.created <= at)
            && (by.workflows.is_empty() || by.workflows.contains(&run.version.workflow_id))
            && by.parent.is_none_or(|id| run.parent.as_ref().is_some_and(|p| p.task == id))
            && by.event.is_none_or(|id| matches!(run.origin, Origin::Event { id: of, .. } if of == id))
            && (by.statuses.is_empty() || by.statuses.contains(&self.status(run)))
            && match by.all_pairs {
                true => by.metadata.fits_all(&run.metadata),
                false => by.metadata.fits_any(&run.metadata),
            }
    }

    /// The runs that are chosen, newest first.
    pub(crate) fn select<'a>(&'a self, by: &'a RunFilter) -> impl Iterator<Item = RunId> + 'a {
        self.by_age.values().rev().copied().filter(|id| self.runs.get(id).is_some_and(|run| self.fits(run, by)))
    }

    /// Cancels a run, or one task of it with all that depend on it, if it has not ended. Workers are told, slots are
    /// free at once.
    pub(crate) fn cancel(&mut self, id: RunId, now: ClockReading) {
        // The last first: an on-failure task must not start because others are cancelled.
        for task in self.tasks_of(id).into_iter().rev() {
            self.apply(task, &AttemptEvent::Cancelled, now);
        }
        self.distribute(now);
    }

    /// Runs a finished run again, under the same id, or one task of it with all that depend on it. One that has not
    /// ended is left alone. Answers whether there is such a run.
    pub(crate) fn replay(&mut self, id: RunId, now: ClockReading) -> bool {
        let run_id = self.tasks.get(&id).map_or(id, |t| t.run);
        let Some(run) = self.runs.get(&run_id) else { return false };
        if run.finished.is_none() {
            return true;
        }
        self.reopen(run_id);
        let tasks = self.again_with(id, run_id);
        for task in &tasks {
            self.apply(*task, &AttemptEvent::Replayed, now);
        }
        self.arm(run_id, &tasks, now);
        self.distribute(now);
        true
    }

    /// The tasks that an id stands for: those of a run, or the task itself.
    fn tasks_of(&self, id: RunId) -> Vec<RunId> {
        match self.runs.get(&id) {
            Some(run) => run.tasks.clone(),
            None => vec![id],
        }
    }
}
