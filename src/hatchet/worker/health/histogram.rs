//! Durations, counted by size.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets, in milliseconds; what is longer counts in none of them.
const BOUNDS_MS: [u64; 12] = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 60_000, 300_000, 3_600_000];

/// Counts durations. Never waits.
#[derive(Debug, Default)]
pub(in crate::hatchet::worker) struct Histogram {
    /// Each duration counts in the smallest bucket that holds it; the last is for those that none holds.
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_micros: AtomicU64,
}

/// What a histogram holds at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durations {
    /// Upper bounds, and how many durations were no longer than each.
    pub up_to: Vec<(Duration, u64)>,
    /// How many in all.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

impl Histogram {
    pub(in crate::hatchet::worker) fn add(&self, duration: Duration) {
        let bucket = BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < duration);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(in crate::hatchet::worker) fn read(&self) -> Durations {
        let mut count = 0;
        let counts: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| {
                count += bucket.load(Ordering::Relaxed);
                count
            })
            .collect();
        Durations {
            up_to: BOUNDS_MS.into_iter().map(Duration::from_millis).zip(counts).collect(),
            count,
            sum: Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for millis in [1, 2, 700, 7_200_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let read = histogram.read();
        let at = |millis| read.up_to.iter().find(|(bound, _)| *bound == Duration::from_millis(millis)).unwrap().1;
        assert_eq!([at(1), at(5), at(500), at(1_000), at(3_600_000)], [1, 2, 2, 3, 3]);
        assert_eq!((read.count, read.sum), (4, Duration::from_millis(7_200_703)));
    }
}
