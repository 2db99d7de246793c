//! Rate limits: each limits the units of a key that are taken in a window of time.
//!
//! A task takes its units when it is assigned, so that no unit is used by a task that has no worker yet. Tasks that need
//! the same units are in a [temporary queue](super::scheduler) of their own. If a key has too few units for the head of
//! the queue, the queue is suspended and waits for the key until it is refilled, changed or no longer paused.
//! The cost is that of one queue, independent of the numbers of keys and of queued tasks.
//!
//! A window begins with the refill at the end of the one before, or with the creation of the key. As in a real engine, a
//! refill replaces the remaining units. A task that needs more units than the limit waits until the limit is raised, and a
//! task whose key does not exist waits until it is created.
//!
//! A computed key, such as one for each customer, would stay forever. Its limit is **dynamic** while nothing else has
//! declared the key, and is removed when its window has ended and no queue waits for it: it has all of its units then,
//! and the next task with the key creates it again. A real engine never removes a limit.

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
    /// Whether only rules with a computed key have declared the key.
    pub(crate) is_dynamic: bool,
    /// The timer that removes a dynamic limit. Not stored.
    removal: Option<TimerKey>,
}

/// A limit that a call or a rule declares for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeclaredLimit {
    pub(crate) limit: i64,
    pub(crate) window: Window,
    /// Whether the key is computed from the run.
    pub(crate) is_dynamic: bool,
}

/// Minimum lifetime of a dynamic limit: 10 s. A limit with a shorter window is not checked in each window.
const MIN_LIFETIME: Duration = Duration::from_secs(10);

impl RateLimit {
    /// A limit whose first window begins now.
    fn new(declared: DeclaredLimit, now: ClockReading) -> Self {
        let DeclaredLimit { limit, window, is_dynamic } = declared;
        Self {
            limit,
            window,
            value: limit,
            refilled: now.display,
            next_refill: now.plus(window.length()),
            paused_until: None,
            is_dynamic,
            removal: None,
        }
    }

    /// A stored limit, whose window and pause end at these times.
    pub(crate) fn restored(
        declared: DeclaredLimit,
        (value, refilled): (i64, Timestamp),
        next_refill: MonotonicInstant,
        paused_until: Option<MonotonicInstant>,
    ) -> Self {
        let DeclaredLimit { limit, window, is_dynamic } = declared;
        Self { limit, window, value, refilled, next_refill, paused_until, is_dynamic, removal: None }
    }

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
    next_attempt: Option<MonotonicInstant>,
}

impl Exceeded {
    /// The message of a task's history, in the words of a real engine.
    pub(crate) fn message(&self) -> String {
        format!(
            "Rate limit exceeded for key {}, attempting to consume {} units, but only had {} remaining",
            self.key, self.units, self.value
        )
    }

    /// Whether a [`message`](Self::message) is of the same key.
    pub(crate) fn has_key_of(&self, message: &str) -> bool {
        let rest = message.strip_prefix("Rate limit exceeded for key ").and_then(|rest| rest.strip_prefix(&*self.key));
        rest.is_some_and(|rest| rest.starts_with(", attempting to consume "))
    }
}

/// The queues that wait for units of a key.
#[derive(Debug, Default)]
struct Waiting {
    /// By their numbers, in the order of their suspension.
    queues: BTreeMap<u64, QueueId>,
    timer: Option<TimerKey>,
}

/// All rate limits.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    pub(super) limits: Tracked<HashMap<Arc<str>, RateLimit>>,
    /// The waiting queues of each key that has some.
    waiting: HashMap<Arc<str>, Waiting>,
    /// The key and the number of each waiting queue.
    awaited_keys: HashMap<QueueId, (Arc<str>, u64)>,
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
    /// window, at most one new window from now. Returns whether waiting queues may have enough units now.
    pub(crate) fn put(
        &mut self,
        key: &Arc<str>,
        declared: DeclaredLimit,
        now: ClockReading,
        timers: &mut MonotonicTimers,
    ) -> bool {
        let Some(current) = self.limits.get(key) else {
            self.limits.insert(key.clone(), RateLimit::new(declared, now));
            self.arm_removal(key, now, timers);
            return true;
        };
        let is_changed = (current.limit, current.window) != (declared.limit, declared.window);
        if !declared.is_dynamic {
            self.retain(key, timers);
        }
        if !is_changed {
            return false;
        }
        if let Some(known) = self.limits.get_mut(key) {
            known.refill(now);
            known.next_refill = known.next_refill.min(now.plus(declared.window.length()));
            (known.limit, known.window) = (declared.limit, declared.window);
            known.value = known.value.min(declared.limit);
        }
        self.arm_removal(key, now, timers);
        true
    }

    /// Keeps a limit, as more than rules with a computed key refer to it.
    pub(crate) fn retain(&mut self, key: &Arc<str>, timers: &mut MonotonicTimers) {
        if self.limits.get(key).is_some_and(|limit| limit.is_dynamic)
            && let Some(limit) = self.limits.get_mut(key)
        {
            limit.is_dynamic = false;
            timers.cancel(limit.removal.take());
        }
    }

    /// Sets the timer that removes a dynamic limit at the end of its window and of its pause.
    fn arm_removal(&mut self, key: &Arc<str>, now: ClockReading, timers: &mut MonotonicTimers) {
        let Some(limit) = self.limits.get_mut_untracked(key).filter(|limit| limit.is_dynamic) else { return };
        let unused = limit.paused_until.map_or(limit.next_refill, |until| limit.next_refill.max(until));
        let expiry = unused.max(now.plus(MIN_LIFETIME));
        let timer = timers.set(expiry, Timer::DynamicRateLimit(key.clone()));
        timers.cancel(limit.removal.replace(timer));
    }

    /// Removes a dynamic limit whose timer has fired, unless it is in use.
    pub(crate) fn remove_unused(
        &mut self,
        key: &Arc<str>,
        timer: TimerKey,
        now: ClockReading,
        timers: &mut MonotonicTimers,
    ) {
        let Some(limit) = self.limits.get(key).filter(|limit| limit.removal == Some(timer)) else { return };
        if limit.is_due(now) && limit.pause(now).is_none() && !self.waiting.contains_key(key) {
            self.limits.remove(key);
            self.limits.shrink();
        } else {
            self.arm_removal(key, now, timers);
        }
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
            let exceeded = |value, next_attempt| Exceeded { key: key.clone(), units: *units, value, next_attempt };
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

    /// Lets a queue wait for a key. A queue waits for one key at a time.
    pub(crate) fn wait(&mut self, exceeded: &Exceeded, queue: QueueId, timers: &mut MonotonicTimers) {
        self.stop_waiting(queue, timers);
        self.last_waiting += 1;
        self.awaited_keys.insert(queue, (exceeded.key.clone(), self.last_waiting));
        let waiting = self.waiting.entry(exceeded.key.clone()).or_default();
        waiting.queues.insert(self.last_waiting, queue);
        if let Some(refill) = exceeded.next_attempt
            && waiting.timer.is_none_or(|(armed, _)| refill < armed)
        {
            timers.cancel(waiting.timer.take());
            waiting.timer = Some(timers.set(refill, Timer::RateLimit(exceeded.key.clone())));
        }
    }

    /// Ends the wait of a queue that no longer exists. A key without waiting queues has no timer.
    pub(crate) fn stop_waiting(&mut self, queue: QueueId, timers: &mut MonotonicTimers) {
        let Some((key, number)) = self.awaited_keys.remove(&queue) else { return };
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        waiting.queues.remove(&number);
        if waiting.queues.is_empty() {
            timers.cancel(waiting.timer.take());
            self.waiting.remove(&key);
        }
    }

    /// Removes and returns the queues that wait for a key, in the order of their suspension.
    pub(crate) fn wake(&mut self, key: &str, timers: &mut MonotonicTimers) -> Vec<QueueId> {
        let waiting = self.waiting.remove(key).unwrap_or_default();
        timers.cancel(waiting.timer);
        let queues: Vec<QueueId> = waiting.queues.into_values().collect();
        for queue in &queues {
            self.awaited_keys.remove(queue);
        }
        queues
    }

    /// Restores a stored limit.
    pub(crate) fn restore(
        &mut self,
        key: &Arc<str>,
        limit: RateLimit,
        now: ClockReading,
        timers: &mut MonotonicTimers,
    ) {
        self.limits.restore(key.clone(), limit);
        self.arm_removal(key, now, timers);
    }

    /// Numbers of keys with waiting queues, and of these queues.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.waiting.len(), self.awaited_keys.len())
    }

    /// Number of timers of waiting queues and of dynamic limits.
    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        let removals = self.limits.values().filter(|limit| limit.removal.is_some()).count();
        removals + self.waiting.values().filter(|waiting| waiting.timer.is_some()).count()
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
