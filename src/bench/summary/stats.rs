//! Exact statistics of samples, and a histogram that costs the same however many there are.

use serde::{Deserialize, Serialize};

/// A distribution of times, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Samples.
    pub n: usize,
    /// Least.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Greatest.
    pub max: f64,
}

impl Percentiles {
    /// Of samples in microseconds; none of none.
    pub fn of(mut micros: Vec<i64>) -> Option<Self> {
        micros.sort_unstable();
        let (min, max) = (*micros.first()?, *micros.last()?);
        let ms = |micros: i64| micros as f64 / 1e3;
        let at = |share: f64| ms(nearest_rank(&micros, share));
        Some(Self {
            n: micros.len(),
            min: ms(min),
            mean: micros.iter().map(|m| *m as f64).sum::<f64>() / micros.len() as f64 / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(max),
        })
    }
}

/// The value of sorted samples below which, or at which, this share of them lies. Not for an empty slice.
fn nearest_rank(sorted: &[i64], share: f64) -> i64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Buckets for each doubling: a value is known to 5 %.
const STEPS: f64 = 8.0;
const BUCKETS: usize = 8 * 44;

/// Counts of times by the logarithm.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Histogram {
    counts: Vec<u64>,
    n: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], n: 0 }
    }
}

impl Histogram {
    /// Counts a time in microseconds.
    pub(in crate::bench) fn add(&mut self, micros: i64) {
        let bucket = ((micros.max(1) as f64).log2() * STEPS) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.n += 1;
    }

    /// The median in microseconds, to 5 %.
    pub(in crate::bench) fn median(&self) -> Option<f64> {
        let mut left = self.n.div_ceil(2);
        for (bucket, count) in self.counts.iter().enumerate() {
            if *count >= left && *count > 0 {
                return Some(2_f64.powf((bucket as f64 + 0.5) / STEPS));
            }
            left -= count;
        }
        None
    }
}

/// How many of `intervals` (from, to) overlap each step of a time line: the mean over the step.
pub(in crate::bench) fn in_use(intervals: impl Iterator<Item = (i64, i64)>, step: i64, steps: usize) -> Vec<f64> {
    let mut busy = vec![0_i64; steps];
    for (from, to) in intervals {
        let (from, to) = (from.max(0), to.min(step * steps as i64));
        let mut at = from;
        while at < to {
            let place = at / step;
            let end = ((place + 1) * step).min(to);
            busy[place as usize] += end - at;
            at = end;
        }
    }
    busy.into_iter().map(|micros| micros as f64 / step as f64).collect()
}

/// How many times fall into each step of a time line.
pub(in crate::bench) fn per_step(times: impl Iterator<Item = i64>, step: i64, steps: usize) -> Vec<u64> {
    let mut counts = vec![0; steps];
    for time in times {
        if let Some(count) = usize::try_from(time.div_euclid(step)).ok().and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_percentiles() {
        let p = Percentiles::of((1..=1000).map(|n| n * 1000).collect()).unwrap();
        assert_eq!((p.n, p.min, p.p50, p.p90, p.p99, p.p999, p.max), (1000, 1.0, 500.0, 900.0, 990.0, 999.0, 1000.0));
        assert!((p.mean - 500.5).abs() < 1e-9);
        let one = Percentiles::of(vec![7_000]).unwrap();
        assert_eq!((one.p50, one.p999), (7.0, 7.0));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn intervals_over_steps() {
        let used = in_use([(0, 10), (5, 25), (-5, 2), (90, 200)].into_iter(), 10, 3);
        assert_eq!(used, [1.7, 1.0, 0.5]);
        assert_eq!(per_step([0, 9, 10, -3, 99].into_iter(), 10, 2), [2, 1]);
    }

    proptest! {
        #[test]
        fn the_running_median_is_near_the_exact_one(micros in proptest::collection::vec(1_i64..100_000_000, 1..200)) {
            let mut histogram = Histogram::default();
            micros.iter().for_each(|m| histogram.add(*m));
            let exact = Percentiles::of(micros).unwrap().p50 * 1e3;
            let near = histogram.median().unwrap();
            prop_assert!((near / exact).ln().abs() < 0.1, "{near} {exact}");
        }

        #[test]
        fn percentiles_are_in_order(micros in proptest::collection::vec(any::<i32>().prop_map(i64::from), 1..200)) {
            let p = Percentiles::of(micros).unwrap();
            prop_assert!(p.min <= p.p50 && p.p50 <= p.p90 && p.p90 <= p.p99 && p.p99 <= p.p999 && p.p999 <= p.max);
        }
    }
}
