//! The figures that two reports are compared by.

use super::{
    super::summary::{Summary, stats::Percentiles},
    format::in_unit,
};

/// A figure, with that of an earlier report where there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Its value as people read it; a dash where it is not known.
    pub now: String,
    /// The earlier one.
    pub before: Option<String>,
    /// The change, in per cent, where both are known.
    pub change: Option<f64>,
    /// Whether the change is one for the better; none for a change of less than 5 %.
    pub better: Option<bool>,
}

/// A change smaller than this is none.
const NOISE: f64 = 5.0;

type Read = fn(&Summary) -> Option<f64>;

/// Name, unit, whether more is better, and where it is.
const FIGURES: [(&str, &str, bool, Read); 13] = [
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
    ("benchmark's CPU per run", "µs", false, |s| s.own.cpu_us_per_run),
    ("benchmark's memory", "MiB", false, |s| s.own.memory.map(|bytes| bytes as f64 / (1 << 20) as f64)),
];

fn of(percentiles: Option<&Percentiles>, pick: fn(&Percentiles) -> f64) -> Option<f64> {
    percentiles.map(pick)
}

/// The figures of a report, beside those of an earlier one.
pub fn figures(now: &Summary, before: Option<&Summary>) -> Vec<Figure> {
    let figure = |(name, unit, more_is_better, read): (&'static str, &str, bool, Read)| {
        let value = read(now);
        let earlier = before.map(read);
        let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| in_unit(value, unit));
        let change = value.zip(earlier.flatten()).filter(|(_, earlier)| *earlier != 0.0);
        let change = change.map(|(value, earlier)| (value / earlier - 1.0) * 100.0);
        Figure {
            name,
            now: shown(value),
            before: earlier.map(shown),
            change,
            better: change.filter(|change| change.abs() >= NOISE).map(|change| (change > 0.0) == more_is_better),
        }
    };
    FIGURES.into_iter().map(figure).collect()
}
