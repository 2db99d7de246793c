//! Reports of workers about attempts, and requests of running tasks.

use std::{sync::Arc, time::Duration};

use crate::{
    engine::state::{
        attempt::AttemptEvent,
        machine::State,
        runs::{HistoryEventKind, Phase},
        slots,
        time::{ClockReading, Timer, Timestamp},
    },
    hatchet::wire::{RunId, WorkerId},
};

/// A validated report of a worker about an attempt.
#[derive(Debug, Clone)]
pub(crate) enum AttemptReport {
    /// The worker has received or started the attempt. The stage does not change: an attempt is running from its
    /// assignment on.
    Acknowledged,
    /// The attempt has an output: JSON text, or empty.
    Completed(Arc<str>),
    Failed {
        error: Arc<str>,
        may_retry: bool,
        /// Delay before the retry, instead of the task's back-off.
        retry_after: Option<Duration>,
    },
    /// The worker cancelled the attempt itself.
    Cancelled,
}

impl State {
    /// Applies a worker's report and returns whether the task exists. A report is ignored unless its attempt is the
    /// current attempt and is running. Without `attempt` the report applies to the current attempt.
    pub(crate) fn report(&mut self, id: RunId, attempt: Option<i32>, report: AttemptReport, now: ClockReading) -> bool {
        let Some(task) = self.runs.task(id) else { return false };
        if attempt.is_some_and(|attempt| attempt != task.attempt) {
            return true;
        }
        if matches!(task.phase, Phase::Running(running) if !running.acknowledged) {
            self.acknowledge(id, now);
        }
        let event = match report {
            AttemptReport::Acknowledged => return true,
            AttemptReport::Completed(output) => AttemptEvent::Completed(output),
            AttemptReport::Failed { error, may_retry, retry_after } => {
                AttemptEvent::Failed { error, may_retry, retry_after }
            }
            AttemptReport::Cancelled => AttemptEvent::Cancelled,
        };
        self.apply_and_dispatch(id, &event, now);
        true
    }

    fn acknowledge(&mut self, id: RunId, now: ClockReading) {
        let Some(task) = self.runs.task_mut(id) else { return };
        if let Some(running) = task.running_mut() {
            running.acknowledged = true;
        }
        task.record(HistoryEventKind::Started, now);
    }

    /// Requeues an attempt whose assignment was not delivered, as for a lost worker.
    pub(crate) fn undelivered(&mut self, id: RunId, attempt: i32, now: ClockReading) {
        if self.runs.task(id).is_some_and(|task| task.attempt == attempt) {
            self.apply_and_dispatch(id, &AttemptEvent::WorkerLost, now);
        }
    }

    /// The running attempts that a worker has not acknowledged, and whose assignments may therefore be lost.
    pub(crate) fn unacknowledged(&self, id: WorkerId) -> Vec<(RunId, i32)> {
        let running = self.workers.get(id).into_iter().flat_map(|worker| worker.running.values());
        let tasks = running.filter_map(|id| Some((*id, self.runs.task(*id)?)));
        tasks
            .filter(|(_, task)| matches!(task.phase, Phase::Running(running) if !running.acknowledged))
            .map(|(id, task)| (id, task.attempt))
            .collect()
    }

    /// Extends the execution timeout of a running task. Returns the new deadline, or `None` if the task is not running.
    pub(crate) fn refresh_timeout(&mut self, id: RunId, by: Duration, now: ClockReading) -> Option<Timestamp> {
        let task = self.runs.task_mut(id)?;
        let running = task.running_mut()?;
        let deadline = running.deadline.plus(by);
        running.deadline = deadline;
        self.timers.cancel(task.timer.take());
        task.timer = Some(self.timers.set(deadline, Timer::Task(id)));
        task.record(HistoryEventKind::Refreshed(by), now);
        Some(now.wall_time_of(deadline))
    }

    /// Frees the slots of a running task, which continues and can still be cancelled. Returns whether the task is
    /// running.
    pub(crate) fn release_slot(&mut self, id: RunId, now: ClockReading) -> bool {
        let Some(requirements) = self.runs.spec(id).map(|spec| spec.definition.requirements.clone()) else {
            return false;
        };
        let Some(task) = self.runs.task_mut(id) else { return false };
        let Some(running) = task.running_mut() else { return false };
        let worker_id = running.worker;
        if std::mem::take(&mut running.holds_slots) {
            task.record(HistoryEventKind::SlotReleased, now);
            if let Some(worker) = self.workers.get_mut_untracked(worker_id) {
                slots::release(&mut worker.slots, &requirements);
            }
            self.pending.freed_workers.push(worker_id);
            self.dispatch(now);
        }
        true
    }
}
