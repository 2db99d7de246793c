//! Timers: the deadlines of one clock in their order, each with an action.
//!
//! A timer is cancelled as soon as it is obsolete, so that the number of timers is bounded by the number of open tasks,
//! workers, idempotency keys and rate limits. Setting, cancelling and firing a timer cost O(log n).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{ClockReading, MonotonicInstant, Timestamp};
use crate::hatchet::wire::{RunId, WorkerId};

/// Maximum sleep while a schedule or cron waits for the wall clock: 10 s. After the clock was set, or the machine woke
/// up, a due run starts with at most this delay.
const MAX_WALL_CLOCK_SLEEP: Duration = Duration::from_secs(10);

/// Identifies one timer on the monotonic clock, for cancelling it.
pub(crate) type TimerKey = (MonotonicInstant, u64);

/// The action of a timer on the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Ends a task's schedule timeout, backoff or execution timeout, by its stage. A task has one timer at a time.
    Task(RunId),
    /// Ends the sleeps of a task's conditions that are due. A task has one such timer at a time.
    Condition(RunId),
    /// Releases the chunks behind a gap in a task's stream.
    Chunks(RunId),
    /// Checks a worker's lease.
    Worker(WorkerId),
    /// Frees an idempotency key.
    IdempotencyKey(Arc<str>),
    /// Lets the queues that wait for a rate limit try again.
    RateLimit(Arc<str>),
    /// Removes a dynamic rate limit that is not in use.
    DynamicRateLimit(Arc<str>),
}

/// Pending timers in the order of their deadlines. Timers with equal deadlines fire in the order in which they were
/// set.
#[derive(Debug)]
pub(crate) struct Timers<T, A> {
    entries: BTreeMap<(T, u64), A>,
    last_id: u64,
}

/// Timers on the monotonic clock.
pub(crate) type MonotonicTimers = Timers<MonotonicInstant, Timer>;

impl<T, A> Default for Timers<T, A> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), last_id: 0 }
    }
}

impl<T: Ord + Copy, A> Timers<T, A> {
    /// Sets a timer and returns its key.
    pub(crate) fn set(&mut self, time: T, action: A) -> (T, u64) {
        self.last_id += 1;
        let key = (time, self.last_id);
        self.entries.insert(key, action);
        key
    }

    /// Cancels a timer; no effect if there is none or it has fired.
    pub(crate) fn cancel(&mut self, key: Option<(T, u64)>) {
        if let Some(key) = key {
            self.entries.remove(&key);
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<T> {
        self.entries.first_key_value().map(|((time, _), _)| *time)
    }

    /// Removes and returns the first timer if its deadline has passed.
    pub(crate) fn pop_due(&mut self, now: T) -> Option<((T, u64), A)> {
        let first = self.entries.first_entry()?;
        (first.key().0 <= now).then(|| first.remove_entry())
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (T, &A)> {
        self.entries.iter().map(|((time, _), action)| (*time, action))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The earliest deadline of each clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NextDeadline {
    pub(crate) monotonic: Option<MonotonicInstant>,
    pub(crate) wall: Option<Timestamp>,
}

impl NextDeadline {
    /// Time to sleep before the next tick; `None` without timers. At most [`MAX_WALL_CLOCK_SLEEP`] with a deadline on
    /// the wall clock, which may be set in the meantime.
    pub(crate) fn wait(self, now: ClockReading) -> Option<Duration> {
        let monotonic = self.monotonic.map(|instant| instant.since(now.monotonic));
        let wall = self.wall.map(|instant| instant.since(now.wall).min(MAX_WALL_CLOCK_SLEEP));
        [monotonic, wall].into_iter().flatten().min()
    }

    /// Whether one of the deadlines is earlier than the deadline of `other` on the same clock.
    pub(crate) fn is_earlier_than(self, other: Self) -> bool {
        is_earlier(self.monotonic, other.monotonic) || is_earlier(self.wall, other.wall)
    }
}

fn is_earlier<T: Ord>(a: Option<T>, b: Option<T>) -> bool {
    a.is_some_and(|a| b.is_none_or(|b| a < b))
}
