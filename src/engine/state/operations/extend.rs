//! What a running task may ask for: more time, or to go on without its slot.

use std::time::Duration;

use crate::engine::state::{
    ClockReading, State, Timestamp, model::Phase, runs::history::HistoryEventKind, timers::Alarm,
};
use crate::hatchet::wire::RunId;

impl State {
    /// Adds to the deadline of a running task. Answers the new one, or `None` if no such task runs.
    pub(crate) fn refresh_timeout(&mut self, id: RunId, by: Duration, now: ClockReading) -> Option<Timestamp> {
        let task = self.tasks.get_mut(&id)?;
        let Phase::Running(running) = &mut task.phase else { return None };
        let deadline = running.deadline.plus(by);
        running.deadline = deadline;
        self.clock.take_back(task.alarm.take());
        task.alarm = Some(self.clock.set(deadline, Alarm::Task(id)));
        task.mark(HistoryEventKind::Refreshed(by), now);
        Some(now.when(deadline))
    }

    /// Frees the slots of a running task, which goes on and can still be cancelled. Answers whether it runs.
    pub(crate) fn release_slot(&mut self, id: RunId, now: ClockReading) -> bool {
        let Some(needs) = self.spec(id).map(|s| s.needs.clone()) else { return false };
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        let Phase::Running(running) = &mut task.phase else { return false };
        let worker = running.worker;
        if std::mem::take(&mut running.holds) {
            task.mark(HistoryEventKind::SlotReleased, now);
            if let Some(worker) = self.workers.passing(&worker) {
                worker.take(&needs, -1);
            }
            self.freed.push(worker);
            self.distribute(now);
        }
        true
    }
}
