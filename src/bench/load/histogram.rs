//! A histogram with logarithmic buckets, for percentiles while a benchmark runs.
//!
//! Its memory and the time for a sample do not depend on the number of samples. The report has exact percentiles of the
//! recorded times instead: see [`Percentiles`](crate::bench::summary::Percentiles).

use std::time::Duration;

/// Buckets per doubling. With 8, the error of a value is at most 5 %.
const BUCKETS_PER_DOUBLING: f64 = 8.0;
/// Buckets for 44 doublings of a microsecond: 200 days.
const BUCKETS: usize = 8 * 44;

/// Counts of times, by logarithm.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    /// Adds a time in microseconds.
    pub(super) fn add(&mut self, micros: i64) {
        let bucket = ((micros.max(1) as f64).log2() * BUCKETS_PER_DOUBLING) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.total += 1;
    }

    /// The times that these shares of the samples do not exceed, each with an error of at most 5 %. `None` without
    /// samples.
    pub(super) fn percentiles<const N: usize>(&self, shares: [f64; N]) -> Option<[Duration; N]> {
        (self.total > 0).then(|| shares.map(|share| self.percentile(share)))
    }

    fn percentile(&self, share: f64) -> Duration {
        let rank = (share * self.total as f64).ceil() as u64;
        let mut counted = 0;
        let reached = |count: &u64| {
            counted += count;
            counted >= rank.max(1)
        };
        let bucket = self.counts.iter().position(reached).unwrap_or(BUCKETS - 1);
        Duration::from_secs_f64(2_f64.powf((bucket as f64 + 0.5) / BUCKETS_PER_DOUBLING) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bench::summary::Percentiles;

    #[test]
    fn histogram_without_samples_has_no_percentiles() {
        assert_eq!(Histogram::default().percentiles([0.5]), None);
    }

    proptest! {
        #[test]
        fn percentile_is_close_to_the_exact_percentile(
            micros in proptest::collection::vec(1_i64..100_000_000, 1..200),
        ) {
            let mut histogram = Histogram::default();
            micros.iter().for_each(|m| histogram.add(*m));
            let exact = Percentiles::from_micros(micros).unwrap();
            let percentiles = histogram.percentiles([0.5, 0.95, 0.99]).unwrap();
            for (percentile, exact) in percentiles.iter().zip([exact.p50, exact.p95.unwrap(), exact.p99]) {
                let ms = percentile.as_secs_f64() * 1e3;
                prop_assert!((ms / exact).ln().abs() < 0.1, "{ms} {exact}");
            }
        }
    }
}
