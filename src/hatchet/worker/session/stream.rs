//! One session: a stream of assignments with its heartbeats.
//!
//! The end of either ends the session. While the worker holds far more attempts than it has slots, the stream is not read;
//! heartbeats continue, so the engine does not take the worker for dead.
//!
//! A session that follows another one closes it at the engine first. A real engine keeps every stream of a worker until
//! its connection fails and sends each assignment to one of them. If a link died without a reset, it does not notice for
//! 30 to 50 s, and in about half of the cases chooses the dead stream for every assignment in that time.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::BoxStream};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{backoff::SessionProgress, heartbeat::Heartbeats, states::SessionStates};
use crate::hatchet::{
    transport::{ClientError, ErrorKind, response_messages, with_timeout},
    wire::{
        WorkerId,
        proto::{AssignedAction, WorkerListenRequest, WorkerUnsubscribeRequest},
    },
    worker::attempt::{WorkerResources, dispatch},
};

/// Minimum size of messages that the stream accepts, in bytes; at least four times the configured limit. A message over
/// the transport's limit would break the stream, be sent again on the next one, and break that too. So larger messages
/// are read, and only the run whose input exceeds the configured limit fails.
const MIN_STREAM_MESSAGE_LIMIT: usize = 64 << 20;

/// Timeout of closing the previous stream. Without a response the next stream is opened nevertheless.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a session ended.
pub(super) enum SessionEnd {
    /// The stream or a heartbeat failed: reconnect with the same worker id.
    Disconnected { cause: String, progress: SessionProgress },
    /// The engine does not know the worker: register again.
    UnknownWorker,
    /// A retry cannot succeed.
    Fatal(ClientError),
    /// The drain has stopped the intake of work.
    IntakeStopped,
}

/// Receives assignments and sends heartbeats for one registration. `follows_another`: this worker id has had a session
/// before, whose stream may still be open at the engine.
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
            closed = close_streams(resources, worker) => if let Err(error) = closed {
                return session_end(error, SessionProgress::default());
            },
            () = intake_stopped.cancelled() => return SessionEnd::IntakeStopped,
        }
    }
    let mut messages = open_stream(resources, worker);
    let mut heartbeats = Heartbeats::new(resources, worker);
    let mut progress = SessionProgress::default();
    let mut warned_full = false;
    loop {
        let has_room = resources.table.len() < resources.max_attempts;
        if !has_room && !std::mem::replace(&mut warned_full, true) {
            tracing::warn!(
                attempts = resources.max_attempts,
                "the engine has assigned far more attempts than this worker has slots, not reading more until some end"
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
                    return session_end(resources.client.connection().call_error("listening for work", status), progress);
                }
                None => return SessionEnd::Disconnected { cause: "the engine closed the stream".to_owned(), progress },
            },
            heartbeat = heartbeats.accepted() => match heartbeat {
                Ok(()) if progress.heartbeat_accepted => {}
                Ok(()) => {
                    progress.heartbeat_accepted = true;
                    states.set_listening(index);
                }
                Err(error) => return session_end(error, progress),
            },
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

/// Makes the engine forget all streams of a worker. It stays registered, and its attempts stay assigned.
async fn close_streams(resources: &WorkerResources, worker: WorkerId) -> Result<(), ClientError> {
    let mut stub = resources.client.connection().dispatcher();
    let request = with_timeout(CLOSE_TIMEOUT, WorkerUnsubscribeRequest { worker_id: worker.to_string() });
    let Err(status) = stub.unsubscribe(request).await else { return Ok(()) };
    // Opening a stream would fail for the same reason. After any other failure it is worth a try.
    let is_fatal = matches!(status.code(), Code::Unavailable | Code::NotFound | Code::Unauthenticated);
    let error = resources.client.connection().call_error("closing the previous stream of the worker", status);
    if is_fatal { Err(error) } else { Ok(()) }
}

fn session_end(error: ClientError, progress: SessionProgress) -> SessionEnd {
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
