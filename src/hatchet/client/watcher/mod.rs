//! Watches runs until they finish.
//!
//! Each client has one watcher: a task that owns one subscription that reports finished runs, and polls their details
//! at a limited rate. The subscription is fast, but its stream can break, stall, or lose an event. A poll is slow, but
//! is an independent call. The first of the two that returns a run's outcome ends the waits for it, so no wait hangs.
//!
//! ```text
//!  outcome()   Outcomes   RunUpdates            one watcher task per client
//!      │          │           │      ┌──────────────────────────────────────────────┐
//!      └──────────┴───────────┴─────▶│ WatchedRuns: run -> waiters, next poll       │
//!          Registration              │   ▲ event                 ▲ response         │
//!          (mpsc, bounded)           │   │                       │                  │
//!                                    │ Subscription      polls, at most MAX_POLLS   │
//!      ◀── outcome (oneshot, mpsc) ───│   ▲                       ▲                  │
//!      ◀──── progress (watch) ───────│   │                       │                  │
//!                                    └───┼───────────────────────┼──────────────────┘
//!                              SubscribeToWorkflowRuns      GetRunDetails; on NOT_FOUND,
//!                                                           the list of the REST API
//! ```
//!
//! Invariants:
//!
//! - A watched run is scheduled for a poll, or being polled. So its end is noticed even if the subscription loses it.
//! - Each waiter receives exactly one result, unless the task ends first, which closes the waiter's channel or
//!   sends an error to its group.
//! - A client opens one stream and makes at most 100 polls a second for any number of runs; see [`schedule`] for the
//!   rate while the subscription delivers events.
//! - A run that the engine does not find and does not list ends its waits after a grace period; see [`run_evidence`].
//! - A run without waiters is removed at its next poll.

mod details;
mod group;
mod listed;
mod outcome;
mod poll_result;
mod run_evidence;
mod schedule;
mod sink;
mod subscription;
mod watched;

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::{
    details::fetch,
    group::WaitGroup,
    listed::listed,
    run_evidence::{LIST_AFTER, List, RunEvidence},
    sink::{Progress, closed},
    watched::Outage,
};
pub use self::{
    details::{RunDetails, TaskDetails},
    outcome::RunOutcome,
};
use self::{
    sink::{Sink, Waiter},
    subscription::{Subscription, SubscriptionEvent},
    watched::WatchedRuns,
};
use crate::hatchet::{
    client::RestClient,
    transport::{ClientError, Connection, ErrorKind},
    wire::RunId,
};

/// Maximum number of concurrent polls.
const MAX_POLLS: usize = 16;
/// Capacity of the channel of new registrations.
const REGISTRATIONS: usize = 256;

struct Registration {
    run: RunId,
    waiter: Waiter,
}

/// A handle to the watcher task, which ends when the handle is dropped.
pub(super) struct RunWatcher {
    registrations: mpsc::Sender<Registration>,
    outage: watch::Receiver<Option<Outage>>,
    _task: AbortOnDropHandle<()>,
}

impl RunWatcher {
    /// Starts the task.
    pub(super) fn start(connection: Connection, rest: Option<RestClient>) -> Self {
        let (registrations, requests) = mpsc::channel(REGISTRATIONS);
        let (outage_sender, outage) = watch::channel(None);
        let task = Task::new(connection, rest, requests, outage_sender);
        let _task = AbortOnDropHandle::new(tokio::spawn(task.run()));
        Self { registrations, outage, _task }
    }

    /// Waits until a run has finished.
    pub(super) async fn outcome(&self, run: RunId, evidence: RunEvidence) -> Result<RunOutcome, ClientError> {
        let (sender, receiver) = oneshot::channel();
        self.register(run, evidence, Sink::Outcome(sender)).await;
        receiver.await.unwrap_or_else(|_| Err(closed(run)))
    }

    /// Follows the status of a run up to its result. The sender is dropped without a result if the task ends first.
    pub(super) async fn follow(&self, run: RunId, evidence: RunEvidence) -> watch::Receiver<Progress> {
        let (sender, receiver) = watch::channel(Progress::default());
        self.register(run, evidence, Sink::Progress(sender)).await;
        receiver
    }

    /// The current outage of the engine, if any.
    pub(super) fn outage(&self) -> watch::Receiver<Option<Outage>> {
        self.outage.clone()
    }

    async fn register(&self, run: RunId, evidence: RunEvidence, sink: Sink) {
        let registration = Registration { run, waiter: Waiter { evidence, sink } };
        // Fails if the watcher's task has ended; the receiver of the dropped sink reports that.
        let _ = self.registrations.send(registration).await;
    }
}

/// The response to a poll.
enum PollResponse {
    Details(Result<RunDetails, ClientError>),
    /// That of the list, after NOT_FOUND.
    Listed(Result<Option<RunDetails>, ClientError>),
}

struct Task {
    connection: Connection,
    /// The source of the list.
    rest: Option<RestClient>,
    registrations: mpsc::Receiver<Registration>,
    runs: WatchedRuns,
    subscription: Subscription,
    polls: FuturesUnordered<BoxFuture<'static, (RunId, PollResponse)>>,
    outage: watch::Sender<Option<Outage>>,
}

impl Task {
    fn new(
        connection: Connection,
        rest: Option<RestClient>,
        registrations: mpsc::Receiver<Registration>,
        outage: watch::Sender<Option<Outage>>,
    ) -> Self {
        Self {
            registrations,
            runs: WatchedRuns::new(rest.is_some(), Instant::now()),
            subscription: Subscription::new(connection.clone()),
            connection,
            rest,
            polls: FuturesUnordered::new(),
            outage,
        }
    }

    /// Runs until the handle is dropped.
    async fn run(mut self) {
        loop {
            let next_poll = self.runs.next_poll().filter(|_| self.polls.len() < MAX_POLLS);
            tokio::select! {
                biased;
                event = self.subscription.next() => match event {
                    SubscriptionEvent::Finished(run, event) => {
                        self.runs.event(run, RunOutcome::from_event(run, &event), Instant::now());
                    }
                    SubscriptionEvent::Broke(error) => self.runs.subscription_broke(error, Instant::now()),
                },
                Some((run, response)) = self.polls.next() => match response {
                    PollResponse::Details(response) => self.runs.poll_returned(run, response, Instant::now()),
                    PollResponse::Listed(response) => self.runs.list_returned(run, response, Instant::now()),
                },
                registration = self.registrations.recv() => match registration {
                    Some(Registration { run, waiter }) => {
                        self.subscription.add(run);
                        self.runs.add(run, waiter, Instant::now());
                    }
                    None => return,
                },
                () = sleep_until(next_poll.unwrap_or_else(Instant::now)), if next_poll.is_some() => self.start_poll(),
            }
            for run in self.runs.take_removed() {
                self.subscription.remove(run);
            }
            self.publish_outage();
        }
    }

    fn start_poll(&mut self) {
        let Some(run) = self.runs.take_poll(Instant::now()) else { return };
        let connection = self.connection.clone();
        let rest = self.rest.clone().filter(|_| self.runs.reads_list(run));
        let poll = async move {
            match (fetch(&connection, run).await, rest) {
                (Err(error), Some(rest)) if error.kind() == ErrorKind::NotFound => {
                    PollResponse::Listed(listed(&rest, run).await)
                }
                (response, _) => PollResponse::Details(response),
            }
        };
        self.polls.push(poll.map(move |response| (run, response)).boxed());
    }

    /// Publishes the start of an outage, each new error, and the end.
    fn publish_outage(&mut self) {
        let now = self.runs.outage();
        let key = |outage: &Outage| (outage.since, outage.error.to_string());
        self.outage.send_if_modified(|published| {
            let is_changed = published.as_ref().map(key) != now.map(key);
            if is_changed {
                *published = now.cloned();
            }
            is_changed
        });
    }
}
