//! Pauses, resumes and deletes workflows.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    engine::state::{
        machine::State,
        runs::{Phase, Run},
        time::{ClockReading, MonotonicInstant, Timer},
        workflows::Pause,
    },
    hatchet::wire::RunId,
};

impl State {
    /// Pauses a workflow, changes its pause, or resumes it. Returns whether the workflow exists.
    ///
    /// A paused workflow keeps its queued tasks, which get no worker. Their schedule timeouts begin again when the
    /// workflow is resumed.
    pub(crate) fn pause_workflow(&mut self, id: Uuid, pause: Option<Pause>, now: ClockReading) -> bool {
        if self.workflows.by_id(id).is_none() {
            return false;
        }
        if self.workflows.pause_of(id) != pause {
            self.workflows.set_pause(id, pause);
            self.apply_pause(id, now);
            self.dispatch(now);
        }
        true
    }

    /// Returns the pause of a workflow; `None` if it is not paused.
    pub(crate) fn pause_of(&self, workflow: Uuid) -> Option<Pause> {
        self.workflows.pause_of(workflow)
    }

    /// Passes the pause of a workflow to its queues, and sets the deadlines of its queued tasks.
    pub(in crate::engine::state) fn apply_pause(&mut self, id: Uuid, now: ClockReading) {
        let Some(name) = self.workflows.by_id(id).map(|version| version.definition.name.clone()) else { return };
        let is_paused = self.workflows.pause_of(id).is_some();
        let queues = self.scheduler.set_paused(&name, is_paused);
        if !is_paused {
            self.pending.filled_queues.extend(queues);
            self.calendar.resume_schedules(&name);
        }
        let is_affected = |run: &Run| run.finished.is_none() && run.version.workflow_id == id;
        let runs = self.runs.by_age().filter(|(_, run)| is_affected(run));
        let tasks = runs.flat_map(|(_, run)| run.tasks.iter().copied());
        let queued: Vec<RunId> = tasks.filter(|task| self.is_queued(*task)).collect();
        for task in queued {
            let timeout = self.runs.spec(task).map(|spec| spec.definition.schedule_timeout).unwrap_or_default();
            let deadline = self.queue_deadline(task, timeout, now);
            let timer = self.timers.set(deadline, Timer::Task(task));
            if let Some(task) = self.runs.task_mut(task) {
                self.timers.cancel(task.timer.replace(timer));
            }
        }
    }

    fn is_queued(&self, id: RunId) -> bool {
        self.runs.task(id).is_some_and(|task| matches!(task.phase, Phase::Queued(_) | Phase::Unadmitted))
    }

    /// The time until which a task that is queued now may stay queued: its schedule timeout, or the time to live of a
    /// paused workflow, which counts from the creation of the run.
    pub(in crate::engine::state) fn queue_deadline(
        &self,
        id: RunId,
        schedule_timeout: Duration,
        now: ClockReading,
    ) -> MonotonicInstant {
        match self.pause_of_task(id) {
            None => now.plus(schedule_timeout),
            Some((pause, run)) => now.plus(pause.ttl.saturating_sub(now.display.since(run.created))),
        }
    }

    /// The pause of a task's workflow, with the run of the task.
    pub(in crate::engine::state) fn pause_of_task(&self, id: RunId) -> Option<(Pause, &Run)> {
        if self.workflows.has_no_settings() {
            return None;
        }
        let (_, run) = self.runs.containing(id)?;
        Some((self.workflows.pause_of(run.version.workflow_id)?, run))
    }

    /// Deletes a workflow with its crons, schedules and filters; `false` if it does not exist. Its runs continue and
    /// remain readable. A later declaration of the name is a new workflow.
    pub(crate) fn delete_workflow(&mut self, id: Uuid, now: ClockReading) -> bool {
        let Some(name) = self.workflows.by_id(id).map(|version| version.definition.name.clone()) else { return false };
        self.pause_workflow(id, None, now);
        self.workflows.delete(id);
        self.calendar.remove_workflow(&name);
        self.filters.remove_from_workflow(id, |_| true);
        true
    }
}
