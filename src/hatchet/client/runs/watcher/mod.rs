//! Watches runs until they finish.
//!
//! Each client has one watcher: a task that owns one subscription to the ends of runs and one paced poll of their
//! details. The subscription is fast, but its stream can break, stall, or lose a single event. The poll is slow and
//! depends on nothing but calls. The first of the two that knows a run's outcome ends the waits for it, so no wait hangs.
//!
//! ```text
//!  outcome()   Outcomes   RunUpdates            one watcher task per client
//!      │          │           │      ┌──────────────────────────────────────────────┐
//!      └──────────┴───────────┴─────▶│ WatchedRuns: run -> waiters, next poll       │
//!          Registration              │   ▲ event                 ▲ answer           │
//!          (mpsc, bounded)           │   │                       │                  │
//!                                    │ Subscription      polls, at most MAX_POLLS   │
//!      ◀──── outcome (oneshot) ──────│   ▲                       ▲                  │
//!      ◀──── progress (watch) ───────│   │                       │                  │
//!                                    └───┼───────────────────────┼──────────────────┘
//!                              SubscribeToWorkflowRuns      GetRunDetails
//! ```
//!
//! Invariants:
//!
//! - A watched run is scheduled for a poll, or being polled. So its end is noticed although the subscription misses it.
//! - Each waiter gets exactly one result, or sees its channel closed if the task ends first.
//! - The engine gets one stream and at most 100 polls a second from a client, however many runs it waits for; 5 polls a
//!   second while the subscription delivers events.
//! - A run without waiters is dropped at its next poll.

mod schedule;
mod subscription;
mod verdict;
mod watched;

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::watched::{Outage, Progress};
use self::{
    subscription::{Subscription, SubscriptionEvent},
    watched::{Sink, Waiter, WatchedRuns},
};
use super::{RunDetails, RunOutcome, details::fetch, recognition::Recognition};
use crate::hatchet::{
    transport::{ClientError, Connection, ErrorKind},
    wire::RunId,
};

/// Concurrent polls.
const MAX_POLLS: usize = 16;
/// Registrations that the task has not taken yet.
const REGISTRATIONS: usize = 256;

struct Registration {
    run: RunId,
    waiter: Waiter,
}

/// A handle to the watcher task, which ends when the handle is dropped.
pub(in crate::hatchet::client) struct RunWatcher {
    registrations: mpsc::Sender<Registration>,
    outage: watch::Receiver<Option<Outage>>,
    _task: AbortOnDropHandle<()>,
}

impl RunWatcher {
    /// Starts the task.
    pub(in crate::hatchet::client) fn start(connection: Connection) -> Self {
        let (registrations, requests) = mpsc::channel(REGISTRATIONS);
        let (outage_sender, outage) = watch::channel(None);
        let task = Task::new(connection, requests, outage_sender);
        let _task = AbortOnDropHandle::new(tokio::spawn(task.run()));
        Self { registrations, outage, _task }
    }

    /// Waits until a run has finished.
    pub(super) async fn outcome(&self, run: RunId, recognition: Recognition) -> Result<RunOutcome, ClientError> {
        let (sender, receiver) = oneshot::channel();
        self.register(run, recognition, Sink::Outcome(sender)).await;
        receiver.await.unwrap_or_else(|_| Err(closed(run)))
    }

    /// The status changes of a run, up to its result. The sender is dropped without a result if the task ends first.
    pub(super) async fn follow(&self, run: RunId, recognition: Recognition) -> watch::Receiver<Progress> {
        let (sender, receiver) = watch::channel(Progress::default());
        self.register(run, recognition, Sink::Progress(sender)).await;
        receiver
    }

    /// Whether the engine answers.
    pub(super) fn outage(&self) -> watch::Receiver<Option<Outage>> {
        self.outage.clone()
    }

    async fn register(&self, run: RunId, recognition: Recognition, sink: Sink) {
        let registration = Registration { run, waiter: Waiter { recognition, sink } };
        // It fails if the task has ended; the receiver of the dropped sink reports that.
        let _ = self.registrations.send(registration).await;
    }
}

/// The error of a wait whose watcher task has ended.
pub(super) fn closed(run: RunId) -> ClientError {
    let message = format!("wait for run {run} failed: the runtime that the client was made in has shut down");
    ClientError::new(ErrorKind::Unreachable, message)
}

struct Task {
    connection: Connection,
    registrations: mpsc::Receiver<Registration>,
    runs: WatchedRuns,
    subscription: Subscription,
    polls: FuturesUnordered<BoxFuture<'static, (RunId, Result<RunDetails, ClientError>)>>,
    outage: watch::Sender<Option<Outage>>,
}

impl Task {
    fn new(
        connection: Connection,
        registrations: mpsc::Receiver<Registration>,
        outage: watch::Sender<Option<Outage>>,
    ) -> Self {
        Self {
            registrations,
            runs: WatchedRuns::new(Instant::now()),
            subscription: Subscription::new(connection.clone()),
            connection,
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
                    SubscriptionEvent::Ended(run, event) => {
                        self.runs.event(run, RunOutcome::from_event(run, &event), Instant::now());
                    }
                    SubscriptionEvent::Broke(error) => self.runs.subscription_broke(error, Instant::now()),
                },
                Some((run, answer)) = self.polls.next() => self.runs.poll_answered(run, answer, Instant::now()),
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
                self.subscription.forget(run);
            }
            self.publish_outage();
        }
    }

    fn start_poll(&mut self) {
        let Some(run) = self.runs.take_poll(Instant::now()) else { return };
        let connection = self.connection.clone();
        self.polls.push(async move { (run, fetch(&connection, run).await) }.boxed());
    }

    /// Shows the beginning, each new reason and the end of an outage to the views.
    fn publish_outage(&mut self) {
        let now = self.runs.outage();
        let key = |outage: &Outage| (outage.since, outage.error.to_string());
        self.outage.send_if_modified(|shown| {
            let is_same = shown.as_ref().map(key) == now.map(key);
            if !is_same {
                *shown = now.cloned();
            }
            !is_same
        });
    }
}
