//! Carrying out what the table of attempts decides.

use std::{sync::Arc, time::Duration};

use crate::engine::state::{
    ClockReading, Effect, State, TaskEvent,
    attempt::{self, AttemptEvent, Budget, Step},
    model::Phase,
    runs::history::{HistoryEventKind, end_of},
    timers::Alarm,
};
use crate::hatchet::wire::{RunId, WorkerId};

/// Error of a task that lost too many workers.
pub(crate) const MAX_REASSIGNED: &str = "Task reached its maximum reassignment count";

/// Output of an on-failure task that had nothing to do.
pub(crate) const SKIPPED: &str = r#"{"skipped":true}"#;

/// What a worker says about an attempt, checked at the door.
#[derive(Debug, Clone)]
pub(crate) enum AttemptReport {
    /// It has begun, or has got the message. Running is decided by the assignment, so this changes nothing.
    Acknowledged,
    /// It has an output: JSON text, or empty.
    Completed(Arc<str>),
    /// It failed.
    Failed { error: Arc<str>, may_retry: bool },
    /// The worker itself cancelled it.
    Cancelled,
}

impl State {
    /// Takes a worker's report. Answers whether there is such a task at all; what is about another attempt than the
    /// current one, or about one that runs no more, is ignored.
    pub(crate) fn report(&mut self, id: RunId, attempt: Option<i32>, report: AttemptReport, now: ClockReading) -> bool {
        let Some(task) = self.tasks.get(&id) else { return false };
        if attempt.is_some_and(|n| n != task.attempt) {
            return true;
        }
        if matches!(&task.phase, Phase::Running(running) if !running.heard)
            && let Some(task) = self.tasks.get_mut(&id)
        {
            if let Phase::Running(running) = &mut task.phase {
                running.heard = true;
            }
            task.mark(HistoryEventKind::Started, now);
        }
        let event = match report {
            AttemptReport::Acknowledged => return true,
            AttemptReport::Completed(output) => AttemptEvent::Completed(output),
            AttemptReport::Failed { error, may_retry } => AttemptEvent::Failed { error, may_retry },
            AttemptReport::Cancelled => AttemptEvent::Cancelled,
        };
        self.step(id, &event, now);
        true
    }

    /// An assignment that no worker has read: as good as a lost worker, and known at once.
    pub(crate) fn undelivered(&mut self, id: RunId, attempt: i32, now: ClockReading) {
        if self.tasks.get(&id).is_some_and(|task| task.attempt == attempt) {
            self.step(id, &AttemptEvent::WorkerLost, now);
        }
    }

    /// What the table says about an event for a task now.
    pub(crate) fn decide(&self, id: RunId, event: &AttemptEvent) -> Step {
        let (Some(task), Some(spec)) = (self.tasks.get(&id), self.spec(id)) else { return Step::Stay };
        let budget = Budget {
            failures: task.failures,
            retries: spec.retries,
            reassignments: task.reassignments,
            max_reassignments: self.timings.max_reassignments,
            backoff: spec.backoff,
        };
        attempt::next(task.phase.stage(), event, &budget)
    }

    /// Makes an event happen to a task, and everything that follows from it.
    pub(crate) fn step(&mut self, id: RunId, event: &AttemptEvent, now: ClockReading) {
        self.apply(id, event, now);
        self.distribute(now);
    }

    /// Makes an event happen to a task. What follows is left to [`distribute`](Self::distribute).
    pub(crate) fn apply(&mut self, id: RunId, event: &AttemptEvent, now: ClockReading) {
        let step = self.decide(id, event);
        if step == Step::Stay {
            return;
        }
        self.stop_on_worker(id, event);
        self.announce_made(id);
        let freed = self.leave(id);
        match step {
            Step::Stay | Step::Run => {}
            Step::Retry(delay) => {
                self.announce_failure(id, event, now);
                self.next_attempt(id);
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.failures += 1;
                    task.mark(HistoryEventKind::Retrying(delay), now);
                }
                self.enqueue_after(id, delay, now);
            }
            Step::Reassign => {
                self.next_attempt(id);
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.reassignments += 1;
                    task.mark(HistoryEventKind::Reassigned, now);
                }
                self.enqueue(id, now);
            }
            Step::Enqueue => self.enqueue(id, now),
            Step::Restart => {
                self.next_attempt(id);
                self.tasks.resize(&id, |task| {
                    (task.failures, task.reassignments, task.finished) = (0, 0, None);
                    task.phase = Phase::Waiting(0);
                    task.mark(HistoryEventKind::Replayed, now);
                });
                if let Some(task) = self.tasks.get(&id)
                    && let Some(run) = self.runs.passing(&task.run)
                {
                    run.open += 1;
                }
            }
            Step::Complete => {
                self.mark(id, end_of(event, &"".into()), now);
                let output = match event {
                    AttemptEvent::Completed(output) => output.clone(),
                    _ => SKIPPED.into(),
                };
                self.end_task(id, Phase::Completed(output.clone()), TaskEvent::Completed(output), now);
            }
            Step::Fail => {
                let error = self.error_of(id, event);
                self.mark(id, end_of(event, &error), now);
                self.end_task(id, Phase::Failed(error.clone()), TaskEvent::Failed(error), now);
            }
            Step::Cancel => {
                let untaken = *event == AttemptEvent::NotTaken;
                self.mark(id, end_of(event, &"".into()), now);
                self.end_task(id, Phase::Cancelled(untaken), TaskEvent::Cancelled, now);
            }
        }
        self.freed.extend(freed);
    }

    /// Takes a task out of wherever it is. Answers the worker that has room again.
    pub(crate) fn leave(&mut self, id: RunId) -> Option<WorkerId> {
        let (lane, needs) = self.spec(id).map(|s| (s.lane, s.needs.clone()))?;
        let task = self.tasks.passing(&id)?;
        self.clock.take_back(task.alarm.take());
        match &task.phase {
            Phase::Queued(place) => {
                self.queue.remove(lane, *place);
                None
            }
            Phase::Running(running) => {
                let worker = self.workers.passing(&running.worker)?;
                worker.running.remove(&running.seq);
                if running.holds {
                    worker.take(&needs, -1);
                }
                Some(running.worker)
            }
            Phase::Waiting(_) | Phase::BackOff => None,
            Phase::Completed(_) | Phase::Failed(_) | Phase::Cancelled(_) => None,
        }
    }

    /// A task that is about to stop waiting for the first time comes to be: those who watch are told.
    fn announce_made(&mut self, id: RunId) {
        if let Some(task) = self.tasks.get(&id).filter(|task| !task.is_made()) {
            self.effects.push_back(Effect::Step { task: id, run: task.run, attempt: 0, what: TaskEvent::Created });
        }
    }

    /// A worker whose attempt ends by another's will is told. One that ended it itself, or that is lost, is not.
    fn stop_on_worker(&mut self, id: RunId, event: &AttemptEvent) {
        if !matches!(event, AttemptEvent::TimedOut | AttemptEvent::Cancelled) {
            return;
        }
        let Some(task) = self.tasks.get(&id) else { return };
        let Phase::Running(running) = task.phase else { return };
        if let Some(stream) = self.workers.get(&running.worker).and_then(|w| w.streams.last()) {
            self.effects.push_back(Effect::Stop { stream: *stream, task: id, attempt: task.attempt });
        }
    }

    fn next_attempt(&mut self, id: RunId) {
        self.flush_chunks(id);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.attempt += 1;
        }
    }

    fn enqueue_after(&mut self, id: RunId, delay: Duration, now: ClockReading) {
        if delay.is_zero() {
            return self.enqueue(id, now);
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.phase = Phase::BackOff;
            task.alarm = Some(self.clock.set(now.plus(delay), Alarm::Task(id)));
        }
    }

    fn error_of(&self, id: RunId, event: &AttemptEvent) -> Arc<str> {
        match event {
            AttemptEvent::Failed { error, .. } => error.clone(),
            AttemptEvent::WorkerLost => MAX_REASSIGNED.into(),
            AttemptEvent::TimedOut => {
                let text = self.spec(id).map_or("", |s| s.timeout.1.as_str());
                format!("Task exceeded timeout of {text}").into()
            }
            AttemptEvent::Assigned
            | AttemptEvent::Completed(_)
            | AttemptEvent::NotTaken
            | AttemptEvent::BackOffOver
            | AttemptEvent::Cancelled
            | AttemptEvent::Replayed
            | AttemptEvent::Released
            | AttemptEvent::ParentLost
            | AttemptEvent::Skipped => "".into(),
        }
    }

    fn announce_failure(&mut self, id: RunId, event: &AttemptEvent, now: ClockReading) {
        self.flush_chunks(id);
        let error = self.error_of(id, event);
        self.mark(id, end_of(event, &error), now);
        let Some(task) = self.tasks.get(&id) else { return };
        let what = TaskEvent::Failed(error);
        self.effects.push_back(Effect::Step { task: id, run: task.run, attempt: task.attempt, what });
    }

    fn end_task(&mut self, id: RunId, phase: Phase, what: TaskEvent, now: ClockReading) {
        self.flush_chunks(id);
        let Some(task) = self.tasks.get(&id) else { return };
        let (run, attempt) = (task.run, task.attempt);
        self.ends += 1;
        let end = self.ends;
        self.tasks.resize(&id, |task| {
            task.end = end;
            task.phase = phase;
            task.finished = Some(now.display);
        });
        if let Some(run) = self.runs.passing(&run) {
            run.open -= 1;
        }
        self.effects.push_back(Effect::Step { task: id, run, attempt, what });
        self.ended.push_back(id);
    }
}
