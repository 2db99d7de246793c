//! Carries out the transitions of attempts.
//!
//! [`attempt::transition`] decides the transition of an event; the methods here change the sub-states accordingly. They
//! leave the consequences for other tasks and for workers to `State::dispatch`.

use std::{sync::Arc, time::Duration};

use crate::{
    engine::state::{
        attempt::{self, AttemptEvent, Budget, CancelCause, Transition},
        effect::{Effect, TaskEvent},
        machine::State,
        runs::{HistoryEventKind, Phase},
        slots,
        time::{ClockReading, Timer},
    },
    hatchet::wire::{RunId, WorkerId},
};

/// Error of a task that has lost too many workers; the text of a real engine.
const MAX_REASSIGNED: &str = "Task reached its maximum reassignment count";

/// Output of a skipped task; the text of a real engine.
const SKIPPED: &str = r#"{"skipped":true}"#;

impl State {
    /// Decides the transition of an event in the current stage of a task.
    pub(super) fn decide(&self, id: RunId, event: &AttemptEvent) -> Transition {
        let (Some(task), Some(spec)) = (self.runs.task(id), self.runs.spec(id)) else { return Transition::Ignore };
        let budget = Budget {
            failures: task.failures,
            retries: spec.definition.retries,
            reassignments: task.reassignments,
            max_reassignments: self.timings.max_reassignments,
            backoff: spec.definition.backoff,
        };
        attempt::transition(task.phase.stage(), event, &budget)
    }

    /// Applies an event to a task and carries out all consequences.
    pub(super) fn apply_and_dispatch(&mut self, id: RunId, event: &AttemptEvent, now: ClockReading) {
        self.apply(id, event, now);
        self.dispatch(now);
    }

    /// Applies an event to a task. Leaves the consequences to [`dispatch`](Self::dispatch).
    pub(super) fn apply(&mut self, id: RunId, event: &AttemptEvent, now: ClockReading) {
        if *event == AttemptEvent::Released
            && let Some(error) = self.limit_error(id)
        {
            return self.apply(id, &AttemptEvent::Rejected(error), now);
        }
        let transition = self.decide(id, event);
        if transition == Transition::Ignore {
            return;
        }
        self.stop_on_worker(id, event);
        self.announce_created(id);
        let freed = self.detach(id);
        match transition {
            // `assign` carries out `Run`.
            Transition::Ignore | Transition::Run => {}
            Transition::Retry(delay) => self.retry(id, event, delay, now),
            Transition::Reassign => self.reassign(id, now),
            Transition::Enqueue => self.enqueue(id, now),
            Transition::Restart => self.restart(id, now),
            Transition::Complete => self.complete(id, event, now),
            Transition::Skip => self.complete_with(id, HistoryEventKind::Skipped, SKIPPED.into(), now),
            Transition::Fail => self.fail(id, event, now),
            Transition::Cancel(cause) => self.cancel_attempt(id, cause, now),
        }
        self.pending.freed_workers.extend(freed);
    }

    /// Removes a task from its queue or from its worker, and cancels its timer. Returns the worker, which may have free
    /// slots again.
    pub(super) fn detach(&mut self, id: RunId) -> Option<WorkerId> {
        let spec = self.runs.spec(id)?;
        let (queue, requirements) = (spec.queue, spec.definition.requirements.clone());
        let has_conditions = spec.definition.conditions.is_some();
        let task = self.runs.task_mut_untracked(id)?;
        self.timers.cancel(task.timer.take());
        match task.phase {
            Phase::Queued(position) => {
                let queue = task.queue.take().unwrap_or(queue);
                if self.scheduler.remove(queue, position) {
                    self.rate_limits.stop_waiting(queue, &mut self.timers);
                }
                None
            }
            Phase::Running(running) => {
                let worker = self.workers.get_mut_untracked(running.worker)?;
                worker.running.remove(&running.assignment);
                if running.holds_slots {
                    slots::release(&mut worker.slots, &requirements);
                }
                Some(running.worker)
            }
            Phase::Waiting(_) => {
                if has_conditions {
                    self.conditions.close(id, &mut self.timers);
                }
                None
            }
            Phase::Unadmitted | Phase::BackOff => None,
            Phase::Completed(_) | Phase::Failed(_) | Phase::Cancelled(_) => None,
        }
    }

    /// Notifies subscribers of a task that is about to leave the waiting stage for the first time.
    fn announce_created(&mut self, id: RunId) {
        if let Some(task) = self.runs.task(id).filter(|task| !task.is_created()) {
            let event = TaskEvent::Created;
            self.effects.push_back(Effect::NotifyTask { task: id, run: task.run, attempt: 0, event });
        }
    }

    /// Requests the worker to stop an attempt that a timeout or a cancellation ends. No request is sent if the worker
    /// finished the attempt itself or was lost.
    fn stop_on_worker(&mut self, id: RunId, event: &AttemptEvent) {
        if !matches!(event, AttemptEvent::TimedOut | AttemptEvent::Cancelled | AttemptEvent::Displaced) {
            return;
        }
        let Some(task) = self.runs.task(id) else { return };
        let Phase::Running(running) = task.phase else { return };
        if let Some(stream) = self.workers.get(running.worker).and_then(|worker| worker.streams.last()) {
            self.effects.push_back(Effect::StopAttempt { stream: *stream, task: id, attempt: task.attempt });
        }
    }
}

/// Transitions to another attempt.
impl State {
    fn retry(&mut self, id: RunId, event: &AttemptEvent, delay: Duration, now: ClockReading) {
        self.announce_failed_attempt(id, event, now);
        if delay.is_zero() {
            self.keep_groups(id);
        } else {
            self.leave_groups(id);
        }
        self.next_attempt(id);
        if let Some(task) = self.runs.task_mut(id) {
            task.failures += 1;
            task.record(HistoryEventKind::Retrying(delay), now);
        }
        if delay.is_zero() {
            return self.enqueue(id, now);
        }
        let timer = self.timers.set(now.plus(delay), Timer::Task(id));
        if let Some(task) = self.runs.task_mut(id) {
            task.phase = Phase::BackOff;
            task.timer = Some(timer);
        }
    }

    fn reassign(&mut self, id: RunId, now: ClockReading) {
        self.keep_groups(id);
        self.next_attempt(id);
        if let Some(task) = self.runs.task_mut(id) {
            task.reassignments += 1;
            task.record(HistoryEventKind::Reassigned, now);
        }
        self.enqueue(id, now);
    }

    fn restart(&mut self, id: RunId, now: ClockReading) {
        self.next_attempt(id);
        self.runs.restart_task(id);
        self.record(id, HistoryEventKind::Replayed, now);
    }

    fn next_attempt(&mut self, id: RunId) {
        self.end_chunks(id);
        if let Some(task) = self.runs.task_mut(id) {
            task.attempt += 1;
        }
    }

    fn announce_failed_attempt(&mut self, id: RunId, event: &AttemptEvent, now: ClockReading) {
        self.end_chunks(id);
        let error = self.record_failure(id, event, now);
        let Some(task) = self.runs.task(id) else { return };
        let event = TaskEvent::Failed(error);
        self.effects.push_back(Effect::NotifyTask { task: id, run: task.run, attempt: task.attempt, event });
    }
}

/// Transitions to a final stage.
impl State {
    fn complete(&mut self, id: RunId, event: &AttemptEvent, now: ClockReading) {
        // No other event completes a task.
        if let AttemptEvent::Completed(output) = event {
            self.complete_with(id, HistoryEventKind::Finished, output.clone(), now);
        }
    }

    fn complete_with(&mut self, id: RunId, kind: HistoryEventKind, output: Arc<str>, now: ClockReading) {
        self.record(id, kind, now);
        self.end_task(id, Phase::Completed(output.clone()), TaskEvent::Completed(output), now);
    }

    fn fail(&mut self, id: RunId, event: &AttemptEvent, now: ClockReading) {
        let error = self.record_failure(id, event, now);
        self.end_task(id, Phase::Failed(error.clone()), TaskEvent::Failed(error), now);
    }

    fn cancel_attempt(&mut self, id: RunId, cause: CancelCause, now: ClockReading) {
        let kind = match cause {
            CancelCause::Requested => HistoryEventKind::Cancelled,
            CancelCause::Displaced => HistoryEventKind::Displaced,
            CancelCause::ScheduleTimedOut => HistoryEventKind::ScheduleTimedOut,
        };
        self.record(id, kind, now);
        let is_schedule_timeout = cause == CancelCause::ScheduleTimedOut;
        self.end_task(id, Phase::Cancelled(is_schedule_timeout), TaskEvent::Cancelled, now);
    }

    fn end_task(&mut self, id: RunId, phase: Phase, event: TaskEvent, now: ClockReading) {
        self.end_chunks(id);
        let Some(task) = self.runs.task(id) else { return };
        self.effects.push_back(Effect::NotifyTask { task: id, run: task.run, attempt: task.attempt, event });
        self.leave_groups(id);
        self.runs.end_task(id, phase, now.display);
        self.pending.finished_tasks.push_back(id);
    }

    /// Records the failure of the current attempt in the task's history, and returns its error.
    fn record_failure(&mut self, id: RunId, event: &AttemptEvent, now: ClockReading) -> Arc<str> {
        let (error, kind) = match event {
            AttemptEvent::Failed { error, .. } => (error.clone(), HistoryEventKind::Failed(error.clone())),
            AttemptEvent::Rejected(error) => (error.clone(), HistoryEventKind::Failed(error.clone())),
            AttemptEvent::TimedOut => {
                let timeout = self.runs.spec(id).map_or("", |spec| spec.definition.timeout_text.as_str());
                let error: Arc<str> = format!("Task exceeded timeout of {timeout}").into();
                (error.clone(), HistoryEventKind::TimedOut(error))
            }
            // No other event than `WorkerLost` fails an attempt.
            AttemptEvent::WorkerLost
            | AttemptEvent::Released
            | AttemptEvent::Skipped
            | AttemptEvent::ParentLost
            | AttemptEvent::ConditionCancelled
            | AttemptEvent::Assigned
            | AttemptEvent::ScheduleTimedOut
            | AttemptEvent::BackOffElapsed
            | AttemptEvent::Completed(_)
            | AttemptEvent::Cancelled
            | AttemptEvent::Displaced
            | AttemptEvent::Replayed => (MAX_REASSIGNED.into(), HistoryEventKind::Failed(MAX_REASSIGNED.into())),
        };
        self.record(id, kind, now);
        error
    }

    /// Records an event in a task's history. Must be called before the number of the attempt changes.
    fn record(&mut self, id: RunId, kind: HistoryEventKind, now: ClockReading) {
        if let Some(task) = self.runs.task_mut(id) {
            task.record(kind, now);
        }
    }
}
