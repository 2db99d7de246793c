//! One stream of assignments with its heartbeats. The end of either is the end of both: no half-alive worker.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::state::Links;
use crate::hatchet::{
    client::{ClientError, ErrorKind, call_deadline::with_timeout, connection::response_messages},
    wire::{WorkerId, proto, timestamp_now},
    worker::attempt::Shared,
};

/// The official SDKs' interval; an engine stops assigning 5 s after the last one.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(4);
/// Without a sign of life. Shorter than the interval, so that a link that swallows everything is noticed within 7 s.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);
/// Where there are other signs of life: a slow engine, or an answer behind a large message. After as long without a
/// heartbeat an engine gives the worker's attempts to another.
const UNANSWERED: Duration = Duration::from_secs(30);
/// As many are sent within that time: the next one goes out whether the last was answered or not.
const HEARTBEATS: usize = 8;
/// The first heartbeat of a session after a loss has this long: where the link swallows everything, the next try should
/// not be far off when it heals. An engine that is merely slow gets the full time after so many tries in a row.
const FIRST_HEARTBEAT_TIMEOUT: Duration = Duration::from_millis(1_500);
const HASTY_TRIES: u32 = 15;
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

/// Listens and heartbeats for the registration of this number; `failures` sessions of it in a row have shown no life.
pub(in crate::hatchet::worker) async fn run(
    shared: &Arc<Shared>,
    links: &Links,
    number: usize,
    intake_closed: &CancellationToken,
    failures: u32,
) -> Ended {
    let worker = links.id(number);
    // Heartbeats go over the present connection. If another registration gives that up, this stream stays behind on the
    // old one, and heartbeats would say nothing of it any more.
    let mut left = pin!(shared.client.connection().replaced());
    let limit = shared.client.config().max_recv_message.saturating_mul(4).max(LARGEST_READ);
    let mut stub = shared.client.connection().dispatcher().max_decoding_message_size(limit);
    let request = proto::WorkerListenRequest { worker_id: worker.to_string() };
    let mut actions = response_messages(async move { stub.listen_v2(request).await });
    let opened = Instant::now();
    let mut ticks = interval(HEARTBEAT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beats = FuturesUnordered::new();
    let mut answered = opened;
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
                let hasty = !signs.heartbeat && (1..=HASTY_TRIES).contains(&failures);
                let limit = if hasty { FIRST_HEARTBEAT_TIMEOUT } else { HEARTBEAT_TIMEOUT };
                let (sent, arrived) = (Instant::now(), shared.client.connection().bytes_received());
                beats.push(heartbeat(shared, worker, limit).map(move |answer| (sent, arrived, answer)));
            }
            Some((sent, arrived, answer)) = beats.next() => {
                match answer {
                    Ok(()) => {
                        answered = answered.max(sent);
                        if !signs.heartbeat {
                            signs.heartbeat = true;
                            links.listens(number);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::StreamNotActive && opened.elapsed() < OPENING_GRACE => {
                        ticks.reset_after(SOON);
                    }
                    Err(error)
                        if error.kind() == ErrorKind::TimedOut
                            && shared.client.connection().bytes_received() != arrived
                            && answered.elapsed() < UNANSWERED =>
                    {
                        tracing::debug!(%error, "a heartbeat was not answered, and the engine lives");
                    }
                    Err(error) => {
                        shared.stats.heartbeat_failures.add(1);
                        // What does not answer may be a dead connection that looks alive.
                        if error.is_temporary() {
                            shared.client.connection().renew();
                        }
                        return end(error, signs);
                    }
                }
            }
            () = &mut left => return Ended::Lost { why: "the connection was given up".to_owned(), signs },
            () = intake_closed.cancelled() => return Ended::Closed,
        }
    }
}

async fn heartbeat(shared: &Arc<Shared>, worker: WorkerId, limit: Duration) -> Result<(), ClientError> {
    let request = proto::HeartbeatRequest { worker_id: worker.to_string(), heartbeat_at: Some(timestamp_now()) };
    let mut stub = shared.client.connection().dispatcher();
    let sent = Instant::now();
    match stub.heartbeat(with_timeout(limit, request)).await {
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
