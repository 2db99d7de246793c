//! The progress of a benchmark, for its caller.

use std::time::Duration;

use super::record::SlotCount;

/// Receives the progress of a benchmark.
pub trait Observer: Send {
    /// Called every second, and once at the end.
    fn progress(&mut self, progress: &Progress);
    /// Called with a line that the user should read, such as the start of an outage.
    fn note(&mut self, line: &str);
}

/// The progress of a benchmark.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Time since the start.
    pub elapsed: Duration,
    /// Counts and latencies of each task.
    pub tasks: Vec<TaskProgress>,
    /// Runs that finished per second, over the last 5 s.
    pub rate: f64,
    /// Estimated time until all runs have finished, at the current rate.
    pub remaining: Option<Duration>,
    /// Slots of the workers that serve the tasks. `None` if unknown.
    pub slots: Option<SlotCount>,
}

/// The progress of a task's runs.
#[derive(Debug, Clone, Default)]
pub struct TaskProgress {
    /// Name given by the user.
    pub name: String,
    /// Number of runs.
    pub total: usize,
    /// Runs that the engine accepted, duplicates of earlier runs included.
    pub accepted: usize,
    /// Duplicates of earlier runs.
    pub duplicates: usize,
    /// Runs that the engine refused.
    pub refused: usize,
    /// Runs that completed.
    pub completed: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Runs that were cancelled, or that no worker accepted within the schedule timeout.
    pub cancelled: usize,
    /// Runs whose start or outcome is unknown.
    pub unaccounted: usize,
    /// 50th, 95th and 99th percentile of the time from a run's due time until the benchmark was notified of its finish,
    /// with an error of at most 5 %. Runs of earlier benchmarks do not count.
    pub percentiles: Option<[Duration; 3]>,
}

impl TaskProgress {
    /// Number of runs that the benchmark no longer waits for.
    pub fn finished(&self) -> usize {
        self.completed + self.failed + self.cancelled + self.unaccounted + self.refused
    }
}
