//! One stream of assignments with its heartbeats. The end of either is the end of both: no half-alive worker.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::state::Links;
use crate::hatchet::{
    transport::{ClientError, ErrorKind, response_messages, with_timeout},
    wire::{WorkerId, proto, timestamp_now},
    worker::attempt::Shared,
};

/// The official SDKs' interval; an engine stops assigning 5 s after the last one.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(4);
/// A heartbeat whose response takes longer ends the session: after as long without one an engine gives the worker's
/// attempts to another. Shorter outages of the connection are noticed by its liveness monitor, which ends the stream.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(30);
/// As many are sent within that time: the next one goes out whether the last was answered or not.
const HEARTBEATS: usize = 8;
/// A heartbeat may overtake its stream's opening, and is then refused. So long after the opening that means nothing.
const OPENING_GRACE: Duration = Duration::from_secs(2);
/// A message over the limit would break the stream, with all that comes after it, and come again on the next one. So more
/// than the limit is read, and the run that is too large fails alone.
const LARGEST_READ: usize = 64 << 20;
const SOON: Duration = Duration::from_millis(100);

/// Why a session ended.
pub(in crate::hatchet::worker) enum Ended {
    /// The stream or a heartbeat failed: open another with the same worker id.
    Lost { why: String, signs: Signs },
    /// The engine does not know the worker: register again.
    Forgotten,
    /// Trying again changes nothing.
    Refused(ClientError),
    /// Intake was closed on purpose.
    Closed,
}

/// What a session has shown of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::hatchet::worker) struct Signs {
    /// A heartbeat was accepted: the engine lives.
    pub(in crate::hatchet::worker) heartbeat: bool,
    /// Work came over the stream: what is between lets streams through.
    pub(in crate::hatchet::worker) work: bool,
}

/// Listens and heartbeats for the registration of this number.
pub(in crate::hatchet::worker) async fn run(
    shared: &Arc<Shared>,
    links: &Links,
    number: usize,
    intake_closed: &CancellationToken,
) -> Ended {
    let worker = links.id(number);
    let limit = shared.client.config().max_recv_message.saturating_mul(4).max(LARGEST_READ);
    let mut stub = shared.client.connection().dispatcher().max_decoding_message_size(limit);
    let request = proto::WorkerListenRequest { worker_id: worker.to_string() };
    let mut actions = response_messages(async move { stub.listen_v2(request).await });
    let opened = Instant::now();
    let mut ticks = interval(HEARTBEAT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beats = FuturesUnordered::new();
    let mut signs = Signs::default();
    let mut was_full = false;
    loop {
        let has_room = shared.table.busy() < shared.most_attempts;
        if !has_room && !std::mem::replace(&mut was_full, true) {
            tracing::warn!(
                "the engine has assigned {} attempts, far more than this worker has slots: no more are read until some end",
                shared.most_attempts
            );
        }
        tokio::select! {
            () = shared.table.fewer_than(shared.most_attempts), if !has_room => {}
            action = actions.next(), if has_room => match action {
                Some(Ok(action)) => {
                    signs.work = true;
                    shared.dispatch(worker, action);
                }
                Some(Err(status)) => {
                    return end(shared.client.connection().call_error("listen for work", status), signs);
                }
                None => return Ended::Lost { why: "the engine closed the stream".to_owned(), signs },
            },
            due = ticks.tick(), if beats.len() < HEARTBEATS => {
                shared.stats.heartbeat_delay.add(due.elapsed());
                beats.push(heartbeat(shared, worker));
            }
            Some(answer) = beats.next() => {
                match answer {
                    Ok(()) => {
                        if !signs.heartbeat {
                            signs.heartbeat = true;
                            links.listens(number);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::StreamNotActive && opened.elapsed() < OPENING_GRACE => {
                        ticks.reset_after(SOON);
                    }
                    Err(error) => {
                        shared.stats.heartbeat_failures.add(1);
                        // A component between may refuse heartbeats. If the connection broke it was replaced already.
                        if error.is_temporary() && !error.is_from_connection() {
                            shared.client.connection().replace();
                        }
                        return end(error, signs);
                    }
                }
            }
            () = intake_closed.cancelled() => return Ended::Closed,
        }
    }
}

async fn heartbeat(shared: &Arc<Shared>, worker: WorkerId) -> Result<(), ClientError> {
    let request = proto::HeartbeatRequest { worker_id: worker.to_string(), heartbeat_at: Some(timestamp_now()) };
    let mut stub = shared.client.connection().dispatcher();
    let sent = Instant::now();
    match stub.heartbeat(with_timeout(HEARTBEAT_TIMEOUT, request)).await {
        Ok(_) => {
            shared.stats.heartbeats.add(1);
            shared.stats.heartbeat_answer.add(sent.elapsed());
            Ok(())
        }
        Err(status) => Err(shared.client.connection().call_error("heartbeat", status)),
    }
}

fn end(error: ClientError, signs: Signs) -> Ended {
    match error.kind() {
        ErrorKind::NotFound => Ended::Forgotten,
        ErrorKind::Unauthenticated => Ended::Refused(error),
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
        | ErrorKind::Engine => Ended::Lost { why: error.to_string(), signs },
    }
}
