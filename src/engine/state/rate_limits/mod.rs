//! Rate limits: each limits the units of a key that are taken in a window of time.
//!
//! A task takes its units when it is assigned, so that no unit is used by a task that has no worker yet. Tasks that need
//! the same units are in a [lane](super::scheduler) of their own. If a key has too few units for the head of a lane, the
//! lane is suspended and waits at the key until it is refilled, changed or no longer paused.
//! The cost is that of one lane, independent of the numbers of keys and of queued tasks.
//!
//! A window begins with the refill at the end of the one before, or with the creation of the key. As in a real engine, a
//! refill replaces the remaining units. A task that needs more units than the limit waits until the limit is raised, and a
//! task whose key does not exist waits until it is created.

mod rule;

pub(crate) use self::rule::{RateDemand, RateRule, RateTarget};

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    scheduler::{QueueId, RateDemands},
    time::{ClockReading, MonotonicInstant, MonotonicTimers, Timer, TimerKey, Timestamp},
};
use crate::engine::persistence::{
    row::RowKey,
    tracked::{ENTRY_BYTES, Stored, Tracked},
};

/// The length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Window {
    Second,
    #[default]
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Window {
    /// All windows by the numbers of the protocol, which are also those of stored windows.
    const ALL: [Self; 7] = [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The number in the protocol.
    pub(crate) fn number(self) -> u32 {
        Self::ALL.iter().zip(0..).find(|(known, _)| **known == self).map_or(0, |(_, number)| number)
    }

    /// The window with this number in the protocol.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The length. A month has 30 days, a year 365.
    pub(crate) fn length(self) -> Duration {
        const DAY: u64 = 86_400;
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Year => 365 * DAY,
        })
    }

    /// The name in responses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Second => "SECOND",
            Self::Minute => "MINUTE",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
            Self::Year => "YEAR",
        }
    }
}

/// A rate limit.
#[derive(Debug, Clone)]
pub(crate) struct RateLimit {
    /// Units of each window.
    pub(crate) limit: i64,
    pub(crate) window: Window,
    /// Units left in the current window.
    pub(crate) value: i64,
    /// Beginning of the current window, for display.
    pub(crate) refilled: Timestamp,
    /// End of the current window.
    pub(crate) next_refill: MonotonicInstant,
    /// No task takes units before this time.
    pub(crate) paused_until: Option<MonotonicInstant>,
}

impl RateLimit {
    /// Whether the current window has ended.
    fn is_due(&self, now: ClockReading) -> bool {
        now.monotonic >= self.next_refill
    }

    /// Begins a new window if the current one has ended.
    fn refill(&mut self, now: ClockReading) {
        if self.is_due(now) {
            self.value = self.limit;
            self.refilled = now.display;
            self.next_refill = now.plus(self.window.length());
        }
    }

    fn pause(&self, now: ClockReading) -> Option<MonotonicInstant> {
        self.paused_until.filter(|until| now.monotonic < *until)
    }

    /// The units left, and the beginning of their window, at this time.
    pub(crate) fn at(&self, now: ClockReading) -> (i64, Timestamp) {
        if self.is_due(now) { (self.limit, now.display) } else { (self.value, self.refilled) }
    }
}

/// A key with too few units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) key: Arc<str>,
    /// Units that the task needs.
    pub(crate) units: i64,
    /// Units that are left.
    pub(crate) value: i64,
    /// Time of the next attempt; `None` if only a change of the limit can help.
    at: Option<MonotonicInstant>,
}

impl Exceeded {
    /// The message of a task's history, in the words of a real engine.
    pub(crate) fn message(&self) -> String {
        format!(
            "Rate limit exceeded for key {}, attempting to consume {} units, but only had {} remaining",
            self.key, self.units, self.value
        )
    }
}

/// The lanes that wait at a key.
#[derive(Debug, Default)]
struct Waiting {
    /// By their numbers, in the order of their suspension.
    lanes: BTreeMap<u64, QueueId>,
    timer: Option<TimerKey>,
}

/// All rate limits.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    pub(super) limits: Tracked<HashMap<Arc<str>, RateLimit>>,
    /// The waiting lanes of each key that has some.
    waiting: HashMap<Arc<str>, Waiting>,
    /// The key and the number of each waiting lane.
    waiting_at: HashMap<QueueId, (Arc<str>, u64)>,
    last_waiting: u64,
}

impl RateLimits {
    pub(crate) fn get(&self, key: &str) -> Option<&RateLimit> {
        self.limits.get(key)
    }

    /// All limits, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &RateLimit)> {
        self.limits.iter()
    }

    /// Creates or changes a limit. A change keeps the remaining units, at most the new limit, and the end of the current
    /// window, at most one new window from now. Returns whether lanes that wait may have enough units now.
    pub(crate) fn put(&mut self, key: &Arc<str>, limit: i64, window: Window, now: ClockReading) -> bool {
        let Some(current) = self.limits.get(key) else {
            let next_refill = now.plus(window.length());
            let new = RateLimit { limit, window, value: limit, refilled: now.display, next_refill, paused_until: None };
            self.limits.insert(key.clone(), new);
            return true;
        };
        if (current.limit, current.window) == (limit, window) {
            return false;
        }
        if let Some(known) = self.limits.get_mut(key) {
            known.refill(now);
            known.next_refill = known.next_refill.min(now.plus(window.length()));
            (known.limit, known.window) = (limit, window);
            known.value = known.value.min(limit);
        }
        true
    }

    /// Pauses a key until this time, unless it is paused longer. Returns the end of the pause, or `None` if there is no such
    /// key.
    pub(crate) fn pause(&mut self, key: &str, until: MonotonicInstant) -> Option<MonotonicInstant> {
        let limit = self.limits.get_mut(&key.into())?;
        let until = limit.paused_until.map_or(until, |paused| paused.max(until));
        limit.paused_until = Some(until);
        Some(until)
    }

    /// Takes the units of all keys, or of none.
    pub(crate) fn take(&mut self, demands: &RateDemands, now: ClockReading) -> Result<(), Exceeded> {
        for (key, units) in demands.iter() {
            let exceeded = |value, at| Exceeded { key: key.clone(), units: *units, value, at };
            if self.limits.get(key).is_some_and(|limit| limit.is_due(now))
                && let Some(limit) = self.limits.get_mut(key)
            {
                limit.refill(now);
            }
            let Some(limit) = self.limits.get(key) else { return Err(exceeded(0, None)) };
            if let Some(until) = limit.pause(now) {
                return Err(exceeded(0, Some(until)));
            }
            if limit.value < *units {
                return Err(exceeded(limit.value, (*units <= limit.limit).then_some(limit.next_refill)));
            }
        }
        for (key, units) in demands.iter() {
            if let Some(limit) = self.limits.get_mut(key) {
                limit.value -= units;
            }
        }
        Ok(())
    }

    /// Lets a lane wait at a key. A lane waits at one key at a time.
    pub(crate) fn wait(&mut self, exceeded: &Exceeded, lane: QueueId, timers: &mut MonotonicTimers) {
        self.stop_waiting(lane, timers);
        self.last_waiting += 1;
        self.waiting_at.insert(lane, (exceeded.key.clone(), self.last_waiting));
        let waiting = self.waiting.entry(exceeded.key.clone()).or_default();
        waiting.lanes.insert(self.last_waiting, lane);
        if let Some(at) = exceeded.at
            && waiting.timer.is_none_or(|(armed, _)| at < armed)
        {
            timers.cancel(waiting.timer.take());
            waiting.timer = Some(timers.set(at, Timer::RateLimit(exceeded.key.clone())));
        }
    }

    /// Ends the wait of a lane that no longer exists. A key without waiting lanes has no timer.
    pub(crate) fn stop_waiting(&mut self, lane: QueueId, timers: &mut MonotonicTimers) {
        let Some((key, number)) = self.waiting_at.remove(&lane) else { return };
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        waiting.lanes.remove(&number);
        if waiting.lanes.is_empty() {
            timers.cancel(waiting.timer.take());
            self.waiting.remove(&key);
        }
    }

    /// Removes and returns the lanes that wait at a key, in the order of their suspension.
    pub(crate) fn wake(&mut self, key: &str, timers: &mut MonotonicTimers) -> Vec<QueueId> {
        let waiting = self.waiting.remove(key).unwrap_or_default();
        timers.cancel(waiting.timer);
        let lanes: Vec<QueueId> = waiting.lanes.into_values().collect();
        for lane in &lanes {
            self.waiting_at.remove(lane);
        }
        lanes
    }

    /// Restores a stored limit.
    pub(crate) fn restore(&mut self, key: Arc<str>, limit: RateLimit) {
        self.limits.restore(key, limit);
    }

    /// Numbers of keys with waiting lanes, and of these lanes.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.waiting.len(), self.waiting_at.len())
    }

    /// Number of timers of waiting lanes.
    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.timer.is_some()).count()
    }
}

impl Stored<Arc<str>> for RateLimit {
    fn row_key(&self, key: &Arc<str>) -> RowKey {
        RowKey::Bytes(key.as_bytes().to_vec())
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES
    }
}
