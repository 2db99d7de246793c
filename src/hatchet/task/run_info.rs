//! The data of a run and attempt.

use serde_json::{Map, Value};

/// The run and attempt that a body executes.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RunInfo {
    /// The task run's id.
    pub run_id: String,
    /// The workflow run's id; equal to `run_id` in a workflow of one task.
    pub workflow_run_id: String,
    /// The task's name as registered.
    pub task_name: String,
    /// Number of earlier attempts of the run; 0 in the first attempt.
    pub retry_count: u32,
    /// Maximum number of attempts that failures may use: one more than the task's `retries`. An attempt that replaces a
    /// lost one, and a replay of the run, are not limited by it.
    pub max_attempts: u32,
    /// The run's additional metadata.
    pub additional_metadata: Map<String, Value>,
    /// The payload of the event filter that has started the run; empty for other runs.
    pub filter_payload: Map<String, Value>,
    /// The id of the worker that executes the attempt.
    pub worker_id: String,
}
