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
    /// The run's additional metadata.
    pub additional_metadata: Map<String, Value>,
}
