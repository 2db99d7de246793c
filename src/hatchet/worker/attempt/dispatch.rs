//! From a message on the stream to a running attempt. Nothing here waits: no call, no lock across an await.

use std::{collections::HashMap, sync::Arc, time::Instant};

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::{
    cpu_pool::CpuPool,
    execute,
    table::{AttemptKey, Running, Table},
};
use crate::hatchet::{
    client::Client,
    task::{CancelReason, RunInfo, Task},
    transport::{ClientError, ErrorKind},
    wire::{ActionId, RunId, WorkerId, proto},
    worker::{WorkerOptions, health::Stats},
};

/// Attempts beyond twice the slots that a worker takes from its streams: those that end while their reports are on
/// their way, and those whose body has outlived them. An engine that keeps to the slots sends no more; from any other the
/// stream is not read until there is room, so that its assignments cannot fill the memory.
const SPARE_ATTEMPTS: usize = 256;

/// What all attempts of a worker share.
pub(in crate::hatchet::worker) struct Shared {
    pub(in crate::hatchet::worker) client: Client,
    /// By action. Shared, since a task carries its schemas and each attempt takes it along.
    pub(in crate::hatchet::worker) tasks: HashMap<String, Arc<Task>>,
    /// Where async and blocking bodies run.
    pub(in crate::hatchet::worker) bodies: tokio::runtime::Handle,
    pub(in crate::hatchet::worker) cpu: Option<CpuPool>,
    pub(in crate::hatchet::worker) default_slots: Arc<Semaphore>,
    pub(in crate::hatchet::worker) cpu_slots: Arc<Semaphore>,
    pub(in crate::hatchet::worker) cancel_grace: std::time::Duration,
    pub(in crate::hatchet::worker) stats: Arc<Stats>,
    /// The watchdog's clock starts here.
    pub(in crate::hatchet::worker) start: Instant,
    pub(in crate::hatchet::worker) table: Table,
    /// The most attempts that the table takes from streams.
    pub(in crate::hatchet::worker) most_attempts: usize,
    pub(in crate::hatchet::worker) attempts: TaskTracker,
}

/// An assignment, read and checked.
pub(in crate::hatchet::worker) struct Assignment {
    pub(in crate::hatchet::worker) key: AttemptKey,
    pub(in crate::hatchet::worker) worker: WorkerId,
    pub(in crate::hatchet::worker) action_id: String,
    pub(in crate::hatchet::worker) job_id: String,
    pub(in crate::hatchet::worker) job_run_id: String,
    pub(in crate::hatchet::worker) task_id: String,
    pub(in crate::hatchet::worker) info: RunInfo,
    /// The input's JSON, or why it cannot be read.
    pub(in crate::hatchet::worker) input: Result<String, String>,
}

impl Shared {
    pub(in crate::hatchet::worker) fn new(
        client: Client,
        tasks: &[Task],
        options: &WorkerOptions,
        stats: Arc<Stats>,
        bodies: tokio::runtime::Handle,
        cpu: Option<CpuPool>,
    ) -> Result<Self, ClientError> {
        let mut by_action = HashMap::new();
        for task in tasks.iter().cloned().map(Arc::new) {
            for name in task.names() {
                by_action.insert(action(&client, name)?.as_str().to_owned(), task.clone());
            }
        }
        Ok(Self {
            client,
            tasks: by_action,
            bodies,
            cpu,
            default_slots: stats.slots("default"),
            cpu_slots: stats.slots("cpu"),
            cancel_grace: options.cancel_grace,
            stats,
            start: Instant::now(),
            table: Table::default(),
            most_attempts: options
                .slots
                .saturating_add(options.cpu_threads)
                .saturating_mul(2)
                .saturating_add(SPARE_ATTEMPTS),
            attempts: TaskTracker::new(),
        })
    }

    /// Acts on one message of the stream.
    pub(in crate::hatchet::worker) fn dispatch(self: &Arc<Self>, worker: WorkerId, message: proto::AssignedAction) {
        match proto::ActionType::try_from(message.action_type) {
            Ok(proto::ActionType::StartStepRun) => self.start(worker, message),
            Ok(proto::ActionType::CancelStepRun) => self.cancel(&message),
            Ok(kind @ (proto::ActionType::StartGetGroupKey | proto::ActionType::StartBatch)) => {
                tracing::warn!(
                    action = message.action_id,
                    "ignored {}: this worker registers no such task",
                    kind.as_str_name()
                );
            }
            Err(_) => {
                tracing::warn!(
                    number = message.action_type,
                    "ignored an action of a type that this version does not know"
                );
            }
        }
    }

    fn start(self: &Arc<Self>, worker: WorkerId, message: proto::AssignedAction) {
        let (bytes, limit) = (prost::Message::encoded_len(&message), self.client.config().max_recv_message);
        let mut assignment = match read(worker, message) {
            Ok(assignment) => assignment,
            Err(why) => {
                tracing::error!("ignored an assignment: {why}");
                return;
            }
        };
        if bytes > limit {
            assignment.input = Err(format!(
                "it makes a message of {bytes} bytes, over the limit of {limit}: send less, or raise \
                 HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH"
            ));
        }
        let running = Running::new(assignment.info.task_name.clone());
        if !self.table.add(assignment.key, running.clone()) {
            tracing::debug!(run = %assignment.key.0, "this attempt runs already, or has ended");
            return;
        }
        // Boxed, since it is large, and spawning would copy it several times.
        self.attempts.spawn(Box::pin(execute::run(self.clone(), assignment, running)));
    }

    fn cancel(&self, message: &proto::AssignedAction) {
        let Ok(run) = message.task_run_external_id.parse() else { return };
        // The engine cancels by attempt; one that is gone already needs nothing.
        if let Some(running) = self.table.get((run, message.retry_count)) {
            tracing::info!(run = %run, task = running.task, "cancelled by the engine");
            running.canceller.cancel(CancelReason::Requested);
        }
    }
}

/// The action of a task that is a workflow of its own; the namespace goes on the workflow's part only.
pub(in super::super) fn action(client: &Client, name: &str) -> Result<ActionId, ClientError> {
    ActionId::new(&client.config().namespaced(name), name)
        .map_err(|e| ClientError::new(ErrorKind::Config, e.to_string()))
}

fn read(worker: WorkerId, message: proto::AssignedAction) -> Result<Assignment, String> {
    /// The part of an action's payload that matters here; other keys come and go with versions.
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow, default)]
        input: Option<&'a RawValue>,
    }

    let run: RunId = message.task_run_external_id.parse().map_err(|e| format!("{e}"))?;
    let input = serde_json::from_str::<Payload>(&message.action_payload)
        // An engine writes null for an input that was no object.
        .map(|payload| payload.input.map_or("{}", RawValue::get).to_owned())
        .map(|input| if input == "null" { "{}".to_owned() } else { input })
        .map_err(|e| e.to_string());
    let additional_metadata: Map<String, Value> =
        message.additional_metadata.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    Ok(Assignment {
        key: (run, message.retry_count),
        worker,
        action_id: message.action_id,
        job_id: message.job_id,
        job_run_id: message.job_run_id,
        task_id: message.task_id,
        info: RunInfo {
            run_id: message.task_run_external_id,
            workflow_run_id: message.workflow_run_id,
            task_name: message.task_name,
            retry_count: u32::try_from(message.retry_count).unwrap_or(0),
            additional_metadata,
        },
        input,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(payload: &str) -> Result<Assignment, String> {
        read(
            WorkerId::random(),
            proto::AssignedAction {
                task_run_external_id: RunId::random().to_string(),
                action_payload: payload.to_owned(),
                additional_metadata: Some(r#"{"k": "v"}"#.to_owned()),
                retry_count: 2,
                ..Default::default()
            },
        )
    }

    #[test]
    fn both_textual_forms_of_a_payload_are_read() {
        let compact = assigned(r#"{"input":{"a":1},"parents":{},"triggers":{"filter_payload":null}}"#).unwrap();
        assert_eq!((compact.input.as_deref(), compact.info.retry_count), (Ok(r#"{"a":1}"#), 2));
        assert_eq!(compact.info.additional_metadata["k"], "v");
        let spaced = assigned(r#"{"new": [1], "input": {"a": 1}, "triggered_by": "manual"}"#).unwrap();
        assert_eq!(spaced.input.as_deref(), Ok(r#"{"a": 1}"#));
    }

    #[test]
    fn a_missing_or_null_input_is_an_empty_object() {
        for payload in ["{}", r#"{"input":null}"#] {
            assert_eq!(assigned(payload).unwrap().input.as_deref(), Ok("{}"));
        }
        assert!(assigned("").unwrap().input.is_err());
    }

    #[test]
    fn a_bad_run_id_is_refused() {
        assert!(read(WorkerId::random(), proto::AssignedAction::default()).is_err());
    }
}
