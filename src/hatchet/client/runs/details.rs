//! Where a run stands, by the engine's own word.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::hatchet::{
    client::RunHandle,
    transport::{Backoff, ClientError, ErrorKind, retry, when_temporary},
    wire::{RunStatus, proto::v1},
};

/// A run as the engine sees it.
#[derive(Debug, Clone)]
pub struct RunDetails {
    /// The run's status.
    pub status: RunStatus,
    /// Whether nothing more can come.
    pub done: bool,
    /// The input, JSON.
    pub input: String,
    /// The additional metadata, JSON.
    pub additional_metadata: String,
    /// The tasks that exist so far, in the order of their names.
    pub tasks: Vec<TaskDetails>,
}

/// A task in a run.
#[derive(Debug, Clone)]
pub struct TaskDetails {
    /// The task run's id.
    pub id: String,
    /// The task's name.
    pub name: String,
    /// Its status.
    pub status: RunStatus,
    /// The output, JSON, of a completed task.
    pub output: Option<String>,
    /// The error text of a failed task.
    pub error: Option<String>,
}

impl RunHandle {
    /// Asks the engine, and again where that failed for a reason that passes. A busy real engine may not know a run for up
    /// to a second after its trigger, so an id that was given is [`ErrorKind::NotFound`] only after 2 s, and one that was
    /// triggered here after 10 s.
    pub async fn details(&self) -> Result<RunDetails, ClientError> {
        let begun = Instant::now();
        let mut waits = Backoff::new(Duration::from_millis(100), Duration::from_millis(500));
        loop {
            match retry(when_temporary, || self.details_once()).await {
                Err(error) if error.kind() == ErrorKind::NotFound && !self.was_seen() => {
                    if begun.elapsed() >= self.patience() {
                        return Err(self.unknown());
                    }
                    sleep(waits.next_delay()).await;
                }
                answer => return answer,
            }
        }
    }

    /// Asks once.
    pub(in crate::hatchet) async fn details_once(&self) -> Result<RunDetails, ClientError> {
        let request = v1::GetRunDetailsRequest { external_id: self.id().to_string() };
        let connection = self.client().connection();
        let answer = connection.admin().get_run_details(request).await;
        let answer = answer.map_err(|status| connection.call_error(&format!("ask for run {}", self.id()), status))?;
        self.saw();
        Ok(details(answer.into_inner()))
    }
}

fn details(wire: v1::GetRunDetailsResponse) -> RunDetails {
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
    RunDetails {
        status: RunStatus::from_wire(wire.status),
        done: wire.done,
        input: text(wire.input),
        additional_metadata: text(wire.additional_metadata),
        tasks,
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}
