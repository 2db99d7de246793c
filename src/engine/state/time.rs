//! Time as the state sees it: by two clocks, that each event comes with.

use std::time::{Duration, SystemTime};

/// A moment of the wall clock, in milliseconds since 1970: what is shown, and what schedules and crons name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Timestamp(pub(crate) u64);

/// A moment of a clock that nobody sets, in milliseconds since some start: waits end by it. Under Linux it stands still
/// while the machine is suspended, so that no worker's lease has run out at the wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct MonotonicInstant(pub(crate) u64);

/// When an event happens, by all clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// The wall clock as it is set: it may leap, and go back.
    pub(crate) wall: Timestamp,
    /// The latest that the wall clock has been. While it is set back this stands still: what happens later is never
    /// shown as earlier.
    pub(crate) display: Timestamp,
    pub(crate) monotonic: MonotonicInstant,
}

impl ClockReading {
    /// When a wait will be over by the wall clock, if nobody sets it.
    pub(crate) fn when(self, end: MonotonicInstant) -> Timestamp {
        let ago = self.monotonic.since(end);
        Timestamp(self.wall.plus(end.since(self.monotonic)).0.saturating_sub(millis(ago)))
    }

    /// The end of a wait that begins now.
    pub(crate) fn plus(self, wait: Duration) -> MonotonicInstant {
        self.monotonic.plus(wait)
    }

    /// How long ago a moment of the steady clock was; zero if it is still to come.
    pub(crate) fn since(self, earlier: MonotonicInstant) -> Duration {
        self.monotonic.since(earlier)
    }
}

impl MonotonicInstant {
    /// This moment and a while.
    pub(crate) fn plus(self, while_: Duration) -> Self {
        Self(self.0.saturating_add(millis(while_)))
    }

    /// How long ago another moment was; zero if it is still to come.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Timestamp {
    /// This moment and a while.
    pub(crate) fn plus(self, while_: Duration) -> Self {
        Self(self.0.saturating_add(millis(while_)))
    }

    /// How long ago another moment was; zero if it is still to come.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// As the wire writes it.
    pub(crate) fn to_wire(self) -> prost_types::Timestamp {
        let seconds = i64::try_from(self.0 / 1000).unwrap_or(i64::MAX);
        // Below 1e9, so it fits.
        prost_types::Timestamp { seconds, nanos: (self.0 % 1000) as i32 * 1_000_000 }
    }

    /// From the wire; what is before 1970 is 1970.
    pub(crate) fn from_wire(at: &prost_types::Timestamp) -> Self {
        let seconds = u64::try_from(at.seconds).unwrap_or(0);
        Self(seconds.saturating_mul(1000).saturating_add(u64::try_from(at.nanos / 1_000_000).unwrap_or(0)))
    }

    /// The wall clock.
    pub(crate) fn wall() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::default().plus(since)
    }
}

fn millis(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}
