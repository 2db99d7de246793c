//! The metrics by which two summaries are compared.

use super::format::{change, with_unit};
use crate::bench::summary::Summary;

/// A metric of a summary, with its value in an earlier summary.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Name, as in the report.
    pub name: &'static str,
    /// Value with its unit; a dash if unknown.
    pub now: String,
    /// Value of the earlier summary, if there is one.
    pub before: Option<String>,
    /// Relative change, if both values are known.
    pub change: Option<String>,
    /// Whether the change is an improvement. `None` for a change of less than 5 %.
    pub is_better: Option<bool>,
}

/// Changes below 5 % are noise.
const NOISE: f64 = 5.0;

type Value = fn(&Summary) -> Option<f64>;

/// Name, unit, whether a greater value is better, and the value.
const METRICS: [(&str, &str, bool, Value); 16] = [
    ("accepted", "runs/s", true, |s| s.throughput.accepted),
    ("finished", "runs/s", true, |s| s.throughput.finished),
    ("queueing, median", "ms", false, |s| Some(s.latency.queueing.as_ref()?.p50)),
    ("queueing, p95", "ms", false, |s| s.latency.queueing.as_ref()?.p95),
    ("queueing, p99", "ms", false, |s| Some(s.latency.queueing.as_ref()?.p99)),
    ("running, median", "ms", false, |s| Some(s.latency.running.as_ref()?.p50)),
    ("running, p95", "ms", false, |s| s.latency.running.as_ref()?.p95),
    ("running, p99", "ms", false, |s| Some(s.latency.running.as_ref()?.p99)),
    ("total, median", "ms", false, |s| Some(s.latency.total.as_ref()?.p50)),
    ("total, p95", "ms", false, |s| s.latency.total.as_ref()?.p95),
    ("total, p99", "ms", false, |s| Some(s.latency.total.as_ref()?.p99)),
    ("total, p99.9", "ms", false, |s| Some(s.latency.total.as_ref()?.p999)),
    ("time taken", "ms", false, |s| s.slots.taken_s.map(|seconds| seconds * 1e3)),
    ("taken / ideal", "x", false, |s| Some(s.slots.taken_s? / s.slots.ideal_s.filter(|ideal| *ideal > 0.0)?)),
    ("benchmark's CPU per run", "ms", false, |s| s.overhead.cpu_us_per_run.map(|micros| micros / 1e3)),
    ("benchmark's memory", "MiB", false, |s| s.overhead.memory.map(|bytes| bytes as f64 / (1 << 20) as f64)),
];

/// Returns the metrics of a summary, compared with the metrics of an earlier summary.
pub fn metrics(now: &Summary, before: Option<&Summary>) -> Vec<Metric> {
    let metric = |(name, unit, more_is_better, value): (&'static str, &str, bool, Value)| {
        let current = value(now);
        let earlier = before.map(value);
        let text = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| with_unit(value, unit));
        let pair = current.zip(earlier.flatten()).filter(|(_, earlier)| *earlier != 0.0);
        let percent = pair.map(|(current, earlier)| (current / earlier - 1.0) * 100.0);
        Metric {
            name,
            now: text(current),
            before: earlier.map(text),
            change: percent.map(change),
            is_better: percent
                .filter(|percent| percent.abs() >= NOISE)
                .map(|percent| (percent > 0.0) == more_is_better),
        }
    };
    METRICS.into_iter().map(metric).collect()
}
