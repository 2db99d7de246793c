//! The heartbeats of a session.
//!
//! The engine stops assigning 5 s after the last heartbeat and reassigns the worker's attempts 30 s after it. So a heartbeat
//! is sent every [`INTERVAL`], whether the previous one was answered or not, and a heartbeat without an answer ends the
//! session unless other traffic shows that the connection is alive.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::hatchet::{
    transport::{ClientError, ErrorKind, call_deadline::within},
    wire::{WorkerId, proto::HeartbeatRequest, timestamp_now},
    worker::attempt::WorkerResources,
};

/// Time between two heartbeats. Value of the official SDKs.
const INTERVAL: Duration = Duration::from_secs(4);
/// Time without any data from the engine after which a heartbeat has failed. Shorter than the interval, so that a
/// connection that silently drops packets is noticed within 7 s.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time without an accepted heartbeat after which the session ends although other data arrives. Until then the engine may
/// be slow, or the answer may be queued behind a large message. The engine reassigns attempts after this time.
const ACCEPTED_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of unanswered heartbeats: as many as are sent within [`ACCEPTED_TIMEOUT`].
const MAX_IN_FLIGHT: usize = 8;
/// Timeout of the first heartbeat after a failure. Short, so that a connection that drops packets is retried soon after
/// it has recovered.
const RECONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Number of consecutive failures after which the first heartbeat gets the full [`TIMEOUT`] again: the engine may be slow.
const SHORT_TIMEOUT_TRIES: u32 = 15;
/// A heartbeat may overtake the opening of its stream and is refused then. For this long after the opening such a
/// refusal is ignored, and the heartbeat is repeated after [`REPEAT_AFTER`].
const OPENING_GRACE: Duration = Duration::from_secs(2);
const REPEAT_AFTER: Duration = Duration::from_millis(100);

/// Sends the heartbeats of one session.
pub(super) struct Heartbeats<'a> {
    resources: &'a WorkerResources,
    worker: WorkerId,
    /// Timeout until the first heartbeat is accepted.
    first_timeout: Duration,
    opened: Instant,
    due: Interval,
    in_flight: FuturesUnordered<LocalBoxFuture<'a, Answer>>,
    /// Sending time of the latest accepted heartbeat, or `None` before the first.
    last_accepted: Option<Instant>,
}

struct Answer {
    sent: Instant,
    /// Bytes received on the connection when the heartbeat was sent.
    received_before: u64,
    result: Result<(), ClientError>,
}

impl<'a> Heartbeats<'a> {
    /// Heartbeats of a session that starts now, after this number of consecutive failures.
    pub(super) fn new(resources: &'a WorkerResources, worker: WorkerId, failures: u32) -> Self {
        let mut due = interval(INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            resources,
            worker,
            first_timeout: if (1..=SHORT_TIMEOUT_TRIES).contains(&failures) { RECONNECT_TIMEOUT } else { TIMEOUT },
            opened: Instant::now(),
            due,
            in_flight: FuturesUnordered::new(),
            last_accepted: None,
        }
    }

    /// Sends heartbeats until one is accepted, or until one has failed, which ends the session. Cancel safe.
    pub(super) async fn accepted(&mut self) -> Result<(), ClientError> {
        loop {
            tokio::select! {
                due = self.due.tick(), if self.in_flight.len() < MAX_IN_FLIGHT => self.send(due),
                Some(answer) = self.in_flight.next() => {
                    let Err(error) = answer.result else {
                        self.last_accepted = self.last_accepted.max(Some(answer.sent));
                        return Ok(());
                    };
                    if error.kind() == ErrorKind::StreamNotActive && self.opened.elapsed() < OPENING_GRACE {
                        self.due.reset_after(REPEAT_AFTER);
                    } else if error.kind() == ErrorKind::TimedOut && self.is_alive(answer.received_before) {
                        tracing::debug!(%error, "a heartbeat was not answered, but the connection is alive");
                    } else {
                        return Err(self.failed(error));
                    }
                }
            }
        }
    }

    fn send(&mut self, due: Instant) {
        self.resources.counters.heartbeat_delay.record(due.elapsed());
        let timeout = if self.last_accepted.is_some() { TIMEOUT } else { self.first_timeout };
        let (sent, received_before) = (Instant::now(), self.resources.client.connection().arrived());
        let call = heartbeat(self.resources, self.worker, timeout);
        self.in_flight.push(call.map(move |result| Answer { sent, received_before, result }).boxed_local());
    }

    /// Whether data has arrived since a heartbeat was sent, and the last accepted heartbeat is recent enough.
    fn is_alive(&self, received_before: u64) -> bool {
        self.resources.client.connection().arrived() != received_before
            && self.last_accepted.unwrap_or(self.opened).elapsed() < ACCEPTED_TIMEOUT
    }

    /// Counts a failed heartbeat, and replaces a connection that may be dead although it looks alive.
    fn failed(&self, error: ClientError) -> ClientError {
        self.resources.counters.heartbeat_failures.add(1);
        if error.is_temporary() {
            self.resources.client.connection().renew();
        }
        error
    }
}

async fn heartbeat(resources: &WorkerResources, worker: WorkerId, timeout: Duration) -> Result<(), ClientError> {
    let request = HeartbeatRequest { worker_id: worker.to_string(), heartbeat_at: Some(timestamp_now()) };
    let connection = resources.client.connection();
    let sent = Instant::now();
    match connection.dispatcher().heartbeat(within(timeout, request)).await {
        Ok(_) => {
            resources.counters.heartbeats.add(1);
            resources.counters.heartbeat_answer.record(sent.elapsed());
            Ok(())
        }
        Err(status) => Err(connection.failed("heartbeat", status)),
    }
}
