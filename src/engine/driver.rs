//! What drives the state machine: the clock, the lock, the streams.
//!
//! All of the engine runs on one thread, so the lock is never waited for; it is a `std` mutex and is never held
//! across an await. An event is applied and all its effects are delivered in one go, into queues that never make
//! the engine wait, so every stream sees events in the order in which they happened.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;
use tonic::Status;

use super::{
    assignment,
    mailbox::{Mailbox, Reader},
    state::{Effect, Moment, State, WorkerError, model::StreamId},
    subscriptions::{Answer, Happening, SubscriberId, Waiters, Watched, Watchers},
};
use crate::hatchet::wire::{RunId, TenantId, WorkerId, proto::AssignedAction};

/// Room in a worker's stream beyond its slots, for cancellations and for slots that were given back early.
const SPARE_LETTERS: usize = 256;

/// Bytes that may wait in a worker's stream. A worker that leaves that much unread is hung up on.
const MAX_UNREAD_BYTES: usize = 256 << 20;

/// Drives one engine.
pub(super) struct Driver {
    shared: Mutex<Shared>,
    /// The first deadline has become earlier.
    sooner: Notify,
    start: (Moment, Instant),
    pub(super) tenant: TenantId,
    pub(super) max_message: usize,
}

struct Shared {
    state: State,
    streams: HashMap<StreamId, Arc<Mailbox<AssignedAction>>>,
    waiters: Waiters,
    watchers: Watchers,
    /// What the timer waits for.
    armed: Option<Moment>,
    stopped: bool,
}

impl Driver {
    pub(super) fn new(state: State, tenant: TenantId, max_message: usize) -> Arc<Self> {
        let shared = Shared {
            state,
            streams: HashMap::new(),
            waiters: Waiters::default(),
            watchers: Watchers::default(),
            armed: None,
            stopped: false,
        };
        Arc::new(Self {
            shared: Mutex::new(shared),
            sooner: Notify::new(),
            start: (Moment::wall(), Instant::now()),
            tenant,
            max_message,
        })
    }

    /// The present moment.
    pub(super) fn now(&self) -> Moment {
        self.start.0.plus(self.start.1.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // After a panic in one call the others go on: the state has no step that leaves it half-changed for long.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes something happen, and everything that follows from it.
    pub(super) fn with<R>(&self, event: impl FnOnce(&mut State, Moment) -> R) -> R {
        let now = self.now();
        let mut shared = self.lock();
        let result = event(&mut shared.state, now);
        shared.deliver(self.tenant, now);
        let next = shared.state.next_deadline();
        if next.is_some_and(|next| shared.armed.is_none_or(|armed| next < armed)) {
            self.sooner.notify_one();
        }
        result
    }

    /// Keeps the deadlines. Ends only by being dropped.
    pub(super) async fn keep_time(&self) {
        loop {
            let next = {
                let mut shared = self.lock();
                shared.armed = shared.state.next_deadline();
                shared.armed
            };
            match next {
                Some(at) => {
                    let wait = at.since(self.now());
                    tokio::select! {
                        () = tokio::time::sleep(wait) => self.with(State::tick),
                        () = self.sooner.notified() => {}
                    }
                }
                None => self.sooner.notified().await,
            }
        }
    }

    /// Opens a worker's stream.
    pub(super) fn listen(
        self: &Arc<Self>,
        worker: WorkerId,
        beats: bool,
    ) -> Result<Reader<AssignedAction>, WorkerError> {
        let now = self.now();
        let mut shared = self.lock();
        let slots = shared.state.worker(worker).map_or(0, |w| w.slots.iter().map(|s| s.limit.max(0)).sum::<i64>());
        let room = usize::try_from(slots).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(SPARE_LETTERS);
        let mailbox = Mailbox::new(room, MAX_UNREAD_BYTES);
        let stream = shared.state.open_stream(worker, beats, now)?;
        if shared.stopped {
            mailbox.close();
        }
        // Before the delivery: opening the stream may already have brought it work.
        shared.streams.insert(stream, mailbox.clone());
        drop(shared);
        self.with(|_, _| ());
        let driver = self.clone();
        Ok(Reader::new(mailbox, move || driver.stop_listening(stream)))
    }

    fn stop_listening(&self, stream: StreamId) {
        self.lock().streams.remove(&stream);
        self.with(|state, now| state.close_stream(stream, now));
    }

    /// Opens a stream of answers; [`ask`](Self::ask) asks on it.
    pub(super) fn wait(self: &Arc<Self>) -> (SubscriberId, Reader<Arc<Answer>>) {
        let (id, mailbox) = {
            let mut shared = self.lock();
            let (id, mailbox) = shared.waiters.open();
            if shared.stopped {
                mailbox.close();
            }
            (id, mailbox)
        };
        let driver = self.clone();
        (id, Reader::new(mailbox, move || driver.lock().waiters.close(id)))
    }

    /// Asks for the end of a run.
    pub(super) fn ask(&self, waiter: SubscriberId, run: RunId) {
        let mut shared = self.lock();
        let Shared { waiters, state, .. } = &mut *shared;
        waiters.ask(waiter, run, state);
    }

    /// Opens a stream of events; `None` if the run is not known.
    pub(super) fn watch(self: &Arc<Self>, watched: Watched) -> Option<Reader<Happening>> {
        let (id, mailbox) = {
            let mut shared = self.lock();
            let Shared { watchers, state, stopped, .. } = &mut *shared;
            let watched = match watched {
                Watched::Run(run) => Watched::Run(state.run(run)?.0),
                pair @ Watched::Pair(..) => pair,
            };
            let (id, mailbox) = watchers.open(watched, state);
            if *stopped {
                mailbox.close();
            }
            (id, mailbox)
        };
        let driver = self.clone();
        Some(Reader::new(mailbox, move || driver.lock().watchers.close(id)))
    }

    /// Ends all streams, the ones that are opened later too.
    pub(super) fn hang_up(&self) {
        let mut shared = self.lock();
        shared.stopped = true;
        shared.streams.values().for_each(|mailbox| mailbox.close());
        shared.waiters.hang_up();
        shared.watchers.hang_up();
    }
}

impl Shared {
    fn deliver(&mut self, tenant: TenantId, now: Moment) {
        while let Some(effect) = self.state.next_effect() {
            match effect {
                Effect::Start { stream, task, attempt } => {
                    let action = assignment::start(&self.state, tenant, task, attempt);
                    self.send(stream, action, now);
                }
                Effect::Stop { stream, task, attempt } => {
                    let action = assignment::stop(&self.state, tenant, task, attempt);
                    self.send(stream, action, now);
                }
                Effect::Step { task, run, attempt, what } => {
                    self.watchers.step(run, task, attempt, what, now, &self.state);
                }
                Effect::Settled { run, status } => {
                    self.waiters.settled(run, &self.state);
                    self.watchers.ended(run, status, now, &self.state);
                }
            }
        }
        self.state.forget();
    }

    /// Into a worker's queue; a worker that does not read is hung up on, and its tasks find another by the rule for
    /// the dead.
    fn send(&mut self, stream: StreamId, action: Option<AssignedAction>, now: Moment) {
        let (Some(action), Some(mailbox)) = (action, self.streams.get(&stream)) else { return };
        let bytes = prost::Message::encoded_len(&action);
        if mailbox.put(action, bytes).is_err() {
            mailbox.fail(Status::resource_exhausted("assignments were not read: listen again"));
            self.streams.remove(&stream);
            self.state.close_stream(stream, now);
        }
    }
}
