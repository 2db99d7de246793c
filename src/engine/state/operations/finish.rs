//! The end of runs, and what is forgotten after it.

use crate::engine::state::{
    ClockReading, Effect, State,
    model::{End, Phase, Run},
};
use crate::{
    engine::options::Retention,
    hatchet::wire::{RunId, RunStatus},
};

impl State {
    /// Ends a run if all of its tasks have ended.
    pub(crate) fn settle(&mut self, id: RunId, now: ClockReading) {
        let Some(run) = self.runs.get(&id) else { return };
        if run.open > 0 || run.finished.is_some() {
            return;
        }
        let status = self.status(run);
        let number = run.tasks.iter().filter_map(|task| self.tasks.get(task)).map(|task| task.end).max();
        let end = End { at: now.display, number: number.unwrap_or_default(), until: now.plus(self.keep.age) };
        let claim = self.runs.passing(&id).and_then(|run| {
            run.finished = Some(end);
            run.claim.clone()
        });
        self.runs_ended += 1;
        self.finished.insert(end.number, id);
        self.finished_bytes += self.size_of(id);
        if let Some(key) = claim {
            self.release_claim(&key, id);
        }
        self.effects.push_back(Effect::RunFinished { run: id, status });
    }

    /// The status of a run by those of its tasks: all alike, that one; else running while one is open; then a failure
    /// makes it failed, else a cancelled one cancelled.
    pub(crate) fn status(&self, run: &Run) -> RunStatus {
        let all: Vec<RunStatus> =
            run.tasks.iter().filter_map(|t| self.tasks.get(t)).map(|t| t.phase.status()).collect();
        match all.first() {
            Some(first) if all.iter().all(|status| status == first) => *first,
            Some(_) if run.open > 0 => RunStatus::Running,
            Some(_) if all.contains(&RunStatus::Failed) => RunStatus::Failed,
            Some(_) => RunStatus::Cancelled,
            None => RunStatus::Completed,
        }
    }

    /// About the memory that a run takes: what its tasks hold does not change once it has ended.
    pub(crate) fn size_of(&self, id: RunId) -> usize {
        let Some(run) = self.runs.get(&id) else { return 0 };
        let task = |id: &RunId| self.tasks.get(id).map_or(0, |task| task.phase.size());
        run.input.len() + run.metadata.len() + run.tasks.iter().map(task).sum::<usize>()
    }

    /// Forgets the finished runs that are too many, too large together or too old, the ones that ended first. Age is by
    /// the clock that nobody sets: a leap of the other one must not lose them all. To be called when the effects have
    /// been carried out: they may still speak of those runs.
    pub(crate) fn forget(&mut self, now: ClockReading) {
        while let Some((number, id)) = self.finished.first_key_value().map(|(number, id)| (*number, *id)) {
            let Retention { count, bytes, .. } = self.keep;
            let is_old = |run: &Run| run.finished.is_some_and(|end| end.until <= now.monotonic);
            let is_old = self.runs.get(&id).is_none_or(is_old);
            if self.finished.len() <= count && self.finished_bytes <= bytes && !is_old {
                return;
            }
            self.finished.remove(&number);
            self.finished_bytes = self.finished_bytes.saturating_sub(self.size_of(id));
            let Some(run) = self.runs.remove(&id) else { continue };
            self.by_age.remove(&run.seq);
            self.retire(&run.version);
            self.runs.shrink();
            for task in run.tasks {
                let Some(gone) = self.tasks.remove(&task) else { continue };
                self.logs.forget(task);
                for key in gone.children {
                    self.children.remove(&(task, key));
                }
            }
            self.tasks.shrink();
            self.children.shrink();
        }
    }

    /// Makes a finished run an open one.
    pub(crate) fn reopen(&mut self, id: RunId) {
        if let Some(end) = self.runs.passing(&id).and_then(|run| run.finished.take()) {
            self.finished.remove(&end.number);
            self.finished_bytes = self.finished_bytes.saturating_sub(self.size_of(id));
        }
    }

    /// The error a task ended with, if it did.
    pub(crate) fn error_text(phase: &Phase) -> Option<&str> {
        match phase {
            Phase::Failed(error) => Some(error),
            Phase::Cancelled(_) => Some(""),
            Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) | Phase::Completed(_) => None,
        }
    }
}
