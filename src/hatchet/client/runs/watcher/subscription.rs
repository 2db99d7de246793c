//! The subscription to the ends of runs.
//!
//! One stream serves any number of runs: each run is requested once, and the engine sends one event when it finishes. A
//! stream that breaks is opened again, and every run that has not been reported yet is requested again. A real engine
//! answers for a run that has finished in the meantime.

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

/// Requests that the transport has not taken yet.
const REQUESTS: usize = 256;
/// A stream without open runs is closed after this time. Until then the next run uses it.
const MAX_IDLE: Duration = Duration::from_secs(10);
/// Bounds of the wait before a broken stream is opened again.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What [`Subscription::next`] returns.
pub(super) enum SubscriptionEvent {
    /// The end of a run that was added. The event may not say how the run ended.
    Ended(RunId, WorkflowRunEvent),
    /// The stream broke, for this reason if it was not closed by the engine. The next call opens it again.
    Broke(Option<ClientError>),
}

/// A subscription that makes progress only while [`Subscription::next`] is polled.
pub(super) struct Subscription {
    connection: Connection,
    /// Runs whose end has not been reported.
    open: HashSet<RunId>,
    /// Runs that have not been requested on the current stream.
    to_request: VecDeque<RunId>,
    stream: Option<Stream>,
    /// When a broken stream is opened again.
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

/// One step of the stream.
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
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
        }
    }

    /// Requests the end of a run.
    pub(super) fn add(&mut self, run: RunId) {
        if self.open.insert(run) {
            self.to_request.push_back(run);
        }
    }

    /// Ignores the end of a run.
    pub(super) fn forget(&mut self, run: RunId) {
        self.open.remove(&run);
    }

    /// The next event. Pending while no run is open. Cancel safe.
    pub(super) async fn next(&mut self) -> SubscriptionEvent {
        loop {
            if self.open.is_empty() {
                // An open stream is probed for liveness every second. The caller drops this future to add a run.
                sleep(MAX_IDLE).await;
                self.stream = None;
                return std::future::pending().await;
            }
            if let Some(at) = self.reopen_at {
                sleep_until(at).await;
                self.reopen_at = None;
            }
            match self.step().await {
                Step::Requested => {}
                Step::Received(Some(Ok(event))) => {
                    self.backoff.reset();
                    if let Ok(run) = event.workflow_run_id.parse()
                        && self.open.remove(&run)
                    {
                        return SubscriptionEvent::Ended(run, event);
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
            // Events first: requests can wait while events arrive, and the engine stops reading requests while nobody
            // takes its events.
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
        tracing::debug!(?status, "the subscription to the ends of runs broke");
        self.stream = None;
        self.reopen_at = Some(Instant::now() + self.backoff.next_delay());
        SubscriptionEvent::Broke(status.map(|status| self.connection.call_error("waiting for runs", status)))
    }
}
