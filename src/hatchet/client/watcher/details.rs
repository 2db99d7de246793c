//! The state of a run, as returned by the engine.

use crate::hatchet::{
    transport::{ClientError, Connection},
    wire::{RunId, RunStatus, proto::v1},
};

/// The state of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunDetails {
    /// The status of all tasks together. Not final if `done` is false.
    pub status: RunStatus,
    /// Whether the run has finished. `false` for a failed run that will be retried, whose status is final already.
    pub done: bool,
    /// The run's input as JSON text.
    pub input: String,
    /// The run's metadata, a JSON object as text.
    pub additional_metadata: String,
    /// The tasks that exist so far, in the order of their names.
    pub tasks: Vec<TaskDetails>,
}

/// The state of a task in a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskDetails {
    /// The task run's id.
    pub id: String,
    /// The task's name.
    pub name: String,
    /// The task's status.
    pub status: RunStatus,
    /// The output of a completed task, JSON.
    pub output: Option<String>,
    /// The error text of a failed task.
    pub error: Option<String>,
}

/// Requests the state of a run from the engine, in one attempt.
pub(in crate::hatchet::client) async fn fetch(connection: &Connection, run: RunId) -> Result<RunDetails, ClientError> {
    let request = v1::GetRunDetailsRequest { external_id: run.to_string() };
    match connection.admin().get_run_details(request).await {
        Ok(response) => Ok(RunDetails::from_wire(response.into_inner())),
        Err(status) => Err(connection.call_error(&format!("reading run {run}"), status)),
    }
}

impl RunDetails {
    fn from_wire(wire: v1::GetRunDetailsResponse) -> Self {
        let mut tasks: Vec<TaskDetails> = wire
            .task_runs
            .into_values()
            .map(|task| TaskDetails {
                id: task.external_id,
                name: task.readable_id,
                status: RunStatus::from_wire(task.status),
                output: task.output.filter(|output| !output.is_empty()).map(text),
                error: task.error.filter(|error| !error.is_empty()),
            })
            .collect();
        tasks.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            status: RunStatus::from_wire(wire.status),
            done: wire.done,
            input: text(wire.input),
            additional_metadata: text(wire.additional_metadata),
            tasks,
        }
    }

    /// Details without input, metadata and tasks.
    #[cfg(test)]
    pub(super) fn test(status: RunStatus, done: bool) -> Self {
        Self { status, done, input: String::new(), additional_metadata: String::new(), tasks: Vec::new() }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}
