//! The heartbeats of a session.
//!
//! The engine stops assigning 5 s after the last heartbeat and reassigns the worker's attempts 30 s after it. So a heartbeat
//! is sent every [`INTERVAL`], whether the previous one was answered or not. A slow answer does not end the session: a dead
//! connection is found by the transport's liveness monitor, which then fails the stream and the heartbeats together.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::hatchet::{
    transport::{ClientError, ErrorKind, with_timeout},
    wire::{WorkerId, proto::HeartbeatRequest, timestamp_now},
    worker::attempt::WorkerResources,
};

/// Time between two heartbeats. Value of the official SDKs.
const INTERVAL: Duration = Duration::from_secs(4);
/// Time without an answer after which a heartbeat has failed. The engine reassigns attempts after this time.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of unanswered heartbeats: as many as are sent within [`TIMEOUT`].
const MAX_IN_FLIGHT: usize = 8;
/// A heartbeat may overtake the opening of its stream and is refused then. For this long after the opening such a
/// refusal is ignored, and the heartbeat is repeated after [`REPEAT_AFTER`].
const OPENING_GRACE: Duration = Duration::from_secs(2);
const REPEAT_AFTER: Duration = Duration::from_millis(100);

/// Sends the heartbeats of one session.
pub(super) struct Heartbeats<'a> {
    resources: &'a WorkerResources,
    worker: WorkerId,
    opened: Instant,
    due: Interval,
    in_flight: FuturesUnordered<LocalBoxFuture<'a, Result<(), ClientError>>>,
}

impl<'a> Heartbeats<'a> {
    /// Heartbeats of a session that starts now.
    pub(super) fn new(resources: &'a WorkerResources, worker: WorkerId) -> Self {
        let mut due = interval(INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { resources, worker, opened: Instant::now(), due, in_flight: FuturesUnordered::new() }
    }

    /// Sends heartbeats until one is accepted, or until one has failed, which ends the session. Cancel safe.
    pub(super) async fn accepted(&mut self) -> Result<(), ClientError> {
        loop {
            tokio::select! {
                due = self.due.tick(), if self.in_flight.len() < MAX_IN_FLIGHT => {
                    self.resources.counters.heartbeat_delay.record(due.elapsed());
                    self.in_flight.push(heartbeat(self.resources, self.worker).boxed_local());
                }
                Some(answer) = self.in_flight.next() => {
                    let Err(error) = answer else { return Ok(()) };
                    if error.kind() == ErrorKind::StreamNotActive && self.opened.elapsed() < OPENING_GRACE {
                        self.due.reset_after(REPEAT_AFTER);
                    } else {
                        return Err(self.failed(error));
                    }
                }
            }
        }
    }

    /// Counts a failed heartbeat. Replaces the connection if it did not break by itself, since a proxy may refuse
    /// heartbeats on it.
    fn failed(&self, error: ClientError) -> ClientError {
        self.resources.counters.heartbeat_failures.add(1);
        if error.is_temporary() && !error.is_from_connection() {
            self.resources.client.connection().replace();
        }
        error
    }
}

async fn heartbeat(resources: &WorkerResources, worker: WorkerId) -> Result<(), ClientError> {
    let request = HeartbeatRequest { worker_id: worker.to_string(), heartbeat_at: Some(timestamp_now()) };
    let connection = resources.client.connection();
    let sent = Instant::now();
    match connection.dispatcher().heartbeat(with_timeout(TIMEOUT, request)).await {
        Ok(_) => {
            resources.counters.heartbeats.add(1);
            resources.counters.heartbeat_answer.record(sent.elapsed());
            Ok(())
        }
        Err(status) => Err(connection.call_error("heartbeat", status)),
    }
}
