//! The two clocks of the state machine. The driver reads both once for each event.
//!
//! Display times, schedules and crons follow the wall clock, which can be set at any time. Timeouts, leases, backoff
//! and retention follow a monotonic clock, so that setting the wall clock neither ends nor extends a wait.

mod timers;

pub(crate) use self::timers::{MonotonicTimers, NextDeadline, Timer, TimerKey, Timers};
pub(crate) use crate::hatchet::wire::{Timestamp, millis};

use std::time::Duration;

/// A time of the monotonic clock, in milliseconds since the engine's start.
///
/// On Linux this clock stops while the machine is suspended, so no worker's lease has expired when the machine wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct MonotonicInstant(pub(crate) u64);

/// All clocks at the time of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// The wall clock, which may jump in both directions.
    pub(crate) wall: Timestamp,
    /// The latest time that the wall clock has shown. It stops while the wall clock is set back, so that a later event
    /// never has an earlier display time.
    pub(crate) display: Timestamp,
    /// The monotonic clock.
    pub(crate) monotonic: MonotonicInstant,
}

impl ClockReading {
    /// Converts a deadline to the wall clock, assuming that the clock is not set until then.
    pub(crate) fn wall_time_of(self, deadline: MonotonicInstant) -> Timestamp {
        let overdue = self.monotonic.since(deadline);
        Timestamp(self.wall.plus(deadline.since(self.monotonic)).0.saturating_sub(millis(overdue)))
    }

    /// Returns the end of a wait that starts now.
    pub(crate) fn plus(self, wait: Duration) -> MonotonicInstant {
        self.monotonic.plus(wait)
    }

    /// Time since an earlier instant; zero if that instant is in the future.
    pub(crate) fn since(self, earlier: MonotonicInstant) -> Duration {
        self.monotonic.since(earlier)
    }
}

impl MonotonicInstant {
    /// Adds a duration, saturating.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Time since an earlier instant; zero if that instant is in the future.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
