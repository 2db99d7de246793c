//! The heartbeats of a session.
//!
//! The engine stops assigning 5 s after the last heartbeat and reassigns the worker's attempts 30 s after it. So a
//! heartbeat is sent every [`INTERVAL`], whether or not the previous heartbeat has a response. A slow response does not
//! end the session: the transport's liveness monitor detects a dead connection and fails the stream and the heartbeats
//! together.
//!
//! The first heartbeat is sent together with the call that opens the stream. The engine refuses a heartbeat that it
//! handles before that call. Such a refusal is ignored for [`OPENING_GRACE`] after the session's first response, and
//! the heartbeat is repeated. The grace period starts at that response, because the time to connect and the round trip
//! precede it. So a slow link leaves the engine as much time to open the stream as a fast one.

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
/// Time without a response after which a heartbeat has failed. The engine reassigns attempts after this time.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of heartbeats without a response: the number that is sent within [`TIMEOUT`].
const MAX_IN_FLIGHT: usize = 8;
/// Time after the first response in which a sent heartbeat may be refused because its stream is not open yet.
const OPENING_GRACE: Duration = Duration::from_secs(2);
/// Delay before a refused heartbeat is repeated.
const REPEAT_AFTER: Duration = Duration::from_millis(100);

/// Sends the heartbeats of one session.
pub(super) struct Heartbeats<'a> {
    resources: &'a WorkerResources,
    worker: WorkerId,
    due: Interval,
    in_flight: FuturesUnordered<LocalBoxFuture<'a, Response>>,
    /// Time of the session's first response.
    first_response: Option<Instant>,
}

/// The response to a heartbeat, with the time at which the heartbeat was sent.
struct Response {
    sent: Instant,
    result: Result<(), ClientError>,
}

impl<'a> Heartbeats<'a> {
    /// Creates the heartbeats of a session that starts now.
    pub(super) fn new(resources: &'a WorkerResources, worker: WorkerId) -> Self {
        let mut due = interval(INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { resources, worker, due, in_flight: FuturesUnordered::new(), first_response: None }
    }

    /// Sends heartbeats until one is accepted, or until one has failed, which ends the session. Cancel safe.
    pub(super) async fn next_accepted(&mut self) -> Result<(), ClientError> {
        loop {
            tokio::select! {
                due = self.due.tick(), if self.in_flight.len() < MAX_IN_FLIGHT => {
                    self.resources.counters.heartbeat_delay.record(due.elapsed());
                    self.in_flight.push(send(self.resources, self.worker).boxed_local());
                }
                Some(Response { sent, result }) = self.in_flight.next() => {
                    let first_response = *self.first_response.get_or_insert_with(Instant::now);
                    let Err(error) = result else { return Ok(()) };
                    if error.kind() == ErrorKind::StreamNotActive && sent < first_response + OPENING_GRACE {
                        self.due.reset_after(REPEAT_AFTER);
                    } else {
                        return Err(self.failed(error));
                    }
                }
            }
        }
    }

    /// Counts a failed heartbeat. Replaces the connection unless the connection itself failed, since a proxy may refuse
    /// heartbeats on it.
    fn failed(&self, error: ClientError) -> ClientError {
        self.resources.counters.heartbeat_failures.add(1);
        if error.is_temporary() && !error.is_from_connection() {
            self.resources.client.connection().replace();
        }
        error
    }
}

async fn send(resources: &WorkerResources, worker: WorkerId) -> Response {
    let request = HeartbeatRequest { worker_id: worker.to_string(), heartbeat_at: Some(timestamp_now()) };
    let connection = resources.client.connection();
    let sent = Instant::now();
    let result = match connection.dispatcher().heartbeat(with_timeout(TIMEOUT, request)).await {
        Ok(_) => {
            resources.counters.heartbeats.add(1);
            resources.counters.heartbeat_response.record(sent.elapsed());
            Ok(())
        }
        Err(status) => Err(connection.call_error("heartbeat", status)),
    };
    Response { sent, result }
}
