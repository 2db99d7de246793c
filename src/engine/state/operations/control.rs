//! Cancelling and replaying runs and tasks.

use crate::{
    engine::state::{attempt::AttemptEvent, machine::State, runs::RunFilter, time::ClockReading},
    hatchet::wire::RunId,
};

impl State {
    /// The matching runs, newest first.
    pub(crate) fn select<'a>(&'a self, filter: &'a RunFilter) -> impl Iterator<Item = RunId> + 'a {
        self.runs.select(filter)
    }

    /// Cancels a run, or one task with all tasks that depend on it, unless it has ended. Workers are told to stop, and
    /// slots are free at once.
    pub(crate) fn cancel(&mut self, id: RunId, now: ClockReading) {
        let tasks = self.runs.get(id).map_or_else(|| vec![id], |run| run.tasks.clone());
        // In reverse, as an on-failure task must not start because the others are cancelled.
        for task in tasks.into_iter().rev() {
            self.apply(task, &AttemptEvent::Cancelled, now);
        }
        self.dispatch(now);
    }

    /// Replays a finished run under the same id, or one task with all tasks that depend on it. A run that has not
    /// finished does not change. Returns whether the run exists.
    pub(crate) fn replay(&mut self, id: RunId, now: ClockReading) -> bool {
        let Some((run_id, run)) = self.runs.containing(id) else { return false };
        if run.finished.is_none() {
            return true;
        }
        self.runs.reopen(run_id);
        let tasks = self.runs.tasks_to_replay(id, run_id);
        for task in &tasks {
            self.apply(*task, &AttemptEvent::Replayed, now);
        }
        self.release_waiting(run_id, &tasks, now);
        self.dispatch(now);
        true
    }
}
