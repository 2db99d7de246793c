//! Starts and cancels attempts according to the messages of a stream.

use std::sync::Arc;

use super::{assignment::Assignment, execute::execute, resources::WorkerResources, table::RunningAttempt};
use crate::hatchet::{
    task::CancelReason,
    wire::{
        WorkerId,
        proto::{ActionType, AssignedAction},
    },
};

/// Handles one message from the stream of a worker. Never waits.
pub(in crate::hatchet::worker) fn dispatch(
    resources: &Arc<WorkerResources>,
    worker: WorkerId,
    message: AssignedAction,
) {
    match ActionType::try_from(message.action_type) {
        Ok(ActionType::StartStepRun) => {
            start(resources, worker, message);
        }
        Ok(ActionType::CancelStepRun) => cancel(resources, &message),
        Ok(kind @ (ActionType::StartGetGroupKey | ActionType::StartBatch)) => {
            let kind = kind.as_str_name();
            tracing::warn!(action = message.action_id, "ignored a {kind} action: this worker registers no such task");
        }
        Err(_) => {
            tracing::warn!(action_type = message.action_type, "ignored an action of an unknown type");
        }
    }
}

/// Starts the attempt of an assignment. Returns `false` if the attempt runs, has finished or was cancelled.
pub(in crate::hatchet::worker) fn start(
    resources: &Arc<WorkerResources>,
    worker: WorkerId,
    message: AssignedAction,
) -> bool {
    let (bytes, limit) = (prost::Message::encoded_len(&message), resources.client.config().max_recv_message);
    let mut assignment = match Assignment::parse(worker, message) {
        Ok(assignment) => assignment,
        Err(cause) => {
            tracing::error!("ignored an assignment: invalid run id: {cause}");
            return false;
        }
    };
    if bytes > limit {
        assignment.input = Err(format!(
            "the message of {bytes} bytes is over the limit of {limit} bytes \
             (HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH). Send less, or raise the limit"
        ));
    }
    let attempt = RunningAttempt::new(assignment.info.task_name.clone());
    if !resources.table.insert(assignment.key, attempt.clone()) {
        tracing::debug!(
            run = %assignment.key.0,
            "ignored an assignment: this attempt is running, has finished or was cancelled"
        );
        return false;
    }
    // The spawned task is tracked by its table entry, which it removes at its end, and is dropped with the runtime of
    // the connection thread. Boxed, since the future is large and spawning would copy it several times.
    tokio::spawn(Box::pin(execute(resources.clone(), assignment, attempt)));
    true
}

/// Cancels an attempt. Has no effect on an attempt that has finished. An attempt whose assignment has not arrived was
/// lost with a connection, and is not started any more.
fn cancel(resources: &WorkerResources, message: &AssignedAction) {
    let Ok(run) = message.task_run_external_id.parse() else { return };
    let key = (run, message.retry_count);
    match resources.table.get(key) {
        Some(attempt) => {
            tracing::info!(run = %run, task = attempt.task_name, "cancelled by the engine");
            attempt.canceller.cancel(CancelReason::Requested);
        }
        None => resources.table.refuse(key),
    }
}
