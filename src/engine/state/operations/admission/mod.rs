//! The step between a task that has no blockers and its queue: admission by the limits of its run.
//!
//! ```text
//!  WAITING, BACK-OFF, retry ──enqueue──► HELD ──► queue
//!                               │                  ▲
//!                               └── no limits ─────┘
//! ```
//!
//! Clients see a held task as queued: it has the status and the schedule timeout of a queued task.

mod groups;
mod rates;

use crate::{
    engine::state::{
        machine::State,
        runs::{HistoryEventKind, Phase},
        time::{ClockReading, Timer},
    },
    hatchet::wire::RunId,
};

impl State {
    /// Queues a task, or holds it until its limits admit it.
    pub(in crate::engine::state::operations) fn enqueue(&mut self, id: RunId, now: ClockReading) {
        if self.limits_of(id).is_none_or(|limits| self.is_admitted(id, &limits)) {
            self.push(id, now);
        } else {
            self.hold(id, now);
        }
    }

    /// Queues a task that was held, if its limits admit it now.
    fn resume(&mut self, id: RunId, now: ClockReading) {
        if self.limits_of(id).is_none_or(|limits| self.is_admitted(id, &limits)) {
            self.push(id, now);
        }
    }

    /// Holds a task. Its schedule timeout begins.
    fn hold(&mut self, id: RunId, now: ClockReading) {
        let Some(spec) = self.runs.spec(id) else { return };
        let deadline = self.queue_deadline(id, spec.definition.schedule_timeout, now);
        let timer = self.timers.set(deadline, Timer::Task(id));
        if let Some(task) = self.runs.task_mut(id) {
            task.phase = Phase::Held;
            task.timer = Some(timer);
            task.record(HistoryEventKind::Queued, now);
        }
    }

    /// Queues a task behind all tasks of the same priority. Its schedule timeout begins, again if it was held.
    /// [`dispatch`](Self::dispatch) searches for a worker.
    fn push(&mut self, id: RunId, now: ClockReading) {
        let Some(spec) = self.runs.spec(id) else { return };
        let (mut queue, schedule_timeout) = (spec.queue, spec.definition.schedule_timeout);
        let Some((_, run)) = self.runs.containing(id) else { return };
        let priority = run.priority;
        if run.needs_lane() {
            self.put_declared_limits(id, now);
            queue = self.queue_of(id).unwrap_or(queue);
        }
        // While other tasks wait in this queue, no worker is free for it, and a freed worker takes its head.
        if self.scheduler.queue(queue).is_empty() {
            self.pending.filled_queues.push(queue);
        }
        let position = self.scheduler.push(queue, priority, id);
        let timer = self.timers.set(self.queue_deadline(id, schedule_timeout, now), Timer::Task(id));
        let Some(task) = self.runs.task_mut(id) else { return };
        self.timers.cancel(task.timer.replace(timer));
        task.queue = Some(queue);
        let was_held = matches!(std::mem::replace(&mut task.phase, Phase::Queued(position)), Phase::Held);
        if !was_held {
            task.record(HistoryEventKind::Queued, now);
        }
    }
}
