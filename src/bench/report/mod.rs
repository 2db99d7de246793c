//! A benchmark's report: the same figures as Markdown and as a page that opens offline.

mod chart;
mod compare;
mod format;
mod html;
mod markdown;
mod markup;

pub use compare::{Figure, figures};
pub(super) use html::page;
pub(super) use markdown::markdown;

use super::record::run::Run;

/// What the page draws from single runs.
pub(super) struct Drawn {
    /// Due, started, finished of some runs, in seconds, in the order in which they were due.
    pub(super) lines: Vec<(f64, f64, f64)>,
    /// Of how many runs that is a sample.
    pub(super) of: usize,
    /// Queueing and running times, in milliseconds.
    pub(super) queueing: Vec<f64>,
    pub(super) running: Vec<f64>,
}

/// Lines of the timeline.
const LINES: usize = 160;

impl Drawn {
    /// From the runs that were started here and have all their times.
    pub(super) fn of<'a>(runs: impl Iterator<Item = &'a Run>) -> Self {
        let seconds = |micros: i64| micros as f64 / 1e6;
        let mut all: Vec<(f64, f64, f64)> =
            runs.filter_map(|run| Some((seconds(run.due), seconds(run.started?), seconds(run.finished?)))).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        let every = all.len().div_ceil(LINES).max(1);
        Self {
            queueing: all.iter().map(|(due, started, _)| (started - due) * 1e3).collect(),
            running: all.iter().map(|(_, started, finished)| (finished - started) * 1e3).collect(),
            of: all.len(),
            lines: all.into_iter().step_by(every).collect(),
        }
    }
}
