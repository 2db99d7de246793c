//! A duration histogram with fixed buckets, in the form of Prometheus.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets in milliseconds. Longer durations are in the total count only.
const BOUNDS_MS: [u64; 12] = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 60_000, 300_000, 3_600_000];

/// Counts durations by size, without locks.
#[derive(Debug, Default)]
pub(in crate::hatchet::worker) struct Histogram {
    /// Each duration is counted once, in the first bucket whose bound it does not exceed; the last bucket has no bound.
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_micros: AtomicU64,
}

/// A snapshot of a histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durations {
    /// Upper bounds, each with the number of durations that do not exceed it.
    pub up_to: Vec<(Duration, u64)>,
    /// Number of durations.
    pub count: u64,
    /// Sum of all durations, with a resolution of 1 µs.
    pub sum: Duration,
}

impl Histogram {
    pub(in crate::hatchet::worker) fn record(&self, duration: Duration) {
        let bucket = BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < duration);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Durations {
        let mut count = 0;
        let cumulative: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| {
                count += bucket.load(Ordering::Relaxed);
                count
            })
            .collect();
        Durations {
            up_to: BOUNDS_MS.into_iter().map(Duration::from_millis).zip(cumulative).collect(),
            count,
            sum: Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_counts_are_cumulative() {
        let histogram = Histogram::default();
        for millis in [1, 2, 700, 7_200_000] {
            histogram.record(Duration::from_millis(millis));
        }
        let snapshot = histogram.snapshot();
        let count =
            |millis| snapshot.up_to.iter().find(|(bound, _)| *bound == Duration::from_millis(millis)).unwrap().1;
        assert_eq!([count(1), count(5), count(500), count(1_000), count(3_600_000)], [1, 2, 2, 3, 3]);
        assert_eq!((snapshot.count, snapshot.sum), (4, Duration::from_millis(7_200_703)));
    }
}
