//! The subscription that reports finished runs.
//!
//! One stream serves any number of runs: each run is requested once, and the engine sends one event when it finishes. A
//! stream that breaks is opened again, and every run whose end was not received is requested again. For a run that has
//! finished in the meantime, a real engine sends the event immediately.
//!
//! A stream without open runs is not polled, so its break is noticed when the next run is requested. Nothing is lost:
//! that run is requested again on the next stream.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::hatchet::{
    transport::{Backoff, ClientError, Connection, response_messages},
    wire::{
        RunId,
        proto::{SubscribeToWorkflowRunsRequest, WorkflowRunEvent},
    },
};

/// Capacity of the channel of requests to the transport.
const REQUESTS: usize = 256;
/// Time after which a stream without open runs is closed. Until then the next run uses it.
const MAX_IDLE: Duration = Duration::from_secs(10);
/// Bounds of the delay before a broken stream is opened again.
const MIN_REOPEN_DELAY: Duration = Duration::from_millis(50);
const MAX_REOPEN_DELAY: Duration = Duration::from_secs(2);

/// An event of a [`Subscription`].
pub(super) enum SubscriptionEvent {
    /// A run that was added has finished. The event may lack the outcome.
    Finished(RunId, WorkflowRunEvent),
    /// The stream broke with this error, or was closed by the engine. The next call opens it again.
    Broke(Option<ClientError>),
}

/// A subscription that makes progress only while [`Subscription::next`] is polled.
pub(super) struct Subscription {
    connection: Connection,
    /// Runs whose end was not received.
    open: HashSet<RunId>,
    /// Runs that have not been requested on the current stream.
    to_request: VecDeque<RunId>,
    stream: Option<Stream>,
    /// The time at which a broken stream is opened again.
    reopen_at: Option<Instant>,
    backoff: Backoff,
}

struct Stream {
    requests: mpsc::Sender<SubscribeToWorkflowRunsRequest>,
    events: BoxStream<'static, Result<WorkflowRunEvent, tonic::Status>>,
}

impl Stream {
    fn open(connection: &Connection) -> Self {
        let (requests, outgoing) = mpsc::channel(REQUESTS);
        let mut stub = connection.dispatcher();
        let events =
            response_messages(async move { stub.subscribe_to_workflow_runs(ReceiverStream::new(outgoing)).await });
        Self { requests, events }
    }
}

/// The result of waiting for the stream once.
enum Step {
    Requested,
    Received(Option<Result<WorkflowRunEvent, tonic::Status>>),
}

impl Subscription {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            open: HashSet::new(),
            to_request: VecDeque::new(),
            stream: None,
            reopen_at: None,
            backoff: Backoff::new(MIN_REOPEN_DELAY, MAX_REOPEN_DELAY),
        }
    }

    /// Requests the end of a run.
    pub(super) fn add(&mut self, run: RunId) {
        if self.open.insert(run) {
            self.to_request.push_back(run);
        }
    }

    /// Removes a run, whose end is ignored from now on.
    pub(super) fn remove(&mut self, run: RunId) {
        self.open.remove(&run);
    }

    /// Returns the next event. Pending while no run is open. Cancel safe.
    pub(super) async fn next(&mut self) -> SubscriptionEvent {
        loop {
            if self.open.is_empty() {
                // An open stream costs a liveness probe every second. The caller drops this future to add a run.
                sleep(MAX_IDLE).await;
                self.stream = None;
                return std::future::pending().await;
            }
            if let Some(instant) = self.reopen_at {
                sleep_until(instant).await;
                self.reopen_at = None;
            }
            match self.step().await {
                Step::Requested => {}
                Step::Received(Some(Ok(event))) => {
                    self.backoff.reset();
                    if let Ok(run) = event.workflow_run_id.parse()
                        && self.open.remove(&run)
                    {
                        return SubscriptionEvent::Finished(run, event);
                    }
                }
                Step::Received(None) => return self.broke(None),
                Step::Received(Some(Err(status))) => return self.broke(Some(status)),
            }
        }
    }

    async fn step(&mut self) -> Step {
        let stream = self.stream.get_or_insert_with(|| {
            self.to_request = self.open.iter().copied().collect();
            Stream::open(&self.connection)
        });
        tokio::select! {
            // Events first: the engine stops reading requests while its events are not read.
            biased;
            event = stream.events.next() => Step::Received(event),
            permit = stream.requests.reserve(), if !self.to_request.is_empty() => {
                let Ok(permit) = permit else { return Step::Received(None) };
                if let Some(run) = self.to_request.pop_front().filter(|run| self.open.contains(run)) {
                    permit.send(SubscribeToWorkflowRunsRequest { workflow_run_id: run.to_string() });
                }
                Step::Requested
            }
        }
    }

    fn broke(&mut self, status: Option<tonic::Status>) -> SubscriptionEvent {
        tracing::debug!(?status, "the subscription to finished runs broke");
        self.stream = None;
        self.reopen_at = Some(Instant::now() + self.backoff.next_delay());
        SubscriptionEvent::Broke(status.map(|status| self.connection.call_error("waiting for runs", status)))
    }
}
