//! Dependencies between the tasks of one run: parents before children, the on-failure task after all others.

use super::{Phase, Runs};
use crate::{
    engine::state::{
        attempt::{AttemptEvent, Stage},
        workflows::Version,
    },
    hatchet::wire::{RunId, is_skipped},
};

impl Runs {
    /// The stage of a task of a run, by its index.
    fn stage(&self, tasks: &[RunId], index: usize) -> Option<Stage> {
        Some(self.tasks.get(tasks.get(index)?)?.phase.stage())
    }

    /// Number of tasks that block a task: parents that have not completed, or, for an on-failure task, all other tasks
    /// that have not finished.
    pub(crate) fn blockers(&self, version: &Version, tasks: &[RunId], index: usize) -> usize {
        let Some(definition) = version.definition.tasks.get(index) else { return 0 };
        let stage = |other: usize| self.stage(tasks, other);
        if definition.on_failure {
            (0..index).filter(|other| !stage(*other).is_some_and(Stage::is_final)).count()
        } else {
            definition.parents.iter().filter(|parent| stage(**parent) != Some(Stage::Completed)).count()
        }
    }

    /// The event of a task without blockers. An on-failure task is skipped unless a task failed. Any other task is
    /// skipped if all of its parents were skipped.
    pub(crate) fn release_event(&self, version: &Version, tasks: &[RunId], index: usize) -> AttemptEvent {
        let output = |other: usize| self.tasks.get(tasks.get(other)?)?.phase.output();
        let parents = version.definition.tasks.get(index).map(|task| &task.parents[..]).unwrap_or_default();
        let is_parent_skipped = |parent: &usize| output(*parent).is_some_and(|output| is_skipped(output));
        if !parents.is_empty() && parents.iter().all(is_parent_skipped) {
            return AttemptEvent::Skipped;
        }
        let has_failed = |other: usize| self.stage(tasks, other) == Some(Stage::Failed);
        if version.definition.on_failure() == Some(index) && !(0..index).any(has_failed) {
            AttemptEvent::Skipped
        } else {
            AttemptEvent::Released
        }
    }

    /// Removes one blocker of a waiting task. Returns the task's event if it has no blocker left.
    pub(crate) fn unblock(
        &mut self,
        version: &Version,
        tasks: &[RunId],
        index: usize,
    ) -> Option<(RunId, AttemptEvent)> {
        let id = *tasks.get(index)?;
        let Phase::Waiting(blockers) = &mut self.tasks.get_mut_untracked(&id)?.phase else { return None };
        *blockers = blockers.saturating_sub(1);
        (*blockers == 0).then(|| (id, self.release_event(version, tasks, index)))
    }

    /// The tasks that a replay of `id` restarts. For a run: all. For a task: the task, all that depend on it, all
    /// parents of these that have not completed, and the on-failure task.
    pub(crate) fn tasks_to_replay(&self, id: RunId, run_id: RunId) -> Vec<RunId> {
        let Some(run) = self.runs.get(&run_id) else { return Vec::new() };
        let Some(first) = self.tasks.get(&id).map(|task| task.spec).filter(|_| id != run_id) else {
            return run.tasks.clone();
        };
        let version = &run.version;
        let (mut chosen, mut next) = (vec![false; version.len()], vec![first]);
        while let Some(index) = next.pop() {
            let Some(spec) = version.task(index) else { continue };
            if std::mem::replace(&mut chosen[index], true) {
                continue;
            }
            next.extend(spec.children);
            let not_completed = |parent: &&usize| self.stage(&run.tasks, **parent) != Some(Stage::Completed);
            next.extend(spec.definition.parents.iter().filter(not_completed));
            next.extend(version.definition.on_failure());
        }
        run.tasks.iter().zip(chosen).filter_map(|(task, chosen)| chosen.then_some(*task)).collect()
    }
}
