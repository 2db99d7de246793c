//! The status and the tasks of a run.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::hatchet::{
    client::RunRef,
    transport::{Backoff, ClientError, Connection, ErrorKind, retry, when_temporary},
    wire::{RunId, RunStatus, proto::v1},
};

/// Bounds of the wait before a run that the engine does not know yet is asked for again.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const SLOWEST_RETRY: Duration = Duration::from_millis(500);

/// The state of a run, as reported by the engine.
#[derive(Debug, Clone)]
pub struct RunDetails {
    /// The run's status.
    pub status: RunStatus,
    /// Whether the run has finished. A failed run that will be retried has a final status and is not done.
    pub done: bool,
    /// The input, JSON.
    pub input: String,
    /// The additional metadata, JSON.
    pub additional_metadata: String,
    /// The tasks that exist so far, in the order of their names.
    pub tasks: Vec<TaskDetails>,
}

/// The state of a task in a run.
#[derive(Debug, Clone)]
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

impl<O> RunRef<O> {
    /// Asks the engine for the run, and retries temporary failures.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] after 10 s in which the engine does not know the run; after 2 s for an id from
    /// [`Client::run_ref`](super::super::Client::run_ref); at once if the engine has known it before.
    pub async fn details(&self) -> Result<RunDetails, ClientError> {
        let begun = Instant::now();
        let mut backoff = Backoff::new(FIRST_RETRY, SLOWEST_RETRY);
        let connection = self.client().connection();
        loop {
            match retry(when_temporary, || fetch(connection, self.id())).await {
                Ok(details) => {
                    self.recognition().mark_seen();
                    return Ok(details);
                }
                Err(error) if error.kind() == ErrorKind::NotFound && !self.recognition().was_seen() => {
                    if let Some(error) = self.recognition().refuse(self.id(), begun.elapsed()) {
                        return Err(error);
                    }
                    sleep(backoff.next_delay()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks the engine once.
    pub(in crate::hatchet) async fn details_once(&self) -> Result<RunDetails, ClientError> {
        let details = fetch(self.client().connection(), self.id()).await?;
        self.recognition().mark_seen();
        Ok(details)
    }
}

/// Asks the engine for a run once.
pub(super) async fn fetch(connection: &Connection, run: RunId) -> Result<RunDetails, ClientError> {
    let request = v1::GetRunDetailsRequest { external_id: run.to_string() };
    match connection.admin().get_run_details(request).await {
        Ok(answer) => Ok(RunDetails::from_wire(answer.into_inner())),
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
                output: task.output.filter(|o| !o.is_empty()).map(text),
                error: task.error.filter(|e| !e.is_empty()),
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
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}
