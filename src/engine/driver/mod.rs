//! The driver: runs the state machine on the clock and the network.
//!
//! An event takes the lock, reads the clock, changes the state, and delivers all effects into send queues before it
//! releases the lock. The queues never block, so every stream receives events in the order in which they occurred, and
//! a slow client delays nobody. The whole engine runs on one thread; the lock is a `std` mutex that is never contended
//! and never held across an await.
//!
//! ```text
//!  handler ── with(event) ──► lock: clock → state → effects → send queues ──► streams
//!     ▲                                        │                                ▲
//!     │ response                            changes                             │
//!     └──────────── commit barrier ◄── batches written by `persist` ────────────┘
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `clock` | the system's clocks |
//! | `worker_streams` | assignment streams of workers |
//! | `result_subscriptions`, `event_subscriptions` | streams of clients that wait for runs |
//! | `send_queue` | the bounded queue behind every stream |
//! | `assignment` | assignments as messages |
//! | `persist`, `open` | the persistence loop; opening a stored state |
//! | `memory` | returning freed memory to the operating system |

pub(super) mod assignment;
mod clock;
mod event_subscriptions;
mod memory;
#[cfg(feature = "durable")]
pub(super) mod open;
#[cfg(feature = "durable")]
mod persist;
mod result_subscriptions;
mod send_queue;
#[cfg(test)]
mod tests;
mod worker_streams;

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) use self::{
    clock::SystemClock,
    event_subscriptions::{EventFilter, RunEvent},
    result_subscriptions::RunResult,
    send_queue::QueueReader,
};
use self::{
    event_subscriptions::EventSubscriptions, result_subscriptions::ResultSubscriptions, send_queue::SendQueues,
    worker_streams::WorkerStreams,
};
use super::{
    persistence::barrier::{AddError, CommitBarrier, NotDurable},
    state::{AttemptReport, Capacity, ClockReading, Effect, NextDeadline, PushedEvent, State, Timestamp},
};
use crate::hatchet::wire::{RunId, TenantId};

/// Messages that may be queued for one subscriber: 65,536, our choice. Beyond that its stream is ended, and the client
/// has to subscribe again.
const MAX_SUBSCRIPTION_MESSAGES: usize = 65_536;

/// Bytes that may be queued for one subscriber: 64 MiB, our choice.
const MAX_SUBSCRIPTION_BYTES: usize = 64 << 20;

/// Identifies a subscriber among those of its kind.
pub(crate) type SubscriberId = u64;

/// Drives one engine.
pub(crate) struct Driver {
    shared: Mutex<Shared>,
    /// The next deadline has become earlier.
    earlier_deadline: Notify,
    /// There are changes to persist.
    changed: Notify,
    barrier: Arc<CommitBarrier>,
    clock: SystemClock,
    pub(crate) tenant: TenantId,
    pub(crate) max_message: usize,
}

/// What the lock protects.
struct Shared {
    state: State,
    streams: WorkerStreams,
    results: ResultSubscriptions,
    events: EventSubscriptions,
    barrier: Arc<CommitBarrier>,
    /// Number of the batch that is being collected.
    batch: u64,
    /// The deadline that the timer loop sleeps for.
    armed: NextDeadline,
    /// All streams are closed, new ones too.
    is_closed: bool,
    /// There will be no more changes.
    #[cfg(feature = "durable")]
    is_finishing: bool,
}

impl Driver {
    pub(crate) fn new(state: State, clock: SystemClock, tenant: TenantId, max_message: usize) -> Arc<Self> {
        let barrier = Arc::new(CommitBarrier::default());
        let queues = SendQueues::new(&barrier);
        let shared = Shared {
            state,
            streams: WorkerStreams::new(&queues, tenant, max_message),
            results: ResultSubscriptions::new(&queues),
            events: EventSubscriptions::new(&queues),
            barrier: barrier.clone(),
            batch: 1,
            armed: NextDeadline::default(),
            is_closed: false,
            #[cfg(feature = "durable")]
            is_finishing: false,
        };
        Arc::new(Self {
            shared: Mutex::new(shared),
            earlier_deadline: Notify::new(),
            changed: Notify::new(),
            barrier,
            clock,
            tenant,
            max_message,
        })
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> ClockReading {
        self.clock.now()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // After a panic in one call the others go on: no step leaves the state inconsistent for long.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the timers. Ends only by being dropped.
    pub(crate) async fn run_timers(&self) {
        loop {
            let next = {
                let mut shared = self.lock();
                shared.armed = shared.state.next_deadline();
                shared.armed
            };
            match next.wait(self.now()) {
                Some(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => self.apply(State::tick),
                    () = self.earlier_deadline.notified() => {}
                },
                None => self.earlier_deadline.notified().await,
            }
        }
    }

    /// Ends all streams, also those that are opened later.
    pub(crate) fn close_streams(&self) {
        let mut shared = self.lock();
        shared.is_closed = true;
        shared.streams.close_all();
        shared.results.close_streams();
        shared.events.close_streams();
    }
}

/// Events and queries.
impl Driver {
    /// Applies an event, or makes a query, and waits until the state it leaves or reports is persisted.
    pub(crate) async fn with<R>(&self, event: impl FnOnce(&mut State, ClockReading) -> R) -> Result<R, NotDurable> {
        self.barrier.admit()?;
        let result = self.apply(event);
        self.barrier.wait(self.barrier.pending()).await?;
        Ok(result)
    }

    /// Like [`with`](Self::with), for an event that adds something; refused if the engine holds as much as it may.
    pub(crate) async fn add<R>(
        &self,
        capacity: Capacity,
        event: impl FnOnce(&mut State, ClockReading) -> R,
    ) -> Result<R, AddError> {
        let added = self.with(|state, now| state.has_capacity(capacity).then(|| event(state, now))).await?;
        added.ok_or(AddError::AtCapacity)
    }

    /// Pushes events in one step, so that a crash, a full engine or a client that disconnects leaves all of them pushed
    /// or none. Returns their ids and times.
    ///
    /// The idempotency expressions of the triggered workflows are evaluated before that step and outside of the lock;
    /// other calls have their turn between two events.
    pub(crate) async fn push_events(&self, events: Vec<PushedEvent>) -> Result<Vec<(Uuid, Timestamp)>, AddError> {
        self.barrier.admit()?;
        let mut pushes = Vec::with_capacity(events.len());
        for event in events {
            let mut push = self.apply(|state, _| state.begin_event(event));
            push.evaluate();
            pushes.push(push);
            tokio::task::yield_now().await;
        }
        self.add(Capacity::Runs, |state, now| {
            pushes.into_iter().map(|push| (state.finish_event(push, now), now.display)).collect()
        })
        .await
    }

    /// Applies an event without waiting for persistence: for results that no client sees, and for heartbeats, which are
    /// not stored.
    pub(crate) fn apply<R>(&self, event: impl FnOnce(&mut State, ClockReading) -> R) -> R {
        let now = self.now();
        let mut shared = self.lock();
        let result = event(&mut shared.state, now);
        shared.deliver(now);
        if shared.state.has_changes() {
            self.changed.notify_one();
        }
        if shared.state.next_deadline().is_earlier_than(shared.armed) {
            self.earlier_deadline.notify_one();
        }
        result
    }
}

/// Subscriptions.
impl Driver {
    /// Opens a stream of run results; [`request_result`](Self::request_result) requests them.
    pub(crate) fn subscribe_results(self: &Arc<Self>) -> (SubscriberId, QueueReader<Arc<RunResult>>) {
        let (id, queue) = {
            let mut shared = self.lock();
            let (id, queue) = shared.results.open();
            if shared.is_closed {
                queue.close();
            }
            (id, queue)
        };
        let driver = self.clone();
        (id, QueueReader::new(queue, move || driver.lock().results.close(id)))
    }

    /// Requests the result of a run on a stream of results.
    pub(crate) fn request_result(&self, subscriber: SubscriberId, run: RunId) {
        let mut shared = self.lock();
        let Shared { results, state, .. } = &mut *shared;
        results.request(subscriber, run, state);
    }

    /// Opens a stream of events; `None` if the run does not exist.
    pub(crate) fn subscribe_events(self: &Arc<Self>, filter: EventFilter) -> Option<QueueReader<RunEvent>> {
        let (id, queue) = {
            let mut shared = self.lock();
            let Shared { events, state, is_closed, .. } = &mut *shared;
            let filter = match filter {
                EventFilter::Run(run) => EventFilter::Run(state.run(run)?.0),
                pair @ EventFilter::Pair(..) => pair,
            };
            let (id, queue) = events.open(filter, state);
            if *is_closed {
                queue.close();
            }
            (id, queue)
        };
        let driver = self.clone();
        Some(QueueReader::new(queue, move || driver.lock().events.close(id)))
    }
}

impl Shared {
    /// Sets the batch that contains the latest change.
    fn update_pending(&self) {
        self.barrier.set_pending(if self.state.has_changes() { self.batch } else { self.batch - 1 });
    }

    /// Carries out all effects, then removes the runs that expire.
    fn deliver(&mut self, now: ClockReading) {
        self.update_pending();
        while let Some(effect) = self.state.next_effect() {
            match effect {
                Effect::StartAttempt { stream, task, attempt } => {
                    if let Err(too_large) = self.streams.start(stream, task, attempt, &mut self.state, now) {
                        self.fail_too_large(task, attempt, too_large, now);
                    }
                }
                Effect::StopAttempt { stream, task, attempt } => {
                    self.streams.stop(stream, task, attempt, &mut self.state, now);
                }
                Effect::NotifyTask { task, run, attempt, event } => {
                    self.events.publish(&RunEvent::task(run, task, attempt, event, now.display), &self.state);
                }
                Effect::NotifyFinished { run, status } => {
                    self.results.run_finished(run, &self.state);
                    self.events.publish(&RunEvent::finished(run, status, now.display), &self.state);
                }
            }
        }
        for run in self.state.remove_expired_runs(now) {
            self.events.run_removed(run);
        }
        self.update_pending();
    }

    /// Fails an attempt whose assignment is larger than a message: its input and each parent's output fit, but not all
    /// of them together.
    fn fail_too_large(&mut self, task: RunId, attempt: i32, bytes: usize, now: ClockReading) {
        let error = format!(
            "the input and the parents' outputs make an assignment of {bytes} bytes, over the limit of a message: \
             return references instead"
        );
        let report = AttemptReport::Failed { error: error.into(), may_retry: false };
        self.state.report(task, Some(attempt), report, now);
    }
}

/// Removes a subscriber from an index, and an empty entry with it.
fn remove_subscriber<K: Hash + Eq>(index: &mut HashMap<K, Vec<SubscriberId>>, key: &K, id: SubscriberId) {
    if let Some(ids) = index.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
