//! The clocks of the system, as the state wants them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::engine::state::{ClockReading, MonotonicInstant, Timestamp};

/// Reads the clocks.
#[derive(Debug)]
pub(crate) struct Time {
    begun: Instant,
    /// The latest that the wall clock has been.
    shown: AtomicU64,
}

impl Time {
    /// Its steady clock begins here.
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now(), shown: AtomicU64::new(0) }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> ClockReading {
        self.at(Timestamp::wall(), self.begun.elapsed())
    }

    fn at(&self, wall: Timestamp, steady: Duration) -> ClockReading {
        let before = self.shown.fetch_max(wall.0, Ordering::Relaxed);
        ClockReading {
            wall,
            display: Timestamp(before.max(wall.0)),
            monotonic: MonotonicInstant::default().plus(steady),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_goes_with_the_wall_clock_and_never_back() {
        let time = Time::start();
        let read = |wall, steady| {
            let now = time.at(Timestamp(wall), Duration::from_millis(steady));
            assert_eq!((now.wall, now.monotonic), (Timestamp(wall), MonotonicInstant(steady)));
            now.display.0
        };
        // Set forward by an hour, set back by two, and on until it has caught up.
        assert_eq!(
            [read(10_000_000, 5), read(13_600_010, 10), read(6_400_020, 20)],
            [10_000_000, 13_600_010, 13_600_010]
        );
        assert_eq!([read(13_600_009, 30), read(13_600_020, 40)], [13_600_010, 13_600_020]);
    }
}
