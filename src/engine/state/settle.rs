//! The end of runs, and what is forgotten after it.

use super::{
    Effect, Moment, State,
    model::{Origin, Phase, Run},
};
use crate::hatchet::wire::{RunId, RunStatus};

impl State {
    /// Ends a run if all of its tasks have ended.
    pub(super) fn settle(&mut self, id: RunId, now: Moment) {
        let Some(run) = self.runs.get(&id) else { return };
        if run.open > 0 || run.finished.is_some() {
            return;
        }
        let status = self.status(run);
        self.ends += 1;
        let claim = self.runs.passing(&id).and_then(|run| {
            run.finished = Some((now, self.ends));
            run.claim.clone()
        });
        self.finished.insert(self.ends, id);
        if let Some(key) = claim {
            self.release_claim(&key, id);
        }
        self.effects.push_back(Effect::Settled { run: id, status });
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

    /// Forgets the finished runs that are too many, the ones that ended first. To be called when the effects have
    /// been carried out: they may still speak of those runs.
    pub(crate) fn forget(&mut self) {
        while self.finished.len() > self.keep_finished {
            let Some((_, id)) = self.finished.pop_first() else { return };
            let Some(run) = self.runs.remove(&id) else { continue };
            self.by_age.remove(&run.seq);
            if let Origin::Schedule(id) = run.origin {
                self.schedules.remove(&id);
            }
            self.retire(&run.version);
            for task in run.tasks {
                let Some(gone) = self.tasks.remove(&task) else { continue };
                self.logs.forget(task);
                for key in gone.children {
                    self.children.remove(&(task, key));
                }
            }
        }
    }

    /// Makes a finished run an open one.
    pub(super) fn reopen(&mut self, id: RunId) {
        if let Some((_, end)) = self.runs.passing(&id).and_then(|run| run.finished.take()) {
            self.finished.remove(&end);
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
