//! The subscription to results that all waits of a client share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backon::ExponentialBackoff;
use futures_util::StreamExt as _;
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Connection,
    retry::forever,
    wait::{POLL_FIRST, POLL_SLOWEST},
};
use crate::hatchet::wire::{RunId, proto};

/// Polls under way at once, of all waits of a client: thousands of waits must not be a load of their own.
const POLLS: usize = 16;

type Waiter = (RunId, oneshot::Sender<proto::WorkflowRunEvent>);

/// The shared subscription: a handle in front of the one task that owns the stream.
pub(crate) struct Results {
    waiters: mpsc::Sender<Waiter>,
    /// When the subscription last told of an end.
    heard: Arc<Mutex<Option<Instant>>>,
    polls: Semaphore,
    /// Ends the task with the client.
    _owner: AbortOnDropHandle<()>,
}

impl Results {
    pub(super) fn new(connection: Connection) -> Self {
        let (waiters, requests) = mpsc::channel(256);
        let heard = Arc::new(Mutex::new(None));
        let owner = Pool { connection, requests, pending: HashMap::new(), prune_at: 1024, heard: heard.clone() };
        let _owner = AbortOnDropHandle::new(tokio::spawn(owner.run()));
        Self { waiters, heard, polls: Semaphore::new(POLLS), _owner }
    }

    /// To be held during a poll.
    pub(super) async fn poll_permit(&self) -> Option<SemaphorePermit<'_>> {
        // It fails where the semaphore was closed, which it never is.
        self.polls.acquire().await.ok()
    }

    /// Waits until a poll is due: by `waits`, and not while the subscription tells of ends, since it will tell of this
    /// one as well. A poll is put off for [`POLL_SLOWEST`] in all, as a single end may get lost.
    pub(super) async fn quiet(&self, waits: &mut ExponentialBackoff) {
        let latest = Instant::now() + POLL_SLOWEST;
        loop {
            let wait = waits.next().unwrap_or(POLL_SLOWEST);
            sleep_until((Instant::now() + wait).min(latest)).await;
            let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            if Instant::now() >= latest || heard.is_none_or(|at| at.elapsed() > POLL_FIRST) {
                return;
            }
        }
    }

    /// Asks for a run's end. The receiver fails where the subscription is gone.
    pub(super) async fn subscribe(&self, run: RunId) -> oneshot::Receiver<proto::WorkflowRunEvent> {
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
    heard: Arc<Mutex<Option<Instant>>>,
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
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
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
