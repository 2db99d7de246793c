//! Waits for runs to end: one subscription that all waits share, raced with a poll that does not depend on it.
//!
//! The subscription is fast and can fall silent; the poll is slow and cannot. Whichever knows first answers, so a
//! wait neither hangs nor lags.

use std::{collections::HashMap, time::Duration};

use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use super::{ClientError, Connection, ErrorKind, RunDetails, RunHandle, retry::forever};
use crate::hatchet::wire::{RunId, RunStatus, proto};

/// The poll starts here and slows down to [`POLL_SLOWEST`].
const POLL_FIRST: Duration = Duration::from_millis(250);
const POLL_SLOWEST: Duration = Duration::from_secs(5);
/// A poll that takes longer is given up and made again.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// A run that the engine does not know for this long is not coming. A real engine under load was seen to need 1 s.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(10);
/// Without any answer from the engine for this long, the wait ends.
const SILENCE_PATIENCE: Duration = Duration::from_secs(300);

/// How a run ended, by the engine's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutcome {
    /// The run.
    pub run: RunId,
    /// [`RunStatus::Completed`], [`RunStatus::Failed`] or [`RunStatus::Cancelled`].
    pub status: RunStatus,
    /// The output of a completed run, JSON. With several tasks: an object of outputs by task name.
    pub output: Option<String>,
    /// The error text of a failed run.
    pub error: Option<String>,
}

/// The run itself failed: the call that asked about it did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunFailed {
    /// The last attempt failed with this error text.
    #[error("run {run} failed: {error}")]
    Failed {
        /// The run.
        run: RunId,
        /// As the worker reported it.
        error: String,
    },
    /// It was cancelled, or no worker took it within its schedule timeout.
    #[error("run {run} was cancelled")]
    Cancelled {
        /// The run.
        run: RunId,
    },
    /// It completed with an output of another shape than asked for.
    #[error("run {run} completed, but its output cannot be read: {reason}")]
    Unreadable {
        /// The run.
        run: RunId,
        /// Why.
        reason: String,
    },
}

impl RunOutcome {
    /// The output of a completed run, as a type.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T, RunFailed> {
        match self.status {
            RunStatus::Completed => serde_json::from_str(self.output.as_deref().unwrap_or("{}"))
                .map_err(|e| RunFailed::Unreadable { run: self.run, reason: e.to_string() }),
            RunStatus::Cancelled => Err(RunFailed::Cancelled { run: self.run }),
            RunStatus::Failed | RunStatus::Queued | RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_) => {
                Err(RunFailed::Failed { run: self.run, error: self.error.clone().unwrap_or_default() })
            }
        }
    }

    /// The outcome in a run's details, if they are final.
    pub fn from_details(run: RunId, details: &RunDetails) -> Option<Self> {
        if !(details.done && details.status.is_final()) {
            return None;
        }
        let output = match (&details.status, details.tasks.as_slice()) {
            (RunStatus::Completed, [task]) => task.output.clone(),
            (RunStatus::Completed, tasks) => {
                Some(by_name(tasks.iter().map(|t| (t.name.as_str(), t.output.as_deref()))))
            }
            _ => None,
        };
        let error = details.tasks.iter().find_map(|task| task.error.clone());
        Some(Self { run, status: details.status, output, error })
    }

    /// The outcome in a subscription's answer, where it is beyond doubt. A cancelled run reads there like one without
    /// output, so the doubtful ones are asked for.
    fn from_event(run: RunId, event: &proto::WorkflowRunEvent) -> Option<Self> {
        let [task] = event.results.as_slice() else { return None };
        match (&task.output, &task.error) {
            (Some(output), None) if !output.is_empty() => {
                Some(Self { run, status: RunStatus::Completed, output: Some(output.clone()), error: None })
            }
            (None, Some(error)) if !error.is_empty() => {
                Some(Self { run, status: RunStatus::Failed, output: None, error: Some(error.clone()) })
            }
            _ => None,
        }
    }
}

fn by_name<'a>(tasks: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let outputs: serde_json::Map<String, serde_json::Value> =
        tasks.filter_map(|(name, output)| Some((name.to_owned(), serde_json::from_str(output?).ok()?))).collect();
    serde_json::Value::Object(outputs).to_string()
}

impl RunHandle {
    /// Waits until the run has ended, and says how.
    ///
    /// Ends with [`ErrorKind::NotFound`] where the engine does not know the run for 10 s, with
    /// [`ErrorKind::Unreachable`] where it does not answer for 5 minutes, and at once where the token is refused.
    pub async fn outcome(&self) -> Result<RunOutcome, ClientError> {
        let subscription = self.client().results().subscribe(self.id()).await;
        let told = async {
            match subscription.await {
                Ok(event) => match RunOutcome::from_event(self.id(), &event) {
                    Some(outcome) => Ok(outcome),
                    // It has ended: its details follow within some 50 ms.
                    None => self.poll(Duration::ZERO, Duration::from_millis(20)).await,
                },
                // The subscription is gone, as with a client that is being dropped; the poll remains.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = told => outcome,
            outcome = self.poll(POLL_FIRST, POLL_FIRST) => outcome,
        }
    }

    /// Asks for the details, first after `start`, then ever slower, until they are final.
    async fn poll(&self, start: Duration, first: Duration) -> Result<RunOutcome, ClientError> {
        sleep(start).await;
        let mut waits = forever(first, POLL_SLOWEST);
        let begun = Instant::now();
        let (mut known, mut heard) = (begun, begun);
        loop {
            match timeout(POLL_TIMEOUT, self.details_once()).await {
                Ok(Ok(details)) => {
                    (known, heard) = (Instant::now(), Instant::now());
                    if let Some(outcome) = RunOutcome::from_details(self.id(), &details) {
                        return Ok(outcome);
                    }
                }
                Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
                    heard = Instant::now();
                    if known.elapsed() > UNKNOWN_PATIENCE {
                        return Err(ClientError::new(
                            ErrorKind::NotFound,
                            format!(
                                "run {} is not known to the engine: check the id; after a trigger it means that no \
                                 workflow has that name: start a worker that registers it",
                                self.id()
                            ),
                        ));
                    }
                }
                Ok(Err(error)) if error.is_temporary() => {
                    if heard.elapsed() > SILENCE_PATIENCE {
                        return Err(error);
                    }
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    // The connection may be dead and look alive; what is slow only goes on over the old one.
                    self.client().connection().renew();
                    if heard.elapsed() > SILENCE_PATIENCE {
                        return Err(ClientError::new(
                            ErrorKind::Unreachable,
                            format!("the engine has not answered about run {} for {SILENCE_PATIENCE:?}", self.id()),
                        ));
                    }
                }
            }
            sleep(waits.next().unwrap_or(POLL_SLOWEST)).await;
        }
    }
}

type Waiter = (RunId, oneshot::Sender<proto::WorkflowRunEvent>);

/// The shared subscription: a handle in front of the one task that owns the stream.
pub(crate) struct Results {
    waiters: mpsc::Sender<Waiter>,
    /// Ends the task with the client.
    _owner: AbortOnDropHandle<()>,
}

impl Results {
    pub(super) fn new(connection: Connection) -> Self {
        let (waiters, requests) = mpsc::channel(256);
        let owner = Pool { connection, requests, pending: HashMap::new(), prune_at: 1024 };
        Self { waiters, _owner: AbortOnDropHandle::new(tokio::spawn(owner.run())) }
    }

    /// Asks for a run's end. The receiver fails where the subscription is gone.
    async fn subscribe(&self, run: RunId) -> oneshot::Receiver<proto::WorkflowRunEvent> {
        let (sender, receiver) = oneshot::channel();
        // A failed send drops the sender, which the receiver sees.
        let _ = self.waiters.send((run, sender)).await;
        receiver
    }
}

struct Pool {
    connection: Connection,
    requests: mpsc::Receiver<Waiter>,
    pending: HashMap<RunId, Vec<oneshot::Sender<proto::WorkflowRunEvent>>>,
    /// Size at which those who have stopped waiting are looked for.
    prune_at: usize,
}

impl Pool {
    /// Keeps a stream open while somebody waits, and asks for every pending run again after it broke.
    async fn run(mut self) {
        let mut waits = forever(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            self.prune();
            if self.pending.is_empty() {
                match self.requests.recv().await {
                    Some(waiter) => self.add(waiter),
                    None => return,
                }
            }
            match self.session().await {
                Session::NoMoreWaiters => return,
                Session::Broken { answered } => {
                    if answered {
                        waits = forever(Duration::from_millis(50), Duration::from_secs(2));
                    }
                    sleep(waits.next().unwrap_or(Duration::from_secs(2))).await;
                }
            }
        }
    }

    /// One stream, from its opening to its end.
    async fn session(&mut self) -> Session {
        let (ask, asked) = mpsc::channel(256);
        let mut stub = self.connection.dispatcher();
        // An engine may send its response headers with the first answer only, so the call itself is awaited among
        // all the rest.
        let opening = async move {
            match stub.subscribe_to_workflow_runs(ReceiverStream::new(asked)).await {
                Ok(answer) => answer.into_inner().boxed(),
                Err(status) => futures_util::stream::once(async { Err(status) }).boxed(),
            }
        };
        let mut answers = futures_util::stream::once(opening).flatten().boxed();
        let mut to_ask: Vec<RunId> = self.pending.keys().copied().collect();
        let mut answered = false;
        loop {
            tokio::select! {
                permit = ask.reserve(), if !to_ask.is_empty() => {
                    let Ok(permit) = permit else { return Session::Broken { answered } };
                    if let Some(run) = to_ask.pop() {
                        permit.send(proto::SubscribeToWorkflowRunsRequest { workflow_run_id: run.to_string() });
                    }
                }
                answer = answers.next() => match answer {
                    Some(Ok(event)) => {
                        answered = true;
                        self.settle(event);
                    }
                    Some(Err(status)) => {
                        tracing::debug!(%status, "the subscription to results broke");
                        return Session::Broken { answered };
                    }
                    None => return Session::Broken { answered },
                },
                waiter = self.requests.recv() => match waiter {
                    Some(waiter) => {
                        to_ask.push(waiter.0);
                        self.add(waiter);
                    }
                    None => return Session::NoMoreWaiters,
                },
            }
        }
    }

    fn add(&mut self, (run, sender): Waiter) {
        if self.pending.len() >= self.prune_at {
            self.prune();
            self.prune_at = 1024.max(self.pending.len() * 2);
        }
        self.pending.entry(run).or_default().push(sender);
    }

    fn settle(&mut self, event: proto::WorkflowRunEvent) {
        let Ok(run) = event.workflow_run_id.parse::<RunId>() else { return };
        for sender in self.pending.remove(&run).into_iter().flatten() {
            // A failed send: that wait was answered by its poll.
            let _ = sender.send(event.clone());
        }
    }

    fn prune(&mut self) {
        self.pending.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
    }
}

enum Session {
    Broken {
        /// Whether anything came: if so, the next try may be soon.
        answered: bool,
    },
    NoMoreWaiters,
}
