//! Cancellation and replay of runs and tasks.

use crate::{
    engine::state::{attempt::AttemptEvent, machine::State, time::ClockReading},
    hatchet::wire::RunId,
};

impl State {
    /// Cancels a run, or a task with all tasks that depend on it, unless it has finished. Running attempts free their
    /// slots immediately, and their workers are requested to stop them.
    pub(crate) fn cancel(&mut self, id: RunId, now: ClockReading) {
        let tasks = self.runs.get(id).map_or_else(|| vec![id], |run| run.tasks.clone());
        // All tasks are cancelled before the consequences, so that their ends do not start the on-failure task.
        for task in tasks {
            self.apply(task, &AttemptEvent::Cancelled, now);
        }
        self.dispatch(now);
    }

    /// Replays a finished run under the same id, or a task with all tasks that depend on it. Does not change a run that
    /// has not finished. Returns whether the run exists.
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
