//! The plan of a benchmark: its runs, its rate and its time limit.

use std::time::Duration;

use super::template::Template;

/// A validated benchmark, before its start.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The tasks to run.
    pub tasks: Vec<PlannedTask>,
    /// Number of runs of each task.
    pub runs: usize,
    /// Prefix of all run keys.
    pub prefix: String,
    /// Maximum number of runs in one bulk call.
    pub batch: usize,
    /// Runs per second over all tasks, submitted on a fixed schedule, regardless of the engine (open loop). `None`
    /// submits runs as fast as the engine accepts them (closed loop).
    pub rate: Option<f64>,
    /// Time limit for all runs, counted from the first submission.
    pub timeout: Duration,
    /// Whether to submit every run a second time, which must not start a run.
    pub verify_dedupe: bool,
}

/// A task of a benchmark.
#[derive(Debug, Clone)]
pub struct PlannedTask {
    /// Name given by the user.
    pub name: String,
    /// Workflow to trigger, without namespace: that of the task, or of its keyed copy (see
    /// [`KEYED_SUFFIX`](super::KEYED_SUFFIX)).
    pub workflow: String,
    /// Whether the engine refuses a second run with the same run key.
    pub keyed: bool,
    /// Input of each run.
    pub input: Template,
    /// Slot pool of a worker that a run occupies
    /// ([`ErasedTask::slot_pool`](crate::hatchet::task::ErasedTask::slot_pool)).
    pub slot_pool: &'static str,
    /// Time after which a run that no worker has taken is cancelled.
    pub schedule_timeout: Duration,
}

impl LoadPlan {
    /// Number of runs of all tasks.
    pub fn total(&self) -> usize {
        self.runs * self.tasks.len()
    }

    /// Whether every task is deduplicated by run key.
    pub fn keyed(&self) -> bool {
        self.tasks.iter().all(|task| task.keyed)
    }
}

/// A plan for unit tests, with an unkeyed run of each of these tasks.
#[cfg(test)]
pub(super) fn test_plan(tasks: &[(&str, &'static str)]) -> LoadPlan {
    let task = |(name, slot_pool): &(&str, &'static str)| PlannedTask {
        name: (*name).to_owned(),
        workflow: (*name).to_owned(),
        keyed: false,
        input: Template::parse("{}").unwrap(),
        slot_pool,
        schedule_timeout: Duration::from_secs(1),
    };
    LoadPlan {
        tasks: tasks.iter().map(task).collect(),
        runs: 1,
        prefix: "p".to_owned(),
        batch: 1,
        rate: None,
        timeout: Duration::from_secs(1),
        verify_dedupe: false,
    }
}
