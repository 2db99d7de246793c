//! Times of single runs, for the charts.

use crate::bench::record::RunRecord;

/// Maximum number of bars of the timeline.
const MAX_BARS: usize = 160;

/// A run on the timeline: due, started and finished, in seconds since the start.
pub(super) type Bar = (f64, f64, f64);

/// The values of the charts. Runs without a start or a finish are left out.
pub(in crate::bench) struct ChartData {
    /// A sample of the runs, ordered by start.
    pub(super) bars: Vec<Bar>,
    /// Number of runs from which the sample was taken.
    pub(super) runs: usize,
    /// Queueing times, in milliseconds.
    pub(super) queueing: Vec<f64>,
    /// Running times, in milliseconds.
    pub(super) running: Vec<f64>,
}

impl ChartData {
    pub(in crate::bench) fn new<'a>(runs: impl Iterator<Item = &'a RunRecord>) -> Self {
        let seconds = |micros: i64| micros as f64 / 1e6;
        let mut all: Vec<Bar> =
            runs.filter_map(|run| Some((seconds(run.due), seconds(run.started?), seconds(run.finished?)))).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        let step = all.len().div_ceil(MAX_BARS).max(1);
        Self {
            queueing: all.iter().map(|(due, started, _)| (started - due) * 1e3).collect(),
            running: all.iter().map(|(_, started, finished)| (finished - started) * 1e3).collect(),
            runs: all.len(),
            bars: all.into_iter().step_by(step).collect(),
        }
    }
}
