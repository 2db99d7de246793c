//! The summary's data, as stored in `summary.json`.
//!
//! The JSON names are stable, so that summaries of earlier versions can be compared with new summaries: `serde(rename)`
//! preserves the name of a field whose Rust name differs. Times are in milliseconds unless the name has another unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{machine::Machine, percentiles::Percentiles};

/// The results of a benchmark, without its run records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Prefix of all run keys.
    pub prefix: String,
    /// `complete`, `interrupted` or `timed out`.
    pub state: String,
    /// Start, in RFC 3339.
    #[serde(rename = "began")]
    pub started: String,
    /// Time from the start to the last received finish, in seconds.
    pub seconds: f64,
    /// Engine, program and machine of the benchmark.
    #[serde(rename = "place")]
    pub environment: Environment,
    /// Settings of the submission.
    pub settings: Settings,
    /// Outcomes of the runs, by task.
    pub outcomes: BTreeMap<String, OutcomeCounts>,
    /// Deduplication by run keys.
    pub dedupe: Dedupe,
    /// Rates of the runs that were started by this benchmark.
    pub throughput: Throughput,
    /// Times of the runs that were started by this benchmark, over all tasks.
    pub latency: Latency,
    /// Times by task.
    pub latency_by_task: BTreeMap<String, Latency>,
    /// Use of the workers' slots.
    pub slots: SlotUsage,
    /// Errors, the most frequent first.
    pub errors: Vec<ErrorGroup>,
    /// Resources that the benchmark itself used.
    #[serde(rename = "own")]
    pub overhead: Overhead,
    /// Limits to the validity of the metrics, as sentences.
    #[serde(rename = "doubts")]
    pub warnings: Vec<String>,
    /// Rates and slots over time.
    pub series: Series,
}

/// Engine, program and machine of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// `embedded` or `Hatchet`.
    pub engine: String,
    /// Version that the engine reports.
    pub engine_version: String,
    /// Address of the engine.
    pub address: String,
    /// Version of this program.
    pub version: String,
    /// Whether this program was built with optimization.
    #[serde(rename = "optimised")]
    pub optimized: bool,
    /// The command line.
    pub command: String,
    /// The machine of the benchmark.
    pub machine: Machine,
}

/// Settings of the submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The tasks with their workflows and inputs.
    pub tasks: Vec<TaskSettings>,
    /// Number of runs of each task.
    pub runs: usize,
    /// Maximum number of runs in one bulk call.
    pub batch: usize,
    /// Runs per second in open loop. `None` in closed loop.
    pub rate: Option<f64>,
    /// Time limit, in seconds.
    pub timeout_s: f64,
}

/// A task of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSettings {
    /// Name given by the user.
    pub name: String,
    /// Workflow that was triggered.
    pub workflow: String,
    /// Template of the input.
    pub input: String,
}

/// Outcomes of a task's runs. Every run counts in `total` and in exactly one of the other fields; a duplicate also
/// counts in `duplicates`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// Number of runs.
    pub total: usize,
    /// Runs that are duplicates of an earlier run.
    pub duplicates: usize,
    /// Runs that completed.
    pub completed: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Runs that were cancelled, or that no worker accepted within the schedule timeout.
    pub cancelled: usize,
    /// Runs that the engine refused.
    pub refused: usize,
    /// Runs that were accepted and whose outcome is unknown.
    pub unaccounted: usize,
    /// Runs whose start is unknown, because the response to their submission was lost.
    #[serde(default)]
    pub unconfirmed: usize,
    /// Runs that were not submitted.
    pub not_submitted: usize,
}

/// Deduplication by run keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dedupe {
    /// Whether the engine deduplicates.
    #[serde(rename = "on")]
    pub enabled: bool,
    /// Time at which the first key of this benchmark expires, in RFC 3339.
    #[serde(rename = "until")]
    pub first_expiry: Option<String>,
    /// Runs that were started.
    pub started: usize,
    /// Runs that are duplicates of an earlier run.
    pub duplicates: usize,
    /// Result of the second submission, if it was requested.
    pub verified: Option<Verification>,
}

/// The result of submitting every run a second time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Runs that were refused as duplicates of themselves.
    pub refused: usize,
    /// Executions that the tasks recorded. `None` if they did not record them.
    pub executions: Option<usize>,
    /// Violations of deduplication, one line for each.
    #[serde(rename = "wrong")]
    pub violations: Vec<String>,
}

/// Runs per second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Accepted runs, from the first submission to the last acceptance.
    pub accepted: Option<f64>,
    /// Finished runs, from the first submission to the last received finish.
    #[serde(rename = "ended")]
    pub finished: Option<f64>,
}

/// Distributions of times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Time from a run's due time to its acceptance.
    pub accepting: Option<Percentiles>,
    /// Time from a run's due time to its start on a worker.
    pub queueing: Option<Percentiles>,
    /// Time from a run's start to its finish.
    pub running: Option<Percentiles>,
    /// Time from a run's finish, by the engine's clock, until the benchmark was notified of it.
    #[serde(rename = "telling")]
    pub notifying: Option<Percentiles>,
    /// Time from a run's due time until the benchmark was notified of its finish.
    pub total: Option<Percentiles>,
}

/// Use of the slots of the workers that serve the tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotUsage {
    /// Total slots, by slot pool.
    pub limits: BTreeMap<String, i64>,
    /// Maximum number of concurrent runs.
    pub peak: Option<f64>,
    /// Minimum time that the runs need on these slots, in seconds: the running time per slot in the busiest slot pool,
    /// or the running time of the longest run if that is longer.
    pub ideal_s: Option<f64>,
    /// Sum of the running times, in seconds, by slot pool. Empty in summaries of earlier versions.
    #[serde(default)]
    pub running_s: BTreeMap<String, f64>,
    /// Running time of the longest run, in seconds. `None` in summaries of earlier versions.
    #[serde(default)]
    pub longest_s: Option<f64>,
    /// Time from the first start to the last finish, in seconds.
    pub taken_s: Option<f64>,
}

/// Runs with the same error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorGroup {
    /// First line of the error, with the run's id replaced.
    pub text: String,
    /// Number of runs.
    pub runs: usize,
    /// Id of one of the runs.
    pub example: Option<String>,
}

/// Resources that the benchmark itself used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// CPU time until the last finish, in seconds.
    pub cpu_s: Option<f64>,
    /// CPU time per run, in microseconds.
    pub cpu_us_per_run: Option<f64>,
    /// Peak memory, in bytes.
    pub memory: Option<u64>,
}

/// Values over time, in equal steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Length of a step.
    pub step_ms: f64,
    /// Accepted runs per second.
    pub accepted: Vec<f64>,
    /// Finished runs per second.
    #[serde(rename = "ended")]
    pub finished: Vec<f64>,
    /// Slots in use, as the mean over the step.
    pub in_use: Vec<f64>,
}

impl OutcomeCounts {
    /// Returns the sums of these counts and the counts of another task.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            total: self.total + other.total,
            duplicates: self.duplicates + other.duplicates,
            completed: self.completed + other.completed,
            failed: self.failed + other.failed,
            cancelled: self.cancelled + other.cancelled,
            refused: self.refused + other.refused,
            unaccounted: self.unaccounted + other.unaccounted,
            unconfirmed: self.unconfirmed + other.unconfirmed,
            not_submitted: self.not_submitted + other.not_submitted,
        }
    }
}

impl Summary {
    /// Outcomes of all tasks together.
    pub fn all(&self) -> OutcomeCounts {
        self.outcomes.values().fold(OutcomeCounts::default(), |all, task| all.plus(task))
    }

    /// Whether every run completed and no violation of deduplication was found.
    pub fn is_success(&self) -> bool {
        let all = self.all();
        all.completed == all.total && self.dedupe.verified.as_ref().is_none_or(|v| v.violations.is_empty())
    }
}
