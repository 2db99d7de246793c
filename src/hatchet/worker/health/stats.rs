//! What a worker counts: numbers only, so that counting never waits.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, Semaphore, watch};

use super::histogram::{Durations, Histogram};
use crate::hatchet::{
    task::{ErasedTask, Kind},
    worker::{LinkState, WorkerOptions},
};

/// How an attempt ended, as far as this worker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttemptEnd {
    /// With an output.
    Completed,
    /// With a failure that may be retried.
    Failed,
    /// With a failure that is not retried.
    Fatal,
    /// The engine asked it to stop: cancelled by someone, or over its time.
    Cancelled,
    /// Over its time, and the engine had said nothing.
    TimedOut,
    /// Cut because the worker was stopped, and reported as a failure that may be retried.
    Shutdown,
}

impl AttemptEnd {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Completed, Self::Failed, Self::Fatal, Self::Cancelled, Self::TimedOut, Self::Shutdown];

    /// Its word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Fatal => "fatal",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What a worker has counted until now.
#[derive(Debug, Clone)]
pub struct WorkerStats {
    /// Where the link stands.
    pub link: LinkState,
    /// Since the worker's start.
    pub uptime: Duration,
    /// How often it registered. This and the next three counts are sums over the workers that the process registers as.
    pub registrations: u64,
    /// How often it listened again after a loss.
    pub reconnects: u64,
    /// Heartbeats that the engine accepted.
    pub heartbeats: u64,
    /// Heartbeats that failed.
    pub heartbeat_failures: u64,
    /// How late heartbeats were sent.
    pub heartbeat_delay: Durations,
    /// How long the engine took to accept them.
    pub heartbeat_answer: Durations,
    /// How late the link's thread last was with something that was due.
    pub link_lag: Duration,
    /// Slots, by [pool](ErasedTask::slot_pool).
    pub slots: BTreeMap<&'static str, Slots>,
    /// Attempts that were assigned and are not reported yet.
    pub attempts: usize,
    /// Bodies that were given to their executor (by the word of their kind) and have not begun.
    pub queued: BTreeMap<&'static str, usize>,
    /// Tasks, by name. What is assigned under a name that the worker has no task for counts as `(unknown)`.
    pub tasks: BTreeMap<String, TaskStats>,
    /// Outcomes that the engine has not acknowledged yet.
    pub reports_waiting: usize,
    /// Outcomes that were given up.
    pub outcomes_lost: u64,
    /// Bodies on threads that had not ended a grace after their cancellation; each keeps its slot until it does.
    pub cancellations_ignored: u64,
    /// Log lines that were dropped or given up.
    pub lines_lost: u64,
    /// Stream chunks that were given up.
    pub chunks_lost: u64,
    /// How often a task was found to block an async thread.
    pub blocked_threads: u64,
}

/// Slots of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// In all.
    pub limit: usize,
    /// Taken now.
    pub used: usize,
}

/// What a worker has counted of one task.
#[derive(Debug, Clone)]
pub struct TaskStats {
    /// Attempts, by how they ended.
    pub ended: BTreeMap<AttemptEnd, u64>,
    /// How long bodies ran.
    pub durations: Durations,
}

/// The counters behind [`WorkerStats`].
#[derive(Debug)]
pub(in crate::hatchet::worker) struct Stats {
    start: Instant,
    state: watch::Receiver<LinkState>,
    slots: BTreeMap<&'static str, (usize, Arc<Semaphore>)>,
    tasks: BTreeMap<String, TaskCounters>,
    unknown: TaskCounters,
    queued: [Gauge; 3],
    pub(in crate::hatchet::worker) attempts: Gauge,
    pub(in crate::hatchet::worker) reports: Gauge,
    pub(in crate::hatchet::worker) registrations: Counter,
    reconnects: Counter,
    pub(in crate::hatchet::worker) heartbeats: Counter,
    pub(in crate::hatchet::worker) heartbeat_failures: Counter,
    pub(in crate::hatchet::worker) heartbeat_delay: Histogram,
    pub(in crate::hatchet::worker) heartbeat_answer: Histogram,
    pub(in crate::hatchet::worker) outcomes_lost: Counter,
    pub(in crate::hatchet::worker) cancellations_ignored: Counter,
    pub(in crate::hatchet::worker) lines_lost: Counter,
    pub(in crate::hatchet::worker) chunks_lost: Counter,
    pub(in crate::hatchet::worker) blocked_threads: Counter,
    link_lag: Mutex<Duration>,
    /// Told each time a registration begins to listen.
    listening: Notify,
}

#[derive(Debug, Default)]
struct TaskCounters {
    ended: [Counter; AttemptEnd::ALL.len()],
    durations: Histogram,
}

/// Only grows.
#[derive(Debug, Default, Clone)]
pub(in crate::hatchet::worker) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(in crate::hatchet::worker) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
#[derive(Debug, Default, Clone)]
pub(in crate::hatchet::worker) struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    /// One more, for as long as what is given back lives.
    pub(in crate::hatchet::worker) fn one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    fn read(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Is counted while it lives.
#[derive(Debug)]
pub(in crate::hatchet::worker) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A line or chunk on its way: lost, unless said otherwise before it is dropped.
pub(in crate::hatchet::worker) struct OnItsWay {
    lost: Option<Counter>,
}

impl OnItsWay {
    pub(in crate::hatchet::worker) fn arrived(mut self) {
        self.lost = None;
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if let Some(lost) = &self.lost {
            lost.add(1);
        }
    }
}

const KINDS: [Kind; 3] = [Kind::Async, Kind::Blocking, Kind::Cpu];

impl Stats {
    pub(in crate::hatchet::worker) fn new(
        tasks: &[ErasedTask],
        options: &WorkerOptions,
        state: watch::Receiver<LinkState>,
    ) -> Self {
        let limit = |kind| if kind == "cpu" { options.cpu_threads } else { options.slots };
        let slots = |kind| (limit(kind), Arc::new(Semaphore::new(limit(kind).min(Semaphore::MAX_PERMITS))));
        Self {
            start: Instant::now(),
            state,
            slots: tasks.iter().map(ErasedTask::slot_pool).map(|kind| (kind, slots(kind))).collect(),
            tasks: tasks.iter().map(|task| (task.name().to_owned(), TaskCounters::default())).collect(),
            unknown: TaskCounters::default(),
            queued: Default::default(),
            attempts: Gauge::default(),
            reports: Gauge::default(),
            registrations: Counter::default(),
            reconnects: Counter::default(),
            heartbeats: Counter::default(),
            heartbeat_failures: Counter::default(),
            heartbeat_delay: Histogram::default(),
            heartbeat_answer: Histogram::default(),
            outcomes_lost: Counter::default(),
            cancellations_ignored: Counter::default(),
            lines_lost: Counter::default(),
            chunks_lost: Counter::default(),
            blocked_threads: Counter::default(),
            link_lag: Mutex::default(),
            listening: Notify::new(),
        }
    }

    /// A registration listens: for the first time, or `again` after a loss.
    pub(in crate::hatchet::worker) fn listens(&self, again: bool) {
        self.reconnects.add(u64::from(again));
        self.listening.notify_waiters();
    }

    /// Ends when the next registration begins to listen. All share one connection, so calls get through then.
    pub(in crate::hatchet::worker) async fn link_comes_back(&self) {
        self.listening.notified().await;
    }

    /// The slots of a pool; of one that no task has, none.
    pub(in crate::hatchet::worker) fn slots(&self, kind: &str) -> Arc<Semaphore> {
        self.slots.get(kind).map_or_else(|| Arc::new(Semaphore::new(0)), |(_, permits)| permits.clone())
    }

    /// Counts a body that waits for its executor.
    pub(in crate::hatchet::worker) fn queued(&self, kind: Kind) -> Counted {
        self.queued[kind as usize].one()
    }

    /// Counts the end of an attempt.
    pub(in crate::hatchet::worker) fn ended(&self, task: Option<&ErasedTask>, end: AttemptEnd) {
        self.of(task).ended[end as usize].add(1);
    }

    /// Counts how long a body ran.
    pub(in crate::hatchet::worker) fn took(&self, task: &ErasedTask, duration: Duration) {
        self.of(Some(task)).durations.add(duration);
    }

    fn of(&self, task: Option<&ErasedTask>) -> &TaskCounters {
        task.and_then(|task| self.tasks.get(task.name())).unwrap_or(&self.unknown)
    }

    /// Follows a chunk, or a line, on its way.
    pub(in crate::hatchet::worker) fn on_its_way(&self, chunk: bool) -> OnItsWay {
        OnItsWay { lost: Some(if chunk { &self.chunks_lost } else { &self.lines_lost }.clone()) }
    }

    pub(in crate::hatchet::worker) fn lagged(&self, lag: Duration) {
        *self.link_lag.lock().unwrap_or_else(PoisonError::into_inner) = lag;
    }

    pub(in crate::hatchet::worker) fn read(&self) -> WorkerStats {
        let task = |(name, counters): (&str, &TaskCounters)| {
            let ended = AttemptEnd::ALL.map(|end| (end, counters.ended[end as usize].read())).into();
            (name.to_owned(), TaskStats { ended, durations: counters.durations.read() })
        };
        let known = self.tasks.iter().map(|(name, counters)| (name.as_str(), counters));
        let slots = |(kind, (limit, permits)): (&&'static str, &(usize, Arc<Semaphore>))| {
            (*kind, Slots { limit: *limit, used: limit.saturating_sub(permits.available_permits()) })
        };
        WorkerStats {
            link: self.state.borrow().clone(),
            uptime: self.start.elapsed(),
            registrations: self.registrations.read(),
            reconnects: self.reconnects.read(),
            heartbeats: self.heartbeats.read(),
            heartbeat_failures: self.heartbeat_failures.read(),
            heartbeat_delay: self.heartbeat_delay.read(),
            heartbeat_answer: self.heartbeat_answer.read(),
            link_lag: *self.link_lag.lock().unwrap_or_else(PoisonError::into_inner),
            slots: self.slots.iter().map(slots).collect(),
            attempts: self.attempts.read(),
            queued: KINDS.map(|kind| (kind.as_str(), self.queued[kind as usize].read())).into(),
            tasks: known.chain([("(unknown)", &self.unknown)]).map(task).collect(),
            reports_waiting: self.reports.read(),
            outcomes_lost: self.outcomes_lost.read(),
            cancellations_ignored: self.cancellations_ignored.read(),
            lines_lost: self.lines_lost.read(),
            chunks_lost: self.chunks_lost.read(),
            blocked_threads: self.blocked_threads.read(),
        }
    }
}
