//! What a benchmark is to do, checked.

use std::time::Duration;

use super::template::Template;

/// A benchmark before its start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tasks, each with as many runs.
    pub tasks: Vec<TaskPlan>,
    /// Runs of each task.
    pub runs: usize,
    /// What all run keys begin with.
    pub prefix: String,
    /// Runs in one call at most.
    pub batch: usize,
    /// Runs a second over all tasks, by the clock and whatever the engine does (open loop); without it, as fast as
    /// the engine accepts them.
    pub rate: Option<f64>,
    /// From the start to the report at most.
    pub timeout: Duration,
    /// Submit every run a second time, which must start nothing.
    pub verify_dedupe: bool,
}

/// One task of a benchmark.
#[derive(Debug, Clone)]
pub struct TaskPlan {
    /// The name that was asked for.
    pub name: String,
    /// The workflow that is triggered, without namespace: the task's, or its twin that takes run keys.
    pub workflow: String,
    /// Whether the engine refuses a second run with the same key.
    pub keyed: bool,
    /// The input of each run.
    pub input: Template,
    /// The pool of a worker's slots that a run takes one of ([`ErasedTask::slot_pool`](crate::hatchet::task::ErasedTask::slot_pool)).
    pub slot_pool: &'static str,
    /// Longest wait for a worker.
    pub schedule_timeout: Duration,
}

impl Plan {
    /// Runs in all.
    pub fn total(&self) -> usize {
        self.runs * self.tasks.len()
    }

    /// Whether every task is deduplicated.
    pub fn keyed(&self) -> bool {
        self.tasks.iter().all(|task| task.keyed)
    }
}
