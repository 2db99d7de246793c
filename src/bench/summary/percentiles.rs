//! Exact percentiles of recorded times.

use serde::{Deserialize, Serialize};

/// A distribution of times, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Number of samples.
    pub n: usize,
    /// Minimum.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile. `None` in a summary that an earlier version has written.
    #[serde(default)]
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Maximum.
    pub max: f64,
}

impl Percentiles {
    /// Computes the distribution of samples in microseconds. `None` without samples.
    pub fn from_micros(mut micros: Vec<i64>) -> Option<Self> {
        micros.sort_unstable();
        let (min, max) = (*micros.first()?, *micros.last()?);
        let ms = |micros: i64| micros as f64 / 1e3;
        let percentile = |share: f64| ms(nearest_rank(&micros, share));
        Some(Self {
            n: micros.len(),
            min: ms(min),
            mean: micros.iter().map(|m| *m as f64).sum::<f64>() / micros.len() as f64 / 1e3,
            p50: percentile(0.5),
            p90: percentile(0.9),
            p95: Some(percentile(0.95)),
            p99: percentile(0.99),
            p999: percentile(0.999),
            max: ms(max),
        })
    }
}

/// The nearest-rank percentile: the smallest sample such that at least this share of the samples is less or equal. The
/// slice must be sorted and not empty.
fn nearest_rank(sorted: &[i64], share: f64) -> i64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let p = Percentiles::from_micros((1..=1000).map(|n| n * 1000).collect()).unwrap();
        assert_eq!((p.n, p.min, p.p50, p.p90, p.p99, p.p999, p.max), (1000, 1.0, 500.0, 900.0, 990.0, 999.0, 1000.0));
        assert_eq!(p.p95, Some(950.0));
        assert!((p.mean - 500.5).abs() < 1e-9);
        let one = Percentiles::from_micros(vec![7_000]).unwrap();
        assert_eq!((one.p50, one.p999), (7.0, 7.0));
        assert_eq!(Percentiles::from_micros(Vec::new()), None);
    }

    #[test]
    fn distribution_without_p95_is_accepted() {
        let text = r#"{"n":1,"min":1,"mean":1,"p50":1,"p90":1,"p99":1,"p999":1,"max":1}"#;
        assert_eq!(serde_json::from_str::<Percentiles>(text).unwrap().p95, None);
    }

    proptest! {
        #[test]
        fn percentiles_ascend(micros in proptest::collection::vec(any::<i32>().prop_map(i64::from), 1..200)) {
            let p = Percentiles::from_micros(micros).unwrap();
            let all = [p.min, p.p50, p.p90, p.p95.unwrap(), p.p99, p.p999, p.max];
            prop_assert!(all.is_sorted(), "{all:?}");
        }
    }
}
