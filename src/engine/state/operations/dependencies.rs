//! What the tasks of one run are to each other: parents before children, the on-failure task after all.

use crate::engine::state::{
    ClockReading, State,
    attempt::{AttemptEvent, Stage},
    model::{Phase, Version},
};
use crate::hatchet::wire::RunId;

impl State {
    /// How a task of a run stands.
    fn stage_of(&self, tasks: &[RunId], spec: usize) -> Option<Stage> {
        Some(self.tasks.get(tasks.get(spec)?)?.phase.stage())
    }

    /// Lets tasks that have just been made, or made anew, wait for what they need. What needs nothing goes on at once.
    pub(crate) fn arm(&mut self, run: RunId, tasks: &[RunId], now: ClockReading) {
        let Some(run) = self.runs.get(&run) else { return };
        if let [only] = run.tasks[..] {
            return self.apply(only, &AttemptEvent::Released, now);
        }
        let (version, all) = (run.version.clone(), run.tasks.clone());
        let mut released = Vec::new();
        for id in tasks {
            let Some(at) = self.tasks.get(id).map(|task| task.spec) else { continue };
            let wait = self.waits_for(&version, &all, at);
            if let Some(task) = self.tasks.get_mut(id) {
                task.phase = Phase::Waiting(wait);
            }
            if wait == 0 {
                released.push((*id, at));
            }
        }
        for (id, at) in released {
            let event = self.release(&version, &all, at);
            self.apply(id, &event, now);
        }
    }

    pub(crate) fn waits_for(&self, version: &Version, tasks: &[RunId], at: usize) -> usize {
        let Some(spec) = version.tasks.get(at) else { return 0 };
        let stage = |other: usize| self.stage_of(tasks, other);
        if spec.on_failure {
            (0..at).filter(|other| !stage(*other).is_some_and(Stage::is_final)).count()
        } else {
            spec.parents.iter().filter(|parent| stage(**parent) != Some(Stage::Completed)).count()
        }
    }

    /// What becomes of a task when it waits for nothing any more.
    fn release(&self, version: &Version, tasks: &[RunId], at: usize) -> AttemptEvent {
        let failed = |other: usize| self.stage_of(tasks, other) == Some(Stage::Failed);
        if version.on_failure() == Some(at) && !(0..at).any(failed) {
            AttemptEvent::Skipped
        } else {
            AttemptEvent::Released
        }
    }

    /// A task has ended: its children, the on-failure task and the run see what that means for them.
    pub(crate) fn follow(&mut self, id: RunId, now: ClockReading) {
        let Some(task) = self.tasks.get(&id) else { return };
        let (run_id, at, completed) = (task.run, task.spec, task.phase.stage() == Stage::Completed);
        let Some(run) = self.runs.get(&run_id) else { return };
        if run.tasks.len() > 1 {
            let (version, tasks) = (run.version.clone(), run.tasks.clone());
            for child in version.tasks.get(at).iter().flat_map(|spec| spec.children.iter()) {
                if completed {
                    self.count_down(&version, &tasks, *child, now);
                } else if let Some(child) = tasks.get(*child) {
                    self.apply(*child, &AttemptEvent::ParentLost, now);
                }
            }
            if let Some(last) = version.on_failure().filter(|last| *last != at) {
                self.count_down(&version, &tasks, last, now);
            }
        }
        self.settle(run_id, now);
    }

    fn count_down(&mut self, version: &Version, tasks: &[RunId], at: usize, now: ClockReading) {
        let Some(id) = tasks.get(at) else { return };
        let Some(Phase::Waiting(wait)) = self.tasks.passing(id).map(|task| &mut task.phase) else { return };
        *wait = wait.saturating_sub(1);
        if *wait == 0 {
            let event = self.release(version, tasks, at);
            self.apply(*id, &event, now);
        }
    }

    /// Which tasks are run again with one of them: what depends on it, and what those need and has not completed. All
    /// of them with the run's own id.
    pub(crate) fn again_with(&self, id: RunId, run_id: RunId) -> Vec<RunId> {
        let Some(run) = self.runs.get(&run_id) else { return Vec::new() };
        let version = &run.version;
        let Some(first) = self.tasks.get(&id).map(|task| task.spec).filter(|_| id != run_id) else {
            return run.tasks.clone();
        };
        let (mut chosen, mut open) = (vec![false; version.tasks.len()], vec![first]);
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut chosen[at], true) {
                continue;
            }
            let spec = &version.tasks[at];
            open.extend(&spec.children);
            let lost = |parent: &&usize| self.stage_of(&run.tasks, **parent) != Some(Stage::Completed);
            open.extend(spec.parents.iter().filter(lost));
            open.extend(version.on_failure());
        }
        run.tasks.iter().zip(chosen).filter_map(|(task, chosen)| chosen.then_some(*task)).collect()
    }
}
