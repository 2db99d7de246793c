//! Registered workers: their streams, leases and slots.
//!
//! A worker's lease is renewed by heartbeats, or by an open stream of `Listen`, which replaces them, unlike a stream of
//! `ListenV2`. Without a renewal the worker
//!
//! - gets no new task after [`Timings::max_heartbeat_age`],
//! - loses its running tasks after [`Timings::worker_lease`],
//! - is removed after [`Timings::worker_removal`], unless it has an open stream.
//!
//! The engine also checks its own clock. While the engine itself is stopped, by a signal or with its machine, it
//! receives no heartbeat, so it renews all leases when it continues, before it considers any worker lost.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    scheduler::PoolId,
    slots::Slot,
    time::{ClockReading, MonotonicInstant, MonotonicTimers, Timer, TimerKey, Timestamp},
};
use crate::{
    engine::{
        options::Timings,
        persistence::{
            records::{Label, Runtime},
            row::RowKey,
            tracked::{ENTRY_BYTES, Stored, Tracked},
        },
    },
    hatchet::wire::{RunId, WorkerId},
};

/// Maximum delay of a timer under load: 1 s. A longer delay means that the engine was suspended.
const MAX_TIMER_DELAY: Duration = Duration::from_secs(1);

/// A validated registration of a worker.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
    pub(crate) slots: Vec<(String, i64)>,
    pub(crate) labels: BTreeMap<String, Label>,
    pub(crate) runtime: Option<Runtime>,
    /// Whether the worker runs in the engine's process and ends with it.
    pub(crate) in_process: bool,
}

/// The reason for refusing a worker's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerError {
    /// The worker is not registered.
    Unknown,
    /// All of the worker's streams are closed; it must open a new stream.
    NoStream,
}

/// A worker's status in REST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerStatus {
    Active,
    Inactive,
    Paused,
}

/// Identifies an open assignment stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamId(pub(crate) u64);

/// A registered worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    /// In ascending order, so that equal sets are equal lists.
    pub(crate) actions: Vec<Arc<str>>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) labels: BTreeMap<String, Label>,
    pub(crate) runtime: Option<Runtime>,
    pub(crate) registered: Timestamp,
    /// Display time of the latest heartbeat.
    pub(crate) heartbeat: Option<Timestamp>,
    /// The latest heartbeat, or else the registration.
    pub(crate) last_seen: MonotonicInstant,
    /// Start of the lease: `last_seen`, or the latest time at which the engine continued after a stop.
    pub(crate) lease_start: MonotonicInstant,
    /// Open streams, newest last; the newest gets the assignments.
    pub(crate) streams: Vec<StreamId>,
    /// Open streams of `Listen`, which replace heartbeats. Streams of `ListenV2` do not.
    pub(crate) heartbeat_streams: Vec<StreamId>,
    /// Time at which the worker last opened a stream.
    pub(crate) listened: Option<Timestamp>,
    pub(crate) paused: bool,
    /// Whether the worker has unsubscribed and opened no stream since.
    pub(crate) unsubscribed: bool,
    pub(crate) in_process: bool,
    /// Running tasks by the sequence number of their assignment.
    pub(crate) running: BTreeMap<u64, RunId>,
    pub(crate) timer: Option<TimerKey>,
    pub(crate) pool: PoolId,
    /// Sequence number of the latest assignment; 0 if there was none.
    pub(crate) last_assignment: u64,
}

impl Worker {
    /// The stream for new assignments; `None` if the worker may not get any now.
    pub(crate) fn assignable_stream(&self, now: ClockReading, max_heartbeat_age: Duration) -> Option<StreamId> {
        if self.paused { None } else { self.online_stream(now, max_heartbeat_age) }
    }

    /// The newest stream; `None` unless the worker is online. A paused worker can be online.
    pub(crate) fn online_stream(&self, now: ClockReading, max_heartbeat_age: Duration) -> Option<StreamId> {
        let is_fresh = !self.heartbeat_streams.is_empty()
            || self.heartbeat.is_some() && now.since(self.last_seen) < max_heartbeat_age;
        if self.unsubscribed || !is_fresh { None } else { self.streams.last().copied() }
    }

    /// Whether the worker serves an action.
    pub(crate) fn serves(&self, action: &Arc<str>) -> bool {
        self.actions.binary_search(action).is_ok()
    }

    fn record_heartbeat(&mut self, now: ClockReading) {
        self.heartbeat = Some(now.display);
        self.last_seen = now.monotonic;
        self.lease_start = now.monotonic;
    }
}

/// The outcome of a lease check.
#[derive(Debug, Default)]
pub(crate) struct LeaseCheck {
    /// Tasks that the worker has lost, in the order of their assignment.
    pub(crate) lost: Vec<RunId>,
    /// Whether to remove the worker.
    pub(crate) should_remove: bool,
}

/// All registered workers and their streams.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    pub(super) workers: Tracked<BTreeMap<WorkerId, Worker>>,
    streams: HashMap<StreamId, WorkerId>,
    last_stream: u64,
    /// Sequence number of the latest assignment of all.
    last_assignment: u64,
    /// Due time of the next check of the engine's own clock.
    next_self_check: MonotonicInstant,
}

impl Workers {
    pub(crate) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    /// Returns a registered worker to change; see [`Tracked::get_mut`].
    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Result<&mut Worker, WorkerError> {
        self.workers.get_mut(&id).ok_or(WorkerError::Unknown)
    }

    /// Returns a worker, to change fields that are not stored; see [`Tracked::get_mut_untracked`].
    pub(crate) fn get_mut_untracked(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers.get_mut_untracked(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter().map(|(id, worker)| (*id, worker))
    }

    /// Inserts a new worker.
    pub(crate) fn insert(&mut self, id: WorkerId, worker: Worker, now: ClockReading, timings: &Timings) {
        self.start_self_checks(now, timings);
        self.workers.insert(id, worker);
    }

    /// Restores a stored worker.
    pub(crate) fn restore(&mut self, id: WorkerId, worker: Worker, now: ClockReading, timings: &Timings) {
        self.start_self_checks(now, timings);
        self.workers.restore(id, worker);
    }

    pub(crate) fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        self.workers.remove(&id)
    }

    pub(crate) fn of_stream(&self, stream: StreamId) -> Option<WorkerId> {
        self.streams.get(&stream).copied()
    }

    /// Opens a stream; with `is_heartbeat` it replaces heartbeats while it is open.
    pub(crate) fn open_stream(
        &mut self,
        id: WorkerId,
        is_heartbeat: bool,
        now: ClockReading,
    ) -> Result<StreamId, WorkerError> {
        let stream = StreamId(self.last_stream + 1);
        let worker = self.get_mut(id)?;
        worker.streams.push(stream);
        worker.listened = Some(now.display);
        worker.unsubscribed = false;
        if is_heartbeat {
            worker.heartbeat_streams.push(stream);
            worker.record_heartbeat(now);
        }
        self.last_stream = stream.0;
        self.streams.insert(stream, id);
        Ok(stream)
    }

    /// Closes a stream and returns its worker.
    pub(crate) fn close_stream(&mut self, stream: StreamId, now: ClockReading) -> Option<WorkerId> {
        let id = self.streams.remove(&stream)?;
        let worker = self.workers.get_mut_untracked(&id)?;
        worker.streams.retain(|open| *open != stream);
        if worker.heartbeat_streams.contains(&stream) {
            worker.heartbeat_streams.retain(|open| *open != stream);
            worker.record_heartbeat(now);
        }
        Some(id)
    }

    /// Renews a worker's lease.
    pub(crate) fn heartbeat(&mut self, id: WorkerId, now: ClockReading) -> Result<(), WorkerError> {
        let worker = self.workers.get_mut_untracked(&id).ok_or(WorkerError::Unknown)?;
        if worker.listened.is_some() && worker.streams.is_empty() {
            return Err(WorkerError::NoStream);
        }
        worker.record_heartbeat(now);
        Ok(())
    }

    /// Number of assignments so far, those before a restart included.
    pub(crate) fn assignments_total(&self) -> u64 {
        self.last_assignment
    }

    /// Returns the sequence number of a new assignment.
    pub(crate) fn next_assignment(&mut self) -> u64 {
        self.last_assignment += 1;
        self.last_assignment
    }

    /// Continues the sequence numbers after an assignment that precedes a restart.
    pub(crate) fn resume_assignments(&mut self, assignment: u64) {
        self.last_assignment = self.last_assignment.max(assignment);
    }
}

/// Leases.
impl Workers {
    /// Sets the timer that checks a worker's lease, unless an earlier check is set. A heartbeat therefore moves no
    /// timer; each check sets the next timer.
    pub(crate) fn arm_lease(&mut self, id: WorkerId, timers: &mut MonotonicTimers, timings: &Timings) {
        let Some(worker) = self.workers.get_mut_untracked(&id) else { return };
        let lease_end = worker.lease_start.plus(timings.worker_lease);
        if worker.timer.is_none_or(|(armed, _)| armed > lease_end) {
            timers.cancel(worker.timer.take());
            worker.timer = Some(timers.set(lease_end, Timer::Worker(id)));
        }
    }

    /// Checks a worker's lease when its timer fires, and sets the timer of the next check.
    pub(crate) fn check_lease(
        &mut self,
        id: WorkerId,
        now: ClockReading,
        timers: &mut MonotonicTimers,
        timings: &Timings,
    ) -> LeaseCheck {
        let Some(worker) = self.workers.get_mut_untracked(&id) else { return LeaseCheck::default() };
        worker.timer = None;
        let silence = if worker.heartbeat_streams.is_empty() { now.since(worker.lease_start) } else { Duration::ZERO };
        if silence < timings.worker_lease {
            worker.timer = Some(timers.set(now.plus(timings.worker_lease - silence), Timer::Worker(id)));
            return LeaseCheck::default();
        }
        let lost = worker.running.values().copied().collect();
        let should_remove = worker.streams.is_empty() && silence >= timings.worker_removal;
        if !should_remove {
            // At least the duration of a lease, so that an expired worker with an open stream is not checked in a busy
            // loop.
            let next = timings.worker_lease.max(timings.worker_removal.saturating_sub(silence));
            worker.timer = Some(timers.set(now.plus(next), Timer::Worker(id)));
        }
        LeaseCheck { lost, should_remove }
    }

    /// Due time of the next check of the engine's own clock; `None` without workers.
    pub(crate) fn next_self_check(&self) -> Option<MonotonicInstant> {
        (!self.workers.is_empty()).then_some(self.next_self_check)
    }

    fn start_self_checks(&mut self, now: ClockReading, timings: &Timings) {
        if self.workers.is_empty() {
            self.next_self_check = now.plus(self_check_interval(timings));
        }
    }

    /// Renews all leases if this check is late by an interval or more, as the engine itself was stopped then. A task of
    /// a worker that was lost in the meantime is requeued one lease later.
    pub(crate) fn self_check(&mut self, now: ClockReading, timings: &Timings) {
        let interval = self_check_interval(timings);
        if now.since(self.next_self_check) >= interval.max(MAX_TIMER_DELAY) {
            for id in self.workers.keys().copied().collect::<Vec<_>>() {
                if let Some(worker) = self.workers.get_mut_untracked(&id) {
                    worker.lease_start = now.monotonic;
                }
            }
        }
        if now.monotonic >= self.next_self_check {
            self.next_self_check = now.plus(interval);
        }
    }
}

/// A sixth of a lease, so that no stop between two checks is long enough to use up a lease.
fn self_check_interval(timings: &Timings) -> Duration {
    timings.worker_lease / 6
}

impl Stored<WorkerId> for Worker {
    fn row_key(&self, id: &WorkerId) -> RowKey {
        RowKey::Bytes(id.uuid().into_bytes().to_vec())
    }

    fn bytes(&self) -> usize {
        let labels =
            self.labels.iter().map(|(key, value)| key.len() + prost::Message::encoded_len(value) + ENTRY_BYTES);
        let actions = self.actions.iter().map(|action| action.len() + size_of::<Arc<str>>());
        let runtime = self.runtime.as_ref().map_or(0, prost::Message::encoded_len);
        self.name.len() + labels.sum::<usize>() + actions.sum::<usize>() + runtime + ENTRY_BYTES
    }
}
