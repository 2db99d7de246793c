//! Time as the state sees it.

use std::time::{Duration, SystemTime};

/// A moment in milliseconds since 1970, by a clock that never goes back.
///
/// The driver reads the wall clock once and counts on from there, so a clock that is set back moves no deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// This moment and a while.
    pub(crate) fn plus(self, while_: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(while_.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago another moment was; zero if it is still to come.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// As the wire writes it.
    pub(crate) fn timestamp(self) -> prost_types::Timestamp {
        let seconds = i64::try_from(self.0 / 1000).unwrap_or(i64::MAX);
        // Below 1e9, so it fits.
        prost_types::Timestamp { seconds, nanos: (self.0 % 1000) as i32 * 1_000_000 }
    }

    /// From the wire; what is before 1970 is 1970.
    pub(crate) fn from_timestamp(at: &prost_types::Timestamp) -> Self {
        let seconds = u64::try_from(at.seconds).unwrap_or(0);
        Self(seconds.saturating_mul(1000).saturating_add(u64::try_from(at.nanos / 1_000_000).unwrap_or(0)))
    }

    /// The wall clock.
    pub(crate) fn wall() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::default().plus(since)
    }
}
