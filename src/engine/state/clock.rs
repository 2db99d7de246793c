//! Deadlines: one ordered structure for all of them.

use std::collections::BTreeMap;

use super::{Moment, State, attempt::AttemptEvent, attempt::Stage};
use crate::hatchet::wire::{RunId, WorkerId};

/// Names one deadline, so that it can be taken back.
pub(crate) type AlarmKey = (Moment, u64);

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The schedule timeout, the back-off or the execution timeout, by the task's stage: it has one at a time.
    Task(RunId),
    /// A chunk has waited long enough for the ones before it.
    Chunks(RunId),
    /// To look whether a worker is still there.
    Worker(WorkerId),
    /// An idempotency key ends.
    Claim(std::sync::Arc<str>),
    /// A scheduled run is to start.
    Schedule(uuid::Uuid),
    /// A cron's next run is to start.
    Cron(uuid::Uuid),
}

/// The deadlines in order. Each is taken back when it loses its meaning, so the map never outgrows what is open.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    alarms: BTreeMap<AlarmKey, Alarm>,
    count: u64,
}

impl Clock {
    pub(crate) fn set(&mut self, at: Moment, alarm: Alarm) -> AlarmKey {
        self.count += 1;
        let key = (at, self.count);
        self.alarms.insert(key, alarm);
        key
    }

    pub(crate) fn take_back(&mut self, key: Option<AlarmKey>) {
        if let Some(key) = key {
            self.alarms.remove(&key);
        }
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (Moment, &Alarm)> {
        self.alarms.iter().map(|((at, _), alarm)| (*at, alarm))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.alarms.len()
    }

    fn due(&mut self, now: Moment) -> Option<(AlarmKey, Alarm)> {
        let first = self.alarms.first_entry()?;
        (first.key().0 <= now).then(|| first.remove_entry())
    }
}

impl State {
    /// When [`tick`](Self::tick) is wanted next.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.clock.alarms.first_key_value().map(|((at, _), _)| *at)
    }

    /// Carries out all that is due.
    pub(crate) fn tick(&mut self, now: Moment) {
        while let Some((key, alarm)) = self.clock.due(now) {
            match alarm {
                Alarm::Task(id) => self.task_is_due(id, key, now),
                Alarm::Chunks(id) => self.flush_gap(id),
                Alarm::Worker(id) => self.look_after_worker(id, now),
                Alarm::Claim(text) => self.end_claim(&text, key),
                Alarm::Schedule(id) => self.schedule_is_due(id, now),
                Alarm::Cron(id) => self.cron_is_due(id, key.0, now),
            }
        }
    }

    fn task_is_due(&mut self, id: RunId, key: AlarmKey, now: Moment) {
        let Some(task) = self.tasks.passing(&id) else { return };
        if task.alarm != Some(key) {
            return;
        }
        task.alarm = None;
        let event = match task.phase.stage() {
            Stage::Queued => AttemptEvent::NotTaken,
            Stage::BackOff => AttemptEvent::BackOffOver,
            Stage::Running => AttemptEvent::TimedOut,
            Stage::Waiting | Stage::Completed | Stage::Failed | Stage::Cancelled => return,
        };
        self.step(id, &event, now);
    }
}
