//! Admits tasks without blockers to their concurrency groups before they are queued.
//!
//! ```text
//!  WAITING, BACK-OFF, retry ──enqueue──► UNADMITTED ──► queue
//!                               │                        ▲
//!                               └── no groups, or free ──┘
//! ```
//!
//! Clients see an unadmitted task as queued: it has the status and the schedule timeout of a queued task.

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
    /// Queues a task, or lets it wait until its groups admit it.
    pub(in crate::engine::state::operations) fn enqueue(&mut self, id: RunId, now: ClockReading) {
        if self.limits_of(id).is_none_or(|limits| self.is_admitted(id, &limits)) {
            self.push(id, now);
        } else {
            self.await_admission(id, now);
        }
    }

    /// Queues an unadmitted task if all of its groups have admitted it now.
    fn resume(&mut self, id: RunId, now: ClockReading) {
        if self.limits_of(id).is_none_or(|limits| self.is_admitted(id, &limits)) {
            self.push(id, now);
        }
    }

    /// Lets a task wait for its admission. Its schedule timeout begins.
    fn await_admission(&mut self, id: RunId, now: ClockReading) {
        let Some(spec) = self.runs.spec(id) else { return };
        let deadline = self.queue_deadline(id, spec.definition.schedule_timeout, now);
        let timer = self.timers.set(deadline, Timer::Task(id));
        if let Some(task) = self.runs.task_mut(id) {
            task.phase = Phase::Unadmitted;
            task.timer = Some(timer);
            task.record(HistoryEventKind::Queued, now);
        }
    }

    /// Queues a task behind all tasks of the same priority. Its schedule timeout begins, also if it had begun with the
    /// wait for admission. [`dispatch`](Self::dispatch) searches for a worker.
    fn push(&mut self, id: RunId, now: ClockReading) {
        let Some(spec) = self.runs.spec(id) else { return };
        let (mut queue, schedule_timeout) = (spec.queue, spec.definition.schedule_timeout);
        let Some((_, run)) = self.runs.containing(id) else { return };
        let priority = run.priority;
        if run.may_need_temporary_queue() {
            self.put_declared_limits(id, now);
            queue = self.queue_of(id).unwrap_or(queue);
        }
        // If other tasks wait in this queue, no worker is free for it, and the next free worker takes the head of the
        // queue. So only a queue that was empty needs a search.
        if self.scheduler.queue(queue).is_empty() {
            self.pending.filled_queues.push(queue);
        }
        let position = self.scheduler.push(queue, priority, id);
        let timer = self.timers.set(self.queue_deadline(id, schedule_timeout, now), Timer::Task(id));
        let Some(task) = self.runs.task_mut(id) else { return };
        self.timers.cancel(task.timer.replace(timer));
        task.queue = Some(queue);
        let was_unadmitted = matches!(std::mem::replace(&mut task.phase, Phase::Queued(position)), Phase::Unadmitted);
        if !was_unadmitted {
            task.record(HistoryEventKind::Queued, now);
        }
    }
}
