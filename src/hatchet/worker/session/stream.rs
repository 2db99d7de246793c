//! One session: a stream of assignments with its heartbeats.
//!
//! The end of either ends the session. While the worker has far more attempts than slots, the stream is not read.
//! Heartbeats continue, so that the engine does not consider the worker dead.
//!
//! A later session of the same worker id first removes the previous stream from the engine. A real engine keeps every
//! stream of a worker until its connection fails, and sends each assignment to one of them. It detects a link that died
//! without a reset after 30 to 50 s only, and in about half of the cases sends every assignment of that time to the
//! dead stream.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::BoxStream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    backoff::SessionProgress, heartbeat::Heartbeats, lost_assignments::start_lost_assignments, states::SessionStates,
    unsubscribe::unsubscribe,
};
use crate::hatchet::{
    transport::{ClientError, ErrorKind, response_messages},
    wire::{
        WorkerId,
        proto::{AssignedAction, WorkerListenRequest},
    },
    worker::attempt::{WorkerResources, dispatch},
};

/// Lower bound of the size limit for messages of the stream, in bytes. The limit is four times the configured one. A
/// message over the transport's limit would break the stream, would be sent again on the next stream, and would break
/// that one too. So the stream accepts messages over the configured limit, and only the run with such an input fails.
const MIN_STREAM_MESSAGE_LIMIT: usize = 64 << 20;

/// Timeout of removing the previous stream. Without a response the next stream is opened nevertheless.
const UNSUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason for the end of a session.
pub(super) enum SessionEnd {
    /// The stream or a heartbeat failed: reconnect with the same worker id.
    Disconnected { cause: String, progress: SessionProgress },
    /// The engine has no worker with this id: register again.
    UnknownWorker,
    /// A retry cannot succeed.
    Fatal(ClientError),
    /// The drain has stopped the intake of work.
    IntakeStopped,
}

/// Receives assignments and sends heartbeats for one registration. `follows_another`: this worker id has had an earlier
/// session, whose stream may still be open at the engine.
pub(super) async fn run_session(
    resources: &Arc<WorkerResources>,
    states: &SessionStates,
    index: usize,
    follows_another: bool,
    intake_stopped: &CancellationToken,
) -> SessionEnd {
    let worker = states.worker_id(index);
    if follows_another {
        tokio::select! {
            result = unsubscribe(&resources.client, worker, UNSUBSCRIBE_TIMEOUT) => match result {
                Err(error) if prevents_opening(&error) => return classify_failure(error, SessionProgress::default()),
                Ok(()) | Err(_) => {}
            },
            () = intake_stopped.cancelled() => return SessionEnd::IntakeStopped,
        }
    }
    let mut messages = open_stream(resources, worker);
    let mut heartbeats = Heartbeats::new(resources, worker);
    let mut progress = SessionProgress::default();
    let mut search = pin!(async {
        if follows_another {
            tokio::select! {
                () = start_lost_assignments(resources, worker) => {}
                // Lost assignments are left to another worker.
                () = states.wait_until_draining() => {}
            }
        }
    });
    let mut search_ended = false;
    let mut warned_full = false;
    loop {
        let has_room = resources.table.len() < resources.max_attempts;
        if !has_room && !std::mem::replace(&mut warned_full, true) {
            tracing::warn!(
                attempts = resources.max_attempts,
                "reading no more assignments until attempts finish: the engine has assigned far more than this worker has slots"
            );
        }
        tokio::select! {
            () = resources.table.wait_for_fewer_than(resources.max_attempts), if !has_room => {}
            message = messages.next(), if has_room => match message {
                Some(Ok(message)) => {
                    progress.message_received = true;
                    dispatch(resources, worker, message);
                }
                Some(Err(status)) => {
                    return classify_failure(resources.client.connection().call_error("listening for work", status), progress);
                }
                None => return SessionEnd::Disconnected { cause: "the engine closed the stream".to_owned(), progress },
            },
            heartbeat = heartbeats.next_accepted() => match heartbeat {
                Ok(()) if progress.heartbeat_accepted => {}
                Ok(()) => {
                    progress.heartbeat_accepted = true;
                    states.set_listening(index);
                }
                Err(error) => return classify_failure(error, progress),
            },
            () = &mut search, if !search_ended => search_ended = true,
            () = intake_stopped.cancelled() => return SessionEnd::IntakeStopped,
        }
    }
}

fn open_stream(resources: &WorkerResources, worker: WorkerId) -> BoxStream<'static, Result<AssignedAction, Status>> {
    let limit = resources.client.config().max_recv_message.saturating_mul(4).max(MIN_STREAM_MESSAGE_LIMIT);
    let mut stub = resources.client.connection().dispatcher().max_decoding_message_size(limit);
    let request = WorkerListenRequest { worker_id: worker.to_string() };
    response_messages(async move { stub.listen_v2(request).await })
}

/// Whether the call that opens a stream would fail for the same reason.
fn prevents_opening(error: &ClientError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unreachable
            | ErrorKind::Tls
            | ErrorKind::NotFound
            | ErrorKind::Unauthenticated
            | ErrorKind::AuthGracePeriod
    )
}

/// Classifies a failure by the way in which the registration continues.
fn classify_failure(error: ClientError, progress: SessionProgress) -> SessionEnd {
    match error.kind() {
        ErrorKind::NotFound => SessionEnd::UnknownWorker,
        ErrorKind::Unauthenticated => SessionEnd::Fatal(error),
        ErrorKind::Config
        | ErrorKind::Unreachable
        | ErrorKind::AuthGracePeriod
        | ErrorKind::Tls
        | ErrorKind::RunLost
        | ErrorKind::Invalid
        | ErrorKind::Duplicate(_)
        | ErrorKind::Unconfirmed(_)
        | ErrorKind::TooLarge
        | ErrorKind::Exhausted
        | ErrorKind::TimedOut
        | ErrorKind::StreamNotActive
        | ErrorKind::Unsupported
        | ErrorKind::Engine => SessionEnd::Disconnected { cause: error.to_string(), progress },
    }
}
