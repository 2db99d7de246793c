//! The system's clocks, for the state machine.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::engine::state::{ClockReading, MonotonicInstant, Timestamp};

/// Reads the system's clocks. Tests can set them forward.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
    /// The latest time that the wall clock has shown, in milliseconds since 1970.
    display: AtomicU64,
    /// Time by which all clocks were set forward, in milliseconds.
    #[cfg(feature = "testing")]
    advanced: AtomicU64,
}

impl SystemClock {
    /// A clock whose monotonic instants count from now.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            display: AtomicU64::new(0),
            #[cfg(feature = "testing")]
            advanced: AtomicU64::new(0),
        }
    }

    /// Reads the wall clock and the monotonic clock at one time.
    pub(crate) fn now(&self) -> ClockReading {
        #[cfg(feature = "testing")]
        {
            let advanced = Duration::from_millis(self.advanced.load(Ordering::Relaxed));
            self.reading(Timestamp::now().plus(advanced), self.start.elapsed() + advanced)
        }
        #[cfg(not(feature = "testing"))]
        self.reading(Timestamp::now(), self.start.elapsed())
    }

    /// Sets all clocks forward, by whole milliseconds.
    #[cfg(feature = "testing")]
    pub(super) fn advance(&self, by: Duration) {
        self.advanced.fetch_add(crate::hatchet::wire::millis(by), Ordering::Relaxed);
    }

    fn reading(&self, wall: Timestamp, elapsed: Duration) -> ClockReading {
        let before = self.display.fetch_max(wall.0, Ordering::Relaxed);
        let display = Timestamp(before.max(wall.0));
        ClockReading { wall, display, monotonic: MonotonicInstant::default().plus(elapsed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_time_follows_wall_clock_and_never_decreases() {
        let clock = SystemClock::start();
        let read = |wall, elapsed| {
            let now = clock.reading(Timestamp(wall), Duration::from_millis(elapsed));
            assert_eq!((now.wall, now.monotonic), (Timestamp(wall), MonotonicInstant(elapsed)));
            now.display.0
        };
        // The clock is set forward by an hour, then back by two, and runs until it has caught up.
        assert_eq!(
            [read(10_000_000, 5), read(13_600_010, 10), read(6_400_020, 20)],
            [10_000_000, 13_600_010, 13_600_010]
        );
        assert_eq!([read(13_600_009, 30), read(13_600_020, 40)], [13_600_010, 13_600_020]);
    }
}
