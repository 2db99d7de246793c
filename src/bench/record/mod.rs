//! What a benchmark records: a record for each run, and the report folder that it is written to.
//!
//! [`run`] holds the records, [`times`] completes them from the engine's REST list, [`executions`] checks them against
//! the attempts that the tasks counted, and [`folder`] writes them to disk while the benchmark runs.

mod executions;
mod folder;
mod run;
mod times;

pub(super) use executions::check_executions;
pub use folder::ReportFolder;
pub(super) use folder::SUMMARY;
pub(super) use run::{Acceptance, Micros, RunRecord, RunRecords};
pub(super) use times::fill_times;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// Slots in use and in total, by slot pool.
pub(super) type SlotsByPool = BTreeMap<&'static str, (i64, i64)>;

/// Why a benchmark ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Every run has ended, or its end cannot be known.
    Completed,
    /// The caller stopped it.
    Interrupted,
    /// The time limit of the plan passed.
    TimedOut,
}

/// Everything that was recorded from the first submission to the last end.
pub(super) struct Recording {
    pub(super) end: EndReason,
    /// The start by the wall clock. All [`Micros`] count from it.
    pub(super) began: SystemTime,
    /// From the start to the end of the recording.
    pub(super) duration: Micros,
    pub(super) runs: RunRecords,
    /// The largest values seen of the slots in use and in total, by pool.
    pub(super) slots: SlotsByPool,
    /// Number of jumps of the wall clock against the monotonic clock.
    pub(super) clock_jumps: usize,
    /// Number of times that the engine did not answer, and the total duration.
    pub(super) outages: (usize, Duration),
    /// Present if the plan verifies deduplication.
    pub(super) second_pass: Option<SecondPass>,
}

/// Answers to the second submission of every run.
#[derive(Debug, Clone, Default)]
pub(super) struct SecondPass {
    /// Number of runs that were refused as duplicates of the right run.
    pub(super) refused: usize,
    /// One line for each run that was started again, or reported as a duplicate of another run.
    pub(super) violations: Vec<String>,
}
