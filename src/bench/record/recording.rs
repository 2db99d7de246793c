//! The recording of a benchmark, and the reason for its end.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::run::{Micros, RunRecords};

/// Slots in use and in total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotCount {
    /// Slots that attempts occupy, on all workers of the pool.
    pub used: i64,
    /// Slots in use and free, on all workers of the pool.
    pub total: i64,
}

/// Slots by slot pool.
pub(in crate::bench) type SlotsByPool = BTreeMap<&'static str, SlotCount>;

/// The reason for the end of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Every run has finished, except runs whose start or outcome is unknown.
    Completed,
    /// The caller stopped it.
    Interrupted,
    /// The time limit of the plan passed.
    TimedOut,
}

/// The recording of a benchmark, from the first submission to the last finish.
pub(in crate::bench) struct Recording {
    pub(in crate::bench) end: EndReason,
    /// Start by the wall clock. All [`Micros`] count from it.
    pub(in crate::bench) started: SystemTime,
    /// Time from the start to the end of the recording.
    pub(in crate::bench) duration: Micros,
    pub(in crate::bench) runs: RunRecords,
    /// Maximum of the slots in use and in total, by pool.
    pub(in crate::bench) slots: SlotsByPool,
    /// Number of jumps of the wall clock against the monotonic clock.
    pub(in crate::bench) clock_jumps: usize,
    /// Number of outages.
    pub(in crate::bench) outages: usize,
    /// Total duration of the outages.
    pub(in crate::bench) outage_time: Duration,
    /// Present if the plan verifies deduplication.
    pub(in crate::bench) second_pass: Option<SecondPass>,
}

/// Results of the second submission of every run.
#[derive(Debug, Clone, Default)]
pub(in crate::bench) struct SecondPass {
    /// Number of runs that were refused as duplicates of their first submission.
    pub(in crate::bench) refused: usize,
    /// A line for each run that was started again, or refused as a duplicate of another run.
    pub(in crate::bench) violations: Vec<String>,
}
