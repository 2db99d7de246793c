//! Releases tasks, finishes runs and removes finished runs.

use crate::{
    engine::state::{
        attempt::{AttemptEvent, Stage},
        effect::Effect,
        machine::State,
        runs::Phase,
        time::ClockReading,
    },
    hatchet::wire::RunId,
};

impl State {
    /// Counts the blockers of tasks that were just created or restarted, and releases those without blockers.
    pub(super) fn release_waiting(&mut self, run: RunId, tasks: &[RunId], now: ClockReading) {
        let Some(run) = self.runs.get(run) else { return };
        if let [only] = run.tasks[..] {
            return self.apply(only, &AttemptEvent::Released, now);
        }
        let (version, all) = (run.version.clone(), run.tasks.clone());
        let mut released = Vec::new();
        for id in tasks {
            let Some(index) = self.runs.task(*id).map(|task| task.spec) else { continue };
            let blockers = self.runs.blockers(&version, &all, index);
            if let Some(task) = self.runs.task_mut(*id) {
                task.phase = Phase::Waiting(blockers);
            }
            if blockers == 0 {
                released.push((*id, index));
            }
        }
        for (id, index) in released {
            let event = self.runs.release_event(&version, &all, index);
            self.apply(id, &event, now);
        }
    }

    /// Applies the end of a task to its children, to the on-failure task and to the run.
    pub(super) fn task_finished(&mut self, id: RunId, now: ClockReading) {
        let Some(task) = self.runs.task(id) else { return };
        let (run_id, index, is_completed) = (task.run, task.spec, task.phase.stage() == Stage::Completed);
        let Some(run) = self.runs.get(run_id) else { return };
        if run.tasks.len() > 1 {
            let (version, tasks) = (run.version.clone(), run.tasks.clone());
            for child in version.task(index).iter().flat_map(|spec| spec.children) {
                if !is_completed {
                    self.apply(tasks[*child], &AttemptEvent::ParentLost, now);
                } else if let Some((child, event)) = self.runs.unblock(&version, &tasks, *child) {
                    self.apply(child, &event, now);
                }
            }
            let on_failure = version.definition.on_failure().filter(|on_failure| *on_failure != index);
            if let Some((task, event)) = on_failure.and_then(|last| self.runs.unblock(&version, &tasks, last)) {
                self.apply(task, &event, now);
            }
        }
        self.leave_run_groups(run_id);
        self.finish_run(run_id, now);
    }

    /// Finishes a run if all of its tasks have finished.
    fn finish_run(&mut self, id: RunId, now: ClockReading) {
        if !self.runs.finish(id, &self.retention, now) {
            return;
        }
        let Some(run) = self.runs.get(id) else { return };
        if let Some(key) = &run.idempotency_key {
            self.idempotency_keys.release(key, id, &mut self.timers);
        }
        self.effects.push_back(Effect::NotifyFinished { run: id, status: self.runs.status(run) });
    }

    /// Removes finished runs beyond the retention limits, in the order of their ends, and returns them. Must be called
    /// after all effects have been carried out, as effects may refer to the runs.
    pub(crate) fn remove_expired_runs(&mut self, now: ClockReading) -> Vec<RunId> {
        let mut removed = Vec::new();
        while let Some((id, run)) = self.runs.remove_expired(&self.retention, now) {
            run.tasks.iter().for_each(|task| self.logs.remove_task(*task));
            self.workflows.drop_if_unused(&run.version);
            removed.push(id);
        }
        removed
    }
}
