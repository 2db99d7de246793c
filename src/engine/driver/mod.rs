//! What drives the state machine: the clock, the lock, the streams.
//!
//! All of the engine runs on one thread, so the lock is never waited for; it is a `std` mutex and is never held
//! across an await. An event is applied and all its effects are delivered in one go, into queues that never make
//! the engine wait, so every stream sees events in the order in which they happened.

pub(super) mod assignment;
mod clock;
mod memory;
#[cfg(feature = "durable")]
pub(super) mod open;
#[cfg(feature = "durable")]
mod persist;
pub(super) mod send_queue;
pub(super) mod subscriptions;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use tonic::Status;

pub(crate) use self::clock::Time;
use self::send_queue::{Full, QueueReader, SendQueue};
use self::subscriptions::{EventFilter, RunEvent, RunResult, SubscriberId, Waiters, Watchers};
use super::{
    persistence::barrier::{AddError, CommitBarrier, NotDurable},
    state::{AttemptReport, Capacity, ClockReading, Effect, Next, State, WorkerError, model::StreamId},
};
use crate::hatchet::wire::{
    RunId, TenantId, WorkerId,
    proto::{ActionType, AssignedAction},
};

/// Room in a worker's stream beyond its slots, for cancellations and for slots that were given back early.
const SPARE_LETTERS: usize = 256;

/// Bytes that may wait in a worker's stream. A worker that leaves that much unread is hung up on.
const MAX_UNREAD_BYTES: usize = 256 << 20;

/// Drives one engine.
pub(crate) struct Driver {
    shared: Mutex<Shared>,
    /// The first deadline has become earlier.
    sooner: Notify,
    /// There is something to keep.
    changed: Notify,
    gate: Arc<CommitBarrier>,
    time: Time,
    pub(crate) tenant: TenantId,
    pub(crate) max_message: usize,
}

struct Shared {
    state: State,
    streams: HashMap<StreamId, Arc<SendQueue<AssignedAction>>>,
    waiters: Waiters,
    watchers: Watchers,
    gate: Arc<CommitBarrier>,
    /// The batch that is being collected.
    batch: u64,
    /// What the timer waits for.
    armed: Next,
    stopped: bool,
    /// There will be no more changes.
    #[cfg(feature = "durable")]
    is_over: bool,
}

impl Driver {
    pub(crate) fn new(state: State, time: Time, tenant: TenantId, max_message: usize) -> Arc<Self> {
        let gate = Arc::new(CommitBarrier::default());
        let shared = Shared {
            state,
            streams: HashMap::new(),
            waiters: Waiters::new(&gate),
            watchers: Watchers::new(&gate),
            gate: gate.clone(),
            batch: 1,
            armed: Next::default(),
            stopped: false,
            #[cfg(feature = "durable")]
            is_over: false,
        };
        Arc::new(Self {
            shared: Mutex::new(shared),
            sooner: Notify::new(),
            changed: Notify::new(),
            gate,
            time,
            tenant,
            max_message,
        })
    }

    /// The present moment.
    pub(crate) fn now(&self) -> ClockReading {
        self.time.now()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // After a panic in one call the others go on: the state has no step that leaves it half-changed for long.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes something happen, and everything that follows from it; or looks at something. Answers when all that has
    /// happened until then is kept, so that no answer speaks of what may be lost.
    pub(crate) async fn with<R>(&self, event: impl FnOnce(&mut State, ClockReading) -> R) -> Result<R, NotDurable> {
        self.gate.admit()?;
        let result = self.apply(event);
        self.gate.wait(self.gate.due()).await?;
        Ok(result)
    }

    /// The same for what adds something that stays: refused where the engine holds as much as it may.
    pub(crate) async fn add<R>(
        &self,
        room: Capacity,
        event: impl FnOnce(&mut State, ClockReading) -> R,
    ) -> Result<R, AddError> {
        let added = self.with(|state, now| state.has_room(room).then(|| event(state, now))).await?;
        added.ok_or(AddError::AtCapacity)
    }

    /// Adds something for each item and answers when all of it is kept. Other calls have their turn between two items,
    /// so that a thousand idempotency expressions do not stop the engine.
    pub(crate) async fn add_each<T, R>(
        &self,
        room: Capacity,
        items: Vec<T>,
        event: impl Fn(&mut State, T, ClockReading) -> R,
    ) -> Result<Vec<R>, AddError> {
        self.gate.admit()?;
        if !self.apply(|state, _| state.has_room(room)) {
            return Err(AddError::AtCapacity);
        }
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            results.push(self.apply(|state, now| event(state, item, now)));
            tokio::task::yield_now().await;
        }
        self.gate.wait(self.gate.due()).await?;
        Ok(results)
    }

    /// The same for what is told to no one: it waits for nothing.
    pub(crate) fn apply<R>(&self, event: impl FnOnce(&mut State, ClockReading) -> R) -> R {
        let now = self.now();
        let mut shared = self.lock();
        let result = event(&mut shared.state, now);
        shared.deliver(self.tenant, self.max_message, now);
        if shared.state.is_changed() {
            self.changed.notify_one();
        }
        if shared.state.next_deadline().is_sooner(shared.armed) {
            self.sooner.notify_one();
        }
        result
    }

    /// Keeps the deadlines. Ends only by being dropped.
    pub(crate) async fn keep_time(&self) {
        loop {
            let next = {
                let mut shared = self.lock();
                shared.armed = shared.state.next_deadline();
                shared.armed
            };
            match next.wait(self.now()) {
                Some(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => self.apply(State::tick),
                    () = self.sooner.notified() => {}
                },
                None => self.sooner.notified().await,
            }
        }
    }

    /// Opens a worker's stream.
    pub(crate) fn listen(
        self: &Arc<Self>,
        worker: WorkerId,
        beats: bool,
    ) -> Result<QueueReader<AssignedAction>, WorkerError> {
        let now = self.now();
        let mut shared = self.lock();
        let slots = shared.state.worker(worker).map_or(0, |w| w.slots.iter().map(|s| s.limit.max(0)).sum::<i64>());
        let room = usize::try_from(slots).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(SPARE_LETTERS);
        let mailbox = SendQueue::new(&self.gate, room, MAX_UNREAD_BYTES);
        let unheard = shared.state.unheard(worker);
        let stream = shared.state.open_stream(worker, beats, now)?;
        shared.set_due();
        if shared.stopped {
            mailbox.close();
        }
        // Before the delivery: opening the stream may already have brought it work.
        shared.streams.insert(stream, mailbox.clone());
        // It may have been lost with an older stream. The attempt is the same, so that a worker that has it knows it.
        for (task, attempt) in unheard {
            let action = assignment::start(&shared.state, self.tenant, task, attempt);
            shared.send(stream, action, now);
        }
        drop(shared);
        self.apply(|_, _| ());
        let driver = self.clone();
        Ok(QueueReader::new(mailbox, move || driver.stop_listening(stream)))
    }

    fn stop_listening(&self, stream: StreamId) {
        let now = self.now();
        self.lock().close_stream(stream, now);
        self.apply(|_, _| ());
    }

    /// Opens a stream of answers; [`ask`](Self::ask) asks on it.
    pub(crate) fn subscribe_results(self: &Arc<Self>) -> (SubscriberId, QueueReader<Arc<RunResult>>) {
        let (id, mailbox) = {
            let mut shared = self.lock();
            let (id, mailbox) = shared.waiters.open();
            if shared.stopped {
                mailbox.close();
            }
            (id, mailbox)
        };
        let driver = self.clone();
        (id, QueueReader::new(mailbox, move || driver.lock().waiters.close(id)))
    }

    /// Asks for the end of a run.
    pub(crate) fn request_result(&self, waiter: SubscriberId, run: RunId) {
        let mut shared = self.lock();
        let Shared { waiters, state, .. } = &mut *shared;
        waiters.ask(waiter, run, state);
    }

    /// Opens a stream of events; `None` if the run is not known.
    pub(crate) fn subscribe_events(self: &Arc<Self>, watched: EventFilter) -> Option<QueueReader<RunEvent>> {
        let (id, mailbox) = {
            let mut shared = self.lock();
            let Shared { watchers, state, stopped, .. } = &mut *shared;
            let watched = match watched {
                EventFilter::Run(run) => EventFilter::Run(state.run(run)?.0),
                pair @ EventFilter::Pair(..) => pair,
            };
            let (id, mailbox) = watchers.open(watched, state);
            if *stopped {
                mailbox.close();
            }
            (id, mailbox)
        };
        let driver = self.clone();
        Some(QueueReader::new(mailbox, move || driver.lock().watchers.close(id)))
    }

    /// Ends all streams, the ones that are opened later too.
    pub(crate) fn hang_up(&self) {
        let mut shared = self.lock();
        shared.stopped = true;
        shared.streams.values().for_each(|mailbox| mailbox.close());
        shared.waiters.hang_up();
        shared.watchers.hang_up();
    }
}

impl Shared {
    /// Says when what has happened so far is kept.
    fn set_due(&self) {
        self.gate.set_due(if self.state.is_changed() { self.batch } else { self.batch - 1 });
    }

    fn deliver(&mut self, tenant: TenantId, max_message: usize, now: ClockReading) {
        self.set_due();
        while let Some(effect) = self.state.next_effect() {
            match effect {
                Effect::Start { stream, task, attempt } => {
                    let action = assignment::start(&self.state, tenant, task, attempt);
                    match action.as_ref().map(prost::Message::encoded_len).filter(|bytes| *bytes > max_message) {
                        Some(bytes) => self.too_large(task, attempt, bytes, now),
                        None => self.send(stream, action, now),
                    }
                }
                Effect::Stop { stream, task, attempt } => {
                    let action = assignment::stop(&self.state, tenant, task, attempt);
                    self.send(stream, action, now);
                }
                Effect::Step { task, run, attempt, what } => {
                    self.watchers.step(run, task, attempt, what, now.display, &self.state);
                }
                Effect::RunFinished { run, status } => {
                    self.waiters.settled(run, &self.state);
                    self.watchers.ended(run, status, now.display, &self.state);
                }
            }
        }
        self.state.forget(now);
        self.set_due();
    }

    /// Ends a worker's stream. What it has not read goes back into the queue at once, unless the worker has opened a
    /// newer stream: there it was sent again.
    fn close_stream(&mut self, stream: StreamId, now: ClockReading) {
        let mailbox = self.streams.remove(&stream).filter(|_| !self.state.is_superseded(stream));
        self.state.close_stream(stream, now);
        for action in mailbox.iter().flat_map(|mailbox| mailbox.unread()) {
            self.unsent(&action, now);
        }
    }

    /// The input fits a message, and so does each parent's output; all of them together may not.
    fn too_large(&mut self, task: RunId, attempt: i32, bytes: usize, now: ClockReading) {
        let error = format!(
            "the input and the parents' outputs make an assignment of {bytes} bytes, over the limit of a message: \
             return references instead"
        );
        let report = AttemptReport::Failed { error: error.into(), may_retry: false };
        self.state.report(task, Some(attempt), report, now);
    }

    fn unsent(&mut self, action: &AssignedAction, now: ClockReading) {
        if action.action_type() == ActionType::StartStepRun
            && let Ok(id) = action.task_run_external_id.parse()
        {
            self.state.undelivered(id, action.retry_count, now);
        }
    }

    /// Into a worker's queue; a worker that does not read is hung up on.
    fn send(&mut self, stream: StreamId, action: Option<AssignedAction>, now: ClockReading) {
        let Some(action) = action else { return };
        let Some(mailbox) = self.streams.get(&stream).cloned() else { return self.unsent(&action, now) };
        let bytes = prost::Message::encoded_len(&action);
        if let Err(Full(action)) = mailbox.put(action, bytes) {
            self.close_stream(stream, now);
            self.unsent(&action, now);
            mailbox.fail(Status::resource_exhausted("assignments were not read: listen again"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::{
        engine::{
            options::{EngineOptions, Timings},
            state::{
                AttemptReport, Registration, TriggerItem, Triggered,
                model::{Definition, Origin, TaskDefinition},
            },
        },
        hatchet::wire::{RunStatus, proto::v1::CreateWorkflowVersionRequest},
    };

    fn driver() -> Arc<Driver> {
        let state = State::new(Timings::default(), EngineOptions::default().retention(), Box::new(uuid::Uuid::new_v4));
        let driver = Driver::new(state, Time::start(), TenantId::random(), 1 << 22);
        let task = TaskDefinition {
            name: "t".into(),
            action: "t:t".into(),
            needs: vec![("default".into(), 1)],
            timeout: (Duration::from_secs(60), "60s".into()),
            schedule_timeout: Duration::from_secs(60),
            retries: 0,
            backoff: None,
            parents: Vec::new(),
            on_failure: false,
        };
        let definition = Definition {
            name: "t".into(),
            tasks: vec![task],
            default_priority: 1,
            idempotency: None,
            events: Vec::new(),
            crons: Vec::new(),
            cron_input: "{}".into(),
            content: CreateWorkflowVersionRequest::default(),
        };
        driver.apply(|state, now| state.put_workflow(definition, now));
        driver
    }

    fn worker(driver: &Arc<Driver>, slots: i64) -> (WorkerId, QueueReader<AssignedAction>) {
        let registration = Registration {
            name: "w".into(),
            actions: vec!["t:t".into()],
            slots: vec![("default".into(), slots)],
            ..Default::default()
        };
        let id = driver.apply(|state, now| state.register(registration, now));
        (id, driver.listen(id, true).unwrap())
    }

    fn trigger(driver: &Driver) -> RunId {
        let item = TriggerItem {
            workflow: "t".into(),
            input: "{}".into(),
            metadata: "{}".into(),
            priority: None,
            parent: None,
            claim: None,
            origin: Origin::Call,
        };
        match driver.apply(|state, now| state.trigger(vec![item], now)).unwrap()[..] {
            [Triggered::New(id)] => id,
            ref other => panic!("{other:?}"),
        }
    }

    fn read(reader: &mut QueueReader<AssignedAction>) -> Option<(String, i32)> {
        let action = reader.next().now_or_never()??.unwrap();
        Some((action.task_run_external_id, action.retry_count))
    }

    #[test]
    fn what_a_lost_stream_has_not_read_goes_to_another_worker() {
        let driver = driver();
        let (_, mut first) = worker(&driver, 2);
        let (read_before, unread) = (trigger(&driver), trigger(&driver));
        assert_eq!(read(&mut first), Some((read_before.to_string(), 0)));
        drop(first);
        let (_, mut second) = worker(&driver, 2);
        assert_eq!(read(&mut second), Some((unread.to_string(), 1)));
        assert_eq!(read(&mut second), None, "what was read may be running");
    }

    #[test]
    fn what_a_worker_has_said_nothing_of_comes_again_on_its_next_stream() {
        let driver = driver();
        let (id, mut old) = worker(&driver, 3);
        let (heard, read_before, unread) = (trigger(&driver), trigger(&driver), trigger(&driver));
        assert_eq!(read(&mut old), Some((heard.to_string(), 0)));
        assert_eq!(read(&mut old), Some((read_before.to_string(), 0)));
        driver.apply(|state, now| state.report(heard, Some(0), AttemptReport::Acknowledged, now));
        // The worker comes back before the engine has seen the old stream end.
        let mut new = driver.listen(id, true).unwrap();
        drop(old);
        assert_eq!(read(&mut new), Some((read_before.to_string(), 0)));
        assert_eq!(read(&mut new), Some((unread.to_string(), 0)), "and no new attempt of it");
        assert_eq!(read(&mut new), None);
    }

    #[test]
    fn a_worker_that_never_reads_is_hung_up_on() {
        let driver = driver();
        let (_, mut reader) = worker(&driver, 1);
        let mut last = trigger(&driver);
        // Each cancellation frees the slot, so that two messages are sent for every run.
        for _ in 0..SPARE_LETTERS {
            driver.apply(|state, now| state.cancel(last, now));
            last = trigger(&driver);
        }
        assert!(reader.next().now_or_never().flatten().is_some_and(|end| end.is_err()));
        let status = driver.apply(|state, _| state.task(last).map(|task| task.phase.status()));
        assert_eq!(status, Some(RunStatus::Queued));
    }

    #[test]
    fn a_slow_subscriber_is_dropped_and_holds_no_one_up() {
        let driver = driver();
        let (_, mut work) = worker(&driver, 1);
        let run = trigger(&driver);
        read(&mut work);
        let mut slow = driver.subscribe_events(EventFilter::Run(run)).unwrap();
        let mut fast = driver.subscribe_events(EventFilter::Run(run)).unwrap();
        let megabyte: Arc<str> = "x".repeat(1 << 20).into();
        for _ in 0..100 {
            driver.apply(|state, now| state.put_chunk(run, megabyte.clone(), None, now));
            assert!(fast.next().now_or_never().flatten().is_some_and(|event| event.is_ok()));
        }
        assert!(slow.next().now_or_never().flatten().is_some_and(|end| end.is_err()));
    }
}
