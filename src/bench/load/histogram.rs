//! A histogram with logarithmic buckets, for medians while a benchmark runs.
//!
//! Its memory and the time for a sample do not depend on the number of samples. The report has exact percentiles of the
//! recorded times instead: see [`Percentiles`](crate::bench::summary::Percentiles).

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

    /// The median in microseconds, with an error of at most 5 %. `None` without samples.
    pub(super) fn median(&self) -> Option<f64> {
        let mut remaining = self.total.div_ceil(2);
        for (bucket, count) in self.counts.iter().enumerate() {
            if *count >= remaining && *count > 0 {
                return Some(2_f64.powf((bucket as f64 + 0.5) / BUCKETS_PER_DOUBLING));
            }
            remaining -= count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn median_is_close_to_the_exact_median(mut micros in proptest::collection::vec(1_i64..100_000_000, 1..200)) {
            let mut histogram = Histogram::default();
            micros.iter().for_each(|m| histogram.add(*m));
            micros.sort_unstable();
            let exact = micros[micros.len().div_ceil(2) - 1] as f64;
            let median = histogram.median().unwrap();
            prop_assert!((median / exact).ln().abs() < 0.1, "{median} {exact}");
        }
    }
}
