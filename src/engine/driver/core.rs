//! The driver itself: the lock, events, timers and the delivery of effects.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    clock::SystemClock,
    send_queue::SendQueues,
    subscriptions::{
        events::{EventSubscriptions, RunEvent},
        results::ResultSubscriptions,
    },
    worker_streams::WorkerStreams,
};
use crate::engine::{
    persistence::barrier::{AddError, CommitBarrier, NotDurable},
    state::{AttemptReport, Capacity, ClockReading, Effect, NextDeadline, PushedEvent, State, Timestamp},
};
use crate::hatchet::wire::{RunId, TenantId};

/// Number of events without expressions that a bulk push prepares before other calls can run.
pub(super) const EVENTS_PER_POLL: usize = 64;

/// Applies events and queries to the state of one engine, and delivers the effects.
pub(crate) struct Driver {
    pub(super) shared: Mutex<Shared>,
    /// The next deadline has become earlier.
    pub(super) earlier_deadline: Notify,
    /// Notified when there are changes to persist.
    pub(super) changed: Notify,
    pub(super) barrier: Arc<CommitBarrier>,
    pub(super) clock: SystemClock,
    pub(crate) tenant: TenantId,
    pub(crate) max_message: usize,
    /// Number of effects that were delivered.
    #[cfg(feature = "testing")]
    pub(super) effects: std::sync::atomic::AtomicU64,
}

/// The state behind the driver's lock.
pub(super) struct Shared {
    pub(super) state: State,
    pub(super) streams: WorkerStreams,
    pub(super) results: ResultSubscriptions,
    pub(super) events: EventSubscriptions,
    pub(super) barrier: Arc<CommitBarrier>,
    /// Number of the batch that is being collected.
    pub(super) batch: u64,
    /// The deadline that the timer loop sleeps for.
    pub(super) armed: NextDeadline,
    /// All streams are closed, and new streams are closed immediately.
    pub(super) is_closed: bool,
    /// Whether no more changes will follow.
    #[cfg(feature = "durable")]
    pub(super) is_finishing: bool,
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
            #[cfg(feature = "testing")]
            effects: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> ClockReading {
        self.clock.now()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        // After a panic in one call the other calls continue: no step leaves the state inconsistent for long.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the timers until it is dropped.
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

    /// Ends all streams, including streams that are opened later.
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
    /// Applies an event or runs a query, and waits until the resulting state is persisted.
    pub(crate) async fn with<R>(&self, event: impl FnOnce(&mut State, ClockReading) -> R) -> Result<R, NotDurable> {
        self.barrier.admit()?;
        let result = self.apply(event);
        self.barrier.wait(self.barrier.pending()).await?;
        Ok(result)
    }

    /// Applies an event that adds data, as [`with`](Self::with) does. Refuses the event if the state has reached its
    /// limit.
    pub(crate) async fn add<R>(
        &self,
        capacity: Capacity,
        event: impl FnOnce(&mut State, ClockReading) -> R,
    ) -> Result<R, AddError> {
        let added = self.with(|state, now| state.has_capacity(capacity).then(|| event(state, now))).await?;
        added.ok_or(AddError::AtCapacity)
    }

    /// Pushes either all of the events or none of them, even if the process crashes, the state is full or the client
    /// disconnects. Returns their ids and times.
    ///
    /// The expressions and filters of the events are evaluated earlier and without the lock. Other calls can run after
    /// each evaluation, and after [`EVENTS_PER_POLL`] events without expressions.
    pub(crate) async fn push_events(&self, events: Vec<PushedEvent>) -> Result<Vec<(Uuid, Timestamp)>, AddError> {
        self.barrier.admit()?;
        let mut pushes = Vec::with_capacity(events.len());
        for event in events {
            // Changes no state, so there is nothing to deliver or to store.
            let mut push = self.lock().state.begin_event(event);
            let has_evaluated = push.evaluate();
            pushes.push(push);
            if has_evaluated || pushes.len().is_multiple_of(EVENTS_PER_POLL) {
                tokio::task::yield_now().await;
            }
        }
        self.add(Capacity::Runs, |state, now| {
            pushes.into_iter().map(|push| (state.finish_event(push, now), now.display)).collect()
        })
        .await
    }

    /// Applies an event without waiting for persistence: for results that no client receives, and for heartbeats, which
    /// are not stored.
    pub(crate) fn apply<R>(&self, event: impl FnOnce(&mut State, ClockReading) -> R) -> R {
        let now = self.now();
        let mut shared = self.lock();
        let result = event(&mut shared.state, now);
        let _delivered = shared.deliver(now);
        #[cfg(feature = "testing")]
        self.effects.fetch_add(_delivered, std::sync::atomic::Ordering::Relaxed);
        if shared.state.has_changes() {
            self.changed.notify_one();
        }
        if shared.state.next_deadline().is_earlier_than(shared.armed) {
            self.earlier_deadline.notify_one();
        }
        result
    }
}

impl Shared {
    /// Sets the batch that contains the latest change.
    pub(super) fn update_pending(&self) {
        self.barrier.set_pending(if self.state.has_changes() { self.batch } else { self.batch - 1 });
    }

    /// Carries out all effects, then removes the runs that expire. Returns the number of effects.
    fn deliver(&mut self, now: ClockReading) -> u64 {
        self.update_pending();
        let mut delivered = 0;
        while let Some(effect) = self.state.next_effect() {
            delivered += 1;
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
        delivered
    }

    /// Fails an attempt whose assignment is larger than a message: its input and each output fit, but not all of them
    /// together.
    fn fail_too_large(&mut self, task: RunId, attempt: i32, bytes: usize, now: ClockReading) {
        let error = format!(
            "the input and the outputs of the run's tasks make an assignment of {bytes} bytes, over the limit of a message: \
             return references instead"
        );
        let report = AttemptReport::Failed { error: error.into(), may_retry: false, retry_after: None };
        self.state.report(task, Some(attempt), report, now);
    }
}
