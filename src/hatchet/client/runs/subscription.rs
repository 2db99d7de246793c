//! One stream that tells of the ends of any number of runs, opened again whenever it breaks.

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

/// Requests on their way to the stream.
const ASKING: usize = 256;
/// A stream without runs is closed after this time. Until then the next run uses it.
const MAX_IDLE: Duration = Duration::from_secs(10);
/// Before it is opened again.
const SOONEST: Duration = Duration::from_millis(50);
const SLOWEST: Duration = Duration::from_secs(2);

/// A subscription without a task of its own: it moves while [`Subscription::next`] is polled.
pub(super) struct Subscription {
    connection: Connection,
    /// Runs whose end was not told yet.
    open: HashSet<RunId>,
    to_ask: VecDeque<RunId>,
    session: Option<Session>,
    open_at: Option<Instant>,
    waits: Backoff,
    trouble: Option<ClientError>,
}

struct Session {
    ask: mpsc::Sender<SubscribeToWorkflowRunsRequest>,
    answers: BoxStream<'static, Result<WorkflowRunEvent, tonic::Status>>,
}

impl Subscription {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            open: HashSet::new(),
            to_ask: VecDeque::new(),
            session: None,
            open_at: None,
            waits: Backoff::new(SOONEST, SLOWEST),
            trouble: None,
        }
    }

    /// Asks for the end of a run.
    pub(super) fn add(&mut self, run: RunId) {
        if self.open.insert(run) {
            self.to_ask.push_back(run);
        }
    }

    /// The run's end is known from elsewhere.
    pub(super) fn forget(&mut self, run: RunId) {
        self.open.remove(&run);
    }

    /// Why the stream is not open at present, if it broke.
    pub(super) fn trouble(&self) -> Option<&ClientError> {
        self.trouble.as_ref()
    }

    /// The next end of a run that was asked for; none where the stream broke, which the next call opens again. Waits
    /// for ever where nothing was asked for. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<(RunId, WorkflowRunEvent)> {
        loop {
            if self.open.is_empty() {
                // An open stream is probed for liveness every second. Adding a run drops this future.
                sleep(MAX_IDLE).await;
                self.session = None;
                return std::future::pending().await;
            }
            if let Some(at) = self.open_at {
                sleep_until(at).await;
                self.open_at = None;
            }
            let session = self.session.get_or_insert_with(|| {
                self.to_ask = self.open.iter().copied().collect();
                Session::open(&self.connection)
            });
            let moved = tokio::select! {
                // Answers first: while they come, asking can wait, and the other way round it could not.
                biased;
                answer = session.answers.next() => Moved::Told(answer.transpose()),
                permit = session.ask.reserve(), if !self.to_ask.is_empty() => match (permit, self.to_ask.pop_front()) {
                    (Ok(permit), Some(run)) => {
                        if self.open.contains(&run) {
                            permit.send(SubscribeToWorkflowRunsRequest { workflow_run_id: run.to_string() });
                        }
                        Moved::Asked
                    }
                    (Ok(_), None) => Moved::Asked,
                    (Err(_), _) => Moved::Told(Ok(None)),
                },
            };
            match moved {
                Moved::Asked => {}
                Moved::Told(Ok(Some(event))) => {
                    self.waits.reset();
                    self.trouble = None;
                    if let Ok(run) = event.workflow_run_id.parse()
                        && self.open.remove(&run)
                    {
                        return Some((run, event));
                    }
                }
                Moved::Told(Ok(None)) => {
                    self.broke(None);
                    return None;
                }
                Moved::Told(Err(status)) => {
                    self.broke(Some(status));
                    return None;
                }
            }
        }
    }

    fn broke(&mut self, status: Option<tonic::Status>) {
        tracing::debug!(?status, "the subscription to results broke");
        self.session = None;
        self.open_at = Some(Instant::now() + self.waits.next_delay());
        if let Some(status) = status {
            self.trouble = Some(self.connection.call_error("wait for runs to end", status));
        }
    }
}

enum Moved {
    Asked,
    /// An event, the stream's end, or what broke it.
    Told(Result<Option<WorkflowRunEvent>, tonic::Status>),
}

impl Session {
    fn open(connection: &Connection) -> Self {
        let (ask, asked) = mpsc::channel(ASKING);
        let mut stub = connection.dispatcher();
        let answers =
            response_messages(async move { stub.subscribe_to_workflow_runs(ReceiverStream::new(asked)).await });
        Self { ask, answers }
    }
}
