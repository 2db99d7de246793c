//! Time as the state machine sees it: two clocks, read once for each event by the driver.
//!
//! Timestamps that users see, schedules and crons follow the wall clock, which somebody may set. Timeouts, leases,
//! back-off and retention follow a monotonic clock, so that setting the wall clock neither ends nor extends a wait.

mod timers;

pub(crate) use self::timers::{NextDeadline, Timer, TimerKey, Timers};

use std::time::{Duration, SystemTime};

/// A time of the wall clock, in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Timestamp(pub(crate) u64);

/// A time of the monotonic clock, in milliseconds since the engine's start.
///
/// On Linux this clock stops while the machine is suspended, so no worker's lease has expired when the machine wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct MonotonicInstant(pub(crate) u64);

/// All clocks at the time of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// The wall clock as it is set: it may jump in both directions.
    pub(crate) wall: Timestamp,
    /// The latest time that the wall clock has shown. It stands still while the wall clock is set back, so that a later
    /// event never has an earlier display time.
    pub(crate) display: Timestamp,
    /// The monotonic clock.
    pub(crate) monotonic: MonotonicInstant,
}

impl ClockReading {
    /// Converts a deadline to the wall clock, assuming that nobody sets the clock until then.
    pub(crate) fn wall_time_of(self, deadline: MonotonicInstant) -> Timestamp {
        let overdue = self.monotonic.since(deadline);
        Timestamp(self.wall.plus(deadline.since(self.monotonic)).0.saturating_sub(millis(overdue)))
    }

    /// The end of a wait that begins now.
    pub(crate) fn plus(self, wait: Duration) -> MonotonicInstant {
        self.monotonic.plus(wait)
    }

    /// Time since an earlier instant; zero if that instant is in the future.
    pub(crate) fn since(self, earlier: MonotonicInstant) -> Duration {
        self.monotonic.since(earlier)
    }
}

impl MonotonicInstant {
    /// This instant plus a duration, saturating.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Time since an earlier instant; zero if that instant is in the future.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Timestamp {
    /// This time plus a duration, saturating.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Time since an earlier timestamp; zero if that timestamp is in the future.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Converts to the timestamp of a message.
    pub(crate) fn to_wire(self) -> prost_types::Timestamp {
        let seconds = i64::try_from(self.0 / 1000).unwrap_or(i64::MAX);
        // Below 1e9, so the cast is lossless.
        prost_types::Timestamp { seconds, nanos: (self.0 % 1000) as i32 * 1_000_000 }
    }

    /// Converts from the timestamp of a message; times before 1970 become 1970.
    pub(crate) fn from_wire(at: &prost_types::Timestamp) -> Self {
        let seconds = u64::try_from(at.seconds).unwrap_or(0);
        Self(seconds.saturating_mul(1000).saturating_add(u64::try_from(at.nanos / 1_000_000).unwrap_or(0)))
    }

    /// Reads the wall clock.
    pub(crate) fn wall() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::default().plus(since)
    }
}

/// Whole milliseconds of a duration, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
