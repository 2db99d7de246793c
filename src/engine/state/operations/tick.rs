//! Fires the timers that are due.

use crate::{
    engine::state::{
        attempt::{AttemptEvent, Stage},
        machine::State,
        time::{ClockReading, NextDeadline, Timer, TimerKey},
    },
    hatchet::wire::RunId,
};

impl State {
    /// Due time of the next [`tick`](Self::tick).
    pub(crate) fn next_deadline(&self) -> NextDeadline {
        let monotonic = self.timers.next().into_iter().chain(self.workers.next_self_check()).min();
        NextDeadline { monotonic, wall: self.calendar.next_deadline() }
    }

    /// Fires all timers that are due.
    pub(crate) fn tick(&mut self, now: ClockReading) {
        self.calendar.observe(now);
        // Must precede the lease checks: an engine that was stopped has received no heartbeats.
        self.workers.self_check(now, &self.timings);
        while let Some((key, timer)) = self.timers.pop_due(now.monotonic) {
            match timer {
                Timer::Task(id) => self.task_timer_fired(id, key, now),
                Timer::Condition(id) => self.condition_timer_fired(id, key, now),
                Timer::Chunks(id) => self.flush_chunks(id),
                Timer::Worker(id) => self.check_lease(id, now),
                Timer::RateLimit(key) => {
                    self.wake_queues(&key);
                    self.dispatch(now);
                }
                Timer::DynamicRateLimit(limit) => {
                    self.rate_limits.remove_unused(&limit, key, now, &mut self.timers);
                }
                Timer::IdempotencyKey(text) => self.idempotency_keys.expire(&text, key),
            }
        }
        self.start_due_runs(now);
    }

    fn task_timer_fired(&mut self, id: RunId, key: TimerKey, now: ClockReading) {
        let Some(task) = self.runs.task_mut_untracked(id) else { return };
        if task.timer != Some(key) {
            return;
        }
        task.timer = None;
        let stage = task.phase.stage();
        let event = match stage {
            // The time to live of a paused workflow.
            Stage::Queued if self.pause_of_task(id).is_some() => AttemptEvent::Cancelled,
            Stage::Queued => AttemptEvent::ScheduleTimedOut,
            Stage::BackOff => AttemptEvent::BackOffElapsed,
            Stage::Running => AttemptEvent::TimedOut,
            Stage::Waiting | Stage::Completed | Stage::Failed | Stage::Cancelled => return,
        };
        self.apply_and_dispatch(id, &event, now);
    }
}
