//! A benchmark's figures: what `summary.json` holds, and the reports show.

pub(in crate::bench) mod compute;
pub(in crate::bench) mod machine;
pub(in crate::bench) mod stats;
mod warnings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::{machine::Machine, stats::Percentiles};

/// Everything about a benchmark but its single runs. Times are in milliseconds where their name does not say else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What all run keys begin with.
    pub prefix: String,
    /// `complete`, `interrupted`, `timed out`.
    pub state: String,
    /// RFC 3339.
    pub began: String,
    /// From the start to the last run seen to end, in seconds.
    pub seconds: f64,
    /// Where it ran.
    pub place: Place,
    /// What was asked for.
    pub settings: Settings,
    /// What became of the runs, by task.
    pub outcomes: BTreeMap<String, Outcomes>,
    /// Dedupe by run keys.
    pub dedupe: Dedupe,
    /// Runs a second.
    pub throughput: Throughput,
    /// Times of the runs that were started here, over all tasks.
    pub latency: Latency,
    /// The same by task.
    pub latency_by_task: BTreeMap<String, Latency>,
    /// Slots of the workers.
    pub slots: Slots,
    /// Error texts, the most frequent first.
    pub errors: Vec<ErrorGroup>,
    /// What the benchmark itself took.
    pub own: Own,
    /// What makes the figures doubtful, in words.
    pub doubts: Vec<String>,
    /// The course of it.
    pub series: Series,
}

/// Where a benchmark ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// `embedded` or `Hatchet`.
    pub engine: String,
    /// As the engine says.
    pub engine_version: String,
    /// Its address.
    pub address: String,
    /// This program's version.
    pub version: String,
    /// Whether this program was built with optimisation.
    pub optimised: bool,
    /// The command line.
    pub command: String,
    /// The machine of the benchmark.
    pub machine: Machine,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Task, workflow and input of each.
    pub tasks: Vec<TaskSettings>,
    /// Runs of each task.
    pub runs: usize,
    /// Runs in one call at most.
    pub batch: usize,
    /// Runs a second, in open loop.
    pub rate: Option<f64>,
    /// Longest time, in seconds.
    pub timeout_s: f64,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSettings {
    /// The name that was asked for.
    pub name: String,
    /// The workflow that was triggered.
    pub workflow: String,
    /// The input's template.
    pub input: String,
}

/// What became of a task's runs. All but the first two are parts of `total`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Runs that were asked for.
    pub total: usize,
    /// Of all, those that an earlier run stood for.
    pub duplicates: usize,
    /// Ended well.
    pub completed: usize,
    /// Ended with an error.
    pub failed: usize,
    /// Cancelled, or not taken by a worker in time.
    pub cancelled: usize,
    /// Refused by the engine.
    pub refused: usize,
    /// Accepted, and their end is not known.
    pub unaccounted: usize,
    /// Not known whether they started: the answer to their submission was lost.
    #[serde(default)]
    pub unconfirmed: usize,
    /// Not submitted.
    pub not_submitted: usize,
}

/// Dedupe by run keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dedupe {
    /// Whether the engine deduplicates.
    pub on: bool,
    /// RFC 3339: until when the keys of this benchmark hold at least.
    pub until: Option<String>,
    /// Runs that were started.
    pub started: usize,
    /// Runs that an earlier one stood for.
    pub duplicates: usize,
    /// The second submission of everything, where it was asked for.
    pub verified: Option<Verification>,
}

/// What a second submission of every run found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Runs that were refused as duplicates of themselves.
    pub refused: usize,
    /// Executions that the tasks counted; none where they were not asked to.
    pub executions: Option<usize>,
    /// What was wrong, a line each.
    pub wrong: Vec<String>,
}

/// Runs a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Accepted, from the first submission to the last acceptance.
    pub accepted: Option<f64>,
    /// Ended, from the first submission to the last end that was seen.
    pub ended: Option<f64>,
}

/// Distributions of times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From due to accepted.
    pub accepting: Option<Percentiles>,
    /// From due to started.
    pub queueing: Option<Percentiles>,
    /// From started to finished.
    pub running: Option<Percentiles>,
    /// From finished, by the engine, to seen here.
    pub telling: Option<Percentiles>,
    /// From due to seen.
    pub total: Option<Percentiles>,
}

/// Slots of the workers that have the tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Slots {
    /// Slots in all, by type.
    pub limits: BTreeMap<String, i64>,
    /// Most slots in use at a time, as runs overlapped.
    pub peak: Option<f64>,
    /// The time that the runs need at least on so many slots, in seconds.
    pub ideal_s: Option<f64>,
    /// The time that they took, from the first start to the last finish, in seconds.
    pub taken_s: Option<f64>,
}

/// Runs that failed alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorGroup {
    /// The first line, without the run's own id.
    pub text: String,
    /// How many.
    pub runs: usize,
    /// One of them.
    pub example: Option<String>,
}

/// What the benchmark itself took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Own {
    /// Time on a core, in seconds, to the last end.
    pub cpu_s: Option<f64>,
    /// The same for each run, in microseconds.
    pub cpu_us_per_run: Option<f64>,
    /// Most memory, in bytes.
    pub memory: Option<u64>,
}

/// The course of a benchmark in equal steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Length of a step.
    pub step_ms: f64,
    /// Runs a second that were accepted.
    pub accepted: Vec<f64>,
    /// Runs a second that ended.
    pub ended: Vec<f64>,
    /// Slots in use, the mean over the step.
    pub in_use: Vec<f64>,
}

impl Outcomes {
    /// Of another task as well.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
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
    /// Of all tasks together.
    pub fn all(&self) -> Outcomes {
        self.outcomes.values().fold(Outcomes::default(), |all, task| all.and(task))
    }

    /// Whether every run ended well, and dedupe, where it was to be verified, held.
    pub fn is_good(&self) -> bool {
        let all = self.all();
        all.completed == all.total && self.dedupe.verified.as_ref().is_none_or(|v| v.wrong.is_empty())
    }
}
