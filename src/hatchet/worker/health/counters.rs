//! The counters of a worker.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, watch};

use super::{
    histogram::Histogram,
    primitives::{Counter, DeliveryGuard, Gauge, GaugeGuard},
    stats::{AttemptEnd, Slots, TaskStats, WorkerStats},
};
use crate::hatchet::{
    task::{ErasedTask, Kind},
    worker::{options::WorkerOptions, state::WorkerState},
};

const KINDS: [Kind; 3] = [Kind::Async, Kind::Blocking, Kind::Cpu];

/// The counters behind [`WorkerStats`], and the slot pools whose use they show.
#[derive(Debug)]
pub(in crate::hatchet::worker) struct Counters {
    start: Instant,
    state: watch::Receiver<WorkerState>,
    /// The limit and the free permits of each pool.
    slots: BTreeMap<&'static str, (usize, Arc<Semaphore>)>,
    tasks: BTreeMap<String, TaskCounters>,
    /// Counts attempts of unregistered tasks.
    unknown_task: TaskCounters,
    /// Bodies that wait for their executor, indexed by [`Kind`].
    queued: [Gauge; KINDS.len()],
    pub(in crate::hatchet::worker) attempts: Gauge,
    pub(in crate::hatchet::worker) reports: Gauge,
    pub(in crate::hatchet::worker) registrations: Counter,
    pub(in crate::hatchet::worker) reconnects: Counter,
    pub(in crate::hatchet::worker) heartbeats: Counter,
    pub(in crate::hatchet::worker) heartbeat_failures: Counter,
    pub(in crate::hatchet::worker) assignments_recovered: Counter,
    pub(in crate::hatchet::worker) heartbeat_delay: Histogram,
    pub(in crate::hatchet::worker) heartbeat_response: Histogram,
    pub(in crate::hatchet::worker) outcomes_lost: Counter,
    pub(in crate::hatchet::worker) cancellations_ignored: Counter,
    pub(in crate::hatchet::worker) lines_lost: Counter,
    pub(in crate::hatchet::worker) chunks_lost: Counter,
    pub(in crate::hatchet::worker) blocked_threads: Counter,
    event_loop_lag: Mutex<Duration>,
}

#[derive(Debug, Default)]
struct TaskCounters {
    /// Indexed by [`AttemptEnd`].
    finished: [Counter; AttemptEnd::ALL.len()],
    durations: Histogram,
}

impl TaskCounters {
    fn snapshot(&self) -> TaskStats {
        let finished = AttemptEnd::ALL.map(|end| (end, self.finished[end as usize].get())).into();
        TaskStats { finished, durations: self.durations.snapshot() }
    }
}

impl Counters {
    pub(in crate::hatchet::worker) fn new(
        tasks: &[&ErasedTask],
        options: &WorkerOptions,
        state: watch::Receiver<WorkerState>,
    ) -> Self {
        let pool = |name| {
            let limit = if name == "cpu" { options.cpu_threads } else { options.slots };
            (name, (limit, Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))))
        };
        Self {
            start: Instant::now(),
            state,
            slots: tasks.iter().map(|task| task.slot_pool()).map(pool).collect(),
            tasks: tasks.iter().map(|task| (task.qualified_name().to_owned(), TaskCounters::default())).collect(),
            unknown_task: TaskCounters::default(),
            queued: Default::default(),
            attempts: Gauge::default(),
            reports: Gauge::default(),
            registrations: Counter::default(),
            reconnects: Counter::default(),
            heartbeats: Counter::default(),
            heartbeat_failures: Counter::default(),
            assignments_recovered: Counter::default(),
            heartbeat_delay: Histogram::default(),
            heartbeat_response: Histogram::default(),
            outcomes_lost: Counter::default(),
            cancellations_ignored: Counter::default(),
            lines_lost: Counter::default(),
            chunks_lost: Counter::default(),
            blocked_threads: Counter::default(),
            event_loop_lag: Mutex::default(),
        }
    }

    /// Returns the slots of a pool. A pool without tasks has no slots.
    pub(in crate::hatchet::worker) fn slots(&self, pool: &str) -> Arc<Semaphore> {
        self.slots.get(pool).map_or_else(|| Arc::new(Semaphore::new(0)), |(_, permits)| permits.clone())
    }

    /// Counts a body as queued until the guard is dropped.
    pub(in crate::hatchet::worker) fn body_queued(&self, kind: Kind) -> GaugeGuard {
        self.queued[kind as usize].enter()
    }

    /// Counts the end of an attempt. `task` is `None` for an unregistered task.
    pub(in crate::hatchet::worker) fn attempt_finished(&self, task: Option<&ErasedTask>, end: AttemptEnd) {
        self.task_counters(task).finished[end as usize].add(1);
    }

    /// Records the run time of a body.
    pub(in crate::hatchet::worker) fn record_duration(&self, task: &ErasedTask, duration: Duration) {
        self.task_counters(Some(task)).durations.record(duration);
    }

    fn task_counters(&self, task: Option<&ErasedTask>) -> &TaskCounters {
        task.and_then(|task| self.tasks.get(task.qualified_name())).unwrap_or(&self.unknown_task)
    }

    /// Tracks the delivery of a stream chunk or log line.
    pub(in crate::hatchet::worker) fn track_delivery(&self, is_chunk: bool) -> DeliveryGuard {
        DeliveryGuard::new(if is_chunk { &self.chunks_lost } else { &self.lines_lost }.clone())
    }

    /// Stores the latest delay of a timer on the connection thread.
    pub(in crate::hatchet::worker) fn set_event_loop_lag(&self, lag: Duration) {
        *self.event_loop_lag.lock().unwrap_or_else(PoisonError::into_inner) = lag;
    }

    /// Returns the current values. They are read one after the other, so they may not match exactly.
    pub(in crate::hatchet::worker) fn snapshot(&self) -> WorkerStats {
        let slots = |(pool, (limit, permits)): (&&'static str, &(usize, Arc<Semaphore>))| {
            (*pool, Slots { limit: *limit, used: limit.saturating_sub(permits.available_permits()) })
        };
        let mut tasks: BTreeMap<_, _> =
            self.tasks.iter().map(|(name, counters)| (name.clone(), counters.snapshot())).collect();
        tasks.insert("(unknown)".to_owned(), self.unknown_task.snapshot());
        WorkerStats {
            state: self.state.borrow().clone(),
            uptime: self.start.elapsed(),
            registrations: self.registrations.get(),
            reconnects: self.reconnects.get(),
            heartbeats: self.heartbeats.get(),
            heartbeat_failures: self.heartbeat_failures.get(),
            assignments_recovered: self.assignments_recovered.get(),
            heartbeat_delay: self.heartbeat_delay.snapshot(),
            heartbeat_response: self.heartbeat_response.snapshot(),
            event_loop_lag: *self.event_loop_lag.lock().unwrap_or_else(PoisonError::into_inner),
            slots: self.slots.iter().map(slots).collect(),
            attempts: self.attempts.get(),
            queued: KINDS.map(|kind| (kind.as_str(), self.queued[kind as usize].get())).into(),
            tasks,
            reports_waiting: self.reports.get(),
            outcomes_lost: self.outcomes_lost.get(),
            cancellations_ignored: self.cancellations_ignored.get(),
            lines_lost: self.lines_lost.get(),
            chunks_lost: self.chunks_lost.get(),
            blocked_threads: self.blocked_threads.get(),
        }
    }
}
