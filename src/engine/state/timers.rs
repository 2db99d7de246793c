//! Deadlines: one ordered structure for all that wait by one clock.

use std::{collections::BTreeMap, time::Duration};

use super::{ClockReading, MonotonicInstant, State, Timestamp, attempt::AttemptEvent, attempt::Stage};
use crate::hatchet::wire::{RunId, WorkerId};

/// How often the wall clock is looked at while something waits for it: when it is set, or the machine wakes, what has
/// become due is late by that at most.
const LOOK: Duration = Duration::from_secs(10);

/// By how much the wall clock must have gone back for crons to follow it: then it was wrong before. When it goes back
/// by less, what has started does not start again; cron(8) draws the line there too.
const CORRECTION: Duration = Duration::from_secs(3 * 3600);

/// Names one deadline, so that it can be taken back.
pub(crate) type AlarmKey = (MonotonicInstant, u64);

/// The same on the wall clock.
pub(crate) type DateKey = (Timestamp, u64);

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
}

/// What a deadline on the wall clock is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Date {
    /// A scheduled run is to start.
    Schedule(uuid::Uuid),
    /// A cron's next run is to start.
    Cron(uuid::Uuid),
}

/// The deadlines in order. Each is taken back when it loses its meaning, so the map never outgrows what is open.
#[derive(Debug)]
pub(crate) struct Deadlines<T, A> {
    all: BTreeMap<(T, u64), A>,
    count: u64,
}

impl<T, A> Default for Deadlines<T, A> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), count: 0 }
    }
}

impl<T: Ord + Copy, A> Deadlines<T, A> {
    pub(crate) fn set(&mut self, at: T, alarm: A) -> (T, u64) {
        self.count += 1;
        let key = (at, self.count);
        self.all.insert(key, alarm);
        key
    }

    pub(crate) fn take_back(&mut self, key: Option<(T, u64)>) {
        if let Some(key) = key {
            self.all.remove(&key);
        }
    }

    fn next(&self) -> Option<T> {
        self.all.first_key_value().map(|((at, _), _)| *at)
    }

    fn due(&mut self, now: T) -> Option<((T, u64), A)> {
        let first = self.all.first_entry()?;
        (first.key().0 <= now).then(|| first.remove_entry())
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = (T, &A)> {
        self.all.iter().map(|((at, _), alarm)| (*at, alarm))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

/// The first deadlines by each clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Next {
    steady: Option<MonotonicInstant>,
    wall: Option<Timestamp>,
}

impl Next {
    /// How long to wait from now: until the first deadline, and never longer than until the next look at the wall clock
    /// where something waits for that. `None` if there is nothing to wait for.
    pub(crate) fn wait(self, now: ClockReading) -> Option<Duration> {
        let steady = self.steady.map(|at| at.since(now.monotonic));
        let wall = self.wall.map(|at| at.since(now.wall).min(LOOK));
        [steady, wall].into_iter().flatten().min()
    }

    /// Whether one of them is earlier than another's.
    pub(crate) fn is_sooner(self, than: Self) -> bool {
        sooner(self.steady, than.steady) || sooner(self.wall, than.wall)
    }
}

fn sooner<T: Ord>(one: Option<T>, other: Option<T>) -> bool {
    one.is_some_and(|one| other.is_none_or(|other| one < other))
}

impl State {
    /// When [`tick`](Self::tick) is wanted next.
    pub(crate) fn next_deadline(&self) -> Next {
        Next { steady: self.clock.next().into_iter().chain(self.next_watch()).min(), wall: self.calendar.next() }
    }

    /// Carries out all that is due.
    pub(crate) fn tick(&mut self, now: ClockReading) {
        if self.looked.since(now.wall) >= CORRECTION {
            self.rearm_crons(now);
        }
        self.looked = now.wall;
        self.watch_own_clock(now);
        while let Some((key, alarm)) = self.clock.due(now.monotonic) {
            match alarm {
                Alarm::Task(id) => self.task_is_due(id, key, now),
                Alarm::Chunks(id) => self.flush_gap(id),
                Alarm::Worker(id) => self.look_after_worker(id, now),
                Alarm::Claim(text) => self.end_claim(&text, key),
            }
        }
        while let Some((key, date)) = self.calendar.due(now.wall) {
            match date {
                Date::Schedule(id) => self.schedule_is_due(id, now),
                Date::Cron(id) => self.cron_is_due(id, key.0, now),
            }
        }
    }

    fn task_is_due(&mut self, id: RunId, key: AlarmKey, now: ClockReading) {
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
