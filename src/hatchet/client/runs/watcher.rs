//! The subscription to results that all waits of a client share.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::FutureExt as _;
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    subscription::Subscription,
    wait::{POLL_FIRST, POLL_SLOWEST},
};
use crate::hatchet::{
    transport::{Backoff, Connection},
    wire::{RunId, proto::WorkflowRunEvent},
};

/// Polls under way at once, of all waits of a client: thousands of waits must not be a load of their own.
const POLLS: usize = 16;

type Waiter = (RunId, oneshot::Sender<WorkflowRunEvent>);

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
    pub(in crate::hatchet::client) fn new(connection: Connection) -> Self {
        let (waiters, requests) = mpsc::channel(256);
        let heard = Arc::new(Mutex::new(None));
        let subscription = Subscription::new(connection);
        let owner = Pool { subscription, requests, pending: HashMap::new(), prune_at: 1024, heard: heard.clone() };
        let _owner = AbortOnDropHandle::new(tokio::spawn(owner.run()));
        Self { waiters, heard, polls: Semaphore::new(POLLS), _owner }
    }

    /// To be held during a poll.
    pub(super) async fn poll_permit(&self) -> Option<SemaphorePermit<'_>> {
        // It fails where the semaphore was closed, which it never is.
        self.polls.acquire().await.ok()
    }

    /// Waits until a poll is due: by `waits`, and not while the subscription tells of ends, since it will tell of this
    /// one as well. A poll is put off for [`POLL_SLOWEST`] in all, as a single end may get lost; and it is due soon when
    /// the connection was `left`, over which one may have got lost.
    pub(super) async fn quiet(&self, waits: &mut Backoff, left: impl Future<Output = ()>) {
        let latest = Instant::now() + POLL_SLOWEST;
        let mut left = pin!(left.fuse());
        loop {
            let wait = waits.next_delay();
            tokio::select! {
                biased;
                () = &mut left => {
                    waits.reset();
                    continue;
                }
                () = sleep_until((Instant::now() + wait).min(latest)) => {}
            }
            let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            if Instant::now() >= latest || heard.is_none_or(|at| at.elapsed() > POLL_FIRST) {
                return;
            }
        }
    }

    /// Asks for a run's end. The receiver fails where the subscription is gone.
    pub(super) async fn subscribe(&self, run: RunId) -> oneshot::Receiver<WorkflowRunEvent> {
        let (sender, receiver) = oneshot::channel();
        // A failed send drops the sender, which the receiver sees.
        let _ = self.waiters.send((run, sender)).await;
        receiver
    }
}

struct Pool {
    subscription: Subscription,
    requests: mpsc::Receiver<Waiter>,
    pending: HashMap<RunId, Vec<oneshot::Sender<WorkflowRunEvent>>>,
    /// Size at which those who have stopped waiting are looked for.
    prune_at: usize,
    heard: Arc<Mutex<Option<Instant>>>,
}

impl Pool {
    /// Passes ends on until the client is gone.
    async fn run(mut self) {
        loop {
            tokio::select! {
                told = self.subscription.next() => match told {
                    Some((run, event)) => self.settle(run, &event),
                    // It is opened again for those who still wait.
                    None => self.prune(),
                },
                waiter = self.requests.recv() => match waiter {
                    Some(waiter) => self.add(waiter),
                    None => return,
                },
            }
        }
    }

    fn add(&mut self, (run, sender): Waiter) {
        if self.pending.len() >= self.prune_at {
            self.prune();
            self.prune_at = 1024.max(self.pending.len() * 2);
        }
        self.subscription.add(run);
        self.pending.entry(run).or_default().push(sender);
    }

    fn settle(&mut self, run: RunId, event: &WorkflowRunEvent) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        for sender in self.pending.remove(&run).into_iter().flatten() {
            // A failed send: that wait was answered by its poll.
            let _ = sender.send(event.clone());
        }
    }

    fn prune(&mut self) {
        self.pending.retain(|run, senders| {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                self.subscription.forget(*run);
            }
            !senders.is_empty()
        });
    }
}
