//! Wall-clock times of messages.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// A time of the wall clock, in milliseconds since 1970-01-01 UTC. Displayed in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Timestamp(pub(crate) u64);

impl Timestamp {
    /// Reads the wall clock.
    pub(crate) fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::default().plus(since_epoch)
    }

    /// Adds a duration, saturating.
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
    pub(crate) fn from_wire(timestamp: &prost_types::Timestamp) -> Self {
        let seconds = u64::try_from(timestamp.seconds).unwrap_or(0);
        Self(seconds.saturating_mul(1000).saturating_add(u64::try_from(timestamp.nanos / 1_000_000).unwrap_or(0)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_wire().fmt(f)
    }
}

/// Whole milliseconds of a duration, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_keeps_milliseconds_on_the_wire() {
        let timestamp = Timestamp(1_700_000_000_123);
        assert_eq!(Timestamp::from_wire(&timestamp.to_wire()), timestamp);
        assert_eq!(timestamp.to_string(), "2023-11-14T22:13:20.123Z");
        let before_1970 = prost_types::Timestamp { seconds: -1, nanos: -5 };
        assert_eq!(Timestamp::from_wire(&before_1970), Timestamp(0));
    }
}
