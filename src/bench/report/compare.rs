//! The figures by which two summaries are compared.

use super::format::with_unit;
use crate::bench::summary::{Percentiles, Summary};

/// A figure, with its value in an earlier summary.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name.
    pub name: &'static str,
    /// Value with its unit; a dash if unknown.
    pub now: String,
    /// Value of the earlier summary, if there is one.
    pub before: Option<String>,
    /// Change in per cent, if both values are known.
    pub change: Option<f64>,
    /// Whether the change is an improvement. `None` for a change of less than 5 %.
    pub better: Option<bool>,
}

/// Changes below 5 % are noise.
const NOISE: f64 = 5.0;

type Value = fn(&Summary) -> Option<f64>;

/// Name, unit, whether a greater value is better, and the value.
const FIGURES: [(&str, &str, bool, Value); 13] = [
    ("accepted", "runs/s", true, |s| s.throughput.accepted),
    ("ended", "runs/s", true, |s| s.throughput.ended),
    ("queueing, median", "ms", false, |s| of(s.latency.queueing.as_ref(), |p| p.p50)),
    ("queueing, p99", "ms", false, |s| of(s.latency.queueing.as_ref(), |p| p.p99)),
    ("running, median", "ms", false, |s| of(s.latency.running.as_ref(), |p| p.p50)),
    ("running, p99", "ms", false, |s| of(s.latency.running.as_ref(), |p| p.p99)),
    ("total, median", "ms", false, |s| of(s.latency.total.as_ref(), |p| p.p50)),
    ("total, p99", "ms", false, |s| of(s.latency.total.as_ref(), |p| p.p99)),
    ("total, p99.9", "ms", false, |s| of(s.latency.total.as_ref(), |p| p.p999)),
    ("time taken", "s", false, |s| s.slots.taken_s),
    ("taken / ideal", "x", false, |s| Some(s.slots.taken_s? / s.slots.ideal_s.filter(|ideal| *ideal > 0.0)?)),
    ("benchmark's CPU per run", "µs", false, |s| s.overhead.cpu_us_per_run),
    ("benchmark's memory", "MiB", false, |s| s.overhead.memory.map(|bytes| bytes as f64 / (1 << 20) as f64)),
];

fn of(percentiles: Option<&Percentiles>, pick: fn(&Percentiles) -> f64) -> Option<f64> {
    percentiles.map(pick)
}

/// The figures of a summary, compared with those of an earlier one.
pub fn figures(now: &Summary, before: Option<&Summary>) -> Vec<Figure> {
    let figure = |(name, unit, more_is_better, value): (&'static str, &str, bool, Value)| {
        let current = value(now);
        let earlier = before.map(value);
        let text = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| with_unit(value, unit));
        let change = current.zip(earlier.flatten()).filter(|(_, earlier)| *earlier != 0.0);
        let change = change.map(|(current, earlier)| (current / earlier - 1.0) * 100.0);
        Figure {
            name,
            now: text(current),
            before: earlier.map(text),
            change,
            better: change.filter(|change| change.abs() >= NOISE).map(|change| (change > 0.0) == more_is_better),
        }
    };
    FIGURES.into_iter().map(figure).collect()
}
