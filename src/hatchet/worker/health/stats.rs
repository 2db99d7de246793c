//! A snapshot of a worker's counters.

use std::{collections::BTreeMap, time::Duration};

use super::histogram::Durations;
use crate::hatchet::worker::state::WorkerState;

/// A snapshot of a worker's counters. Counts start at the worker's start.
#[derive(Debug, Clone)]
pub struct WorkerStats {
    /// Whether the worker is ready, draining or not connected.
    pub state: WorkerState,
    /// Time since the worker's start.
    pub uptime: Duration,
    /// Registrations with the engine. This and the next four counts are sums over the workers that the process
    /// registers as.
    pub registrations: u64,
    /// Streams that were reopened after a failure.
    pub reconnects: u64,
    /// Attempts that were started although their assignment was lost with a connection.
    pub assignments_recovered: u64,
    /// Heartbeats that the engine accepted.
    pub heartbeats: u64,
    /// Heartbeats that the engine refused or did not respond to.
    pub heartbeat_failures: u64,
    /// Delay between a heartbeat's due time and its sending.
    pub heartbeat_delay: Durations,
    /// Time until the engine accepted a heartbeat.
    pub heartbeat_response: Durations,
    /// Latest delay of a timer on the worker's connection thread.
    pub event_loop_lag: Duration,
    /// Slots, by [pool](crate::hatchet::task::ErasedTask::slot_pool).
    pub slots: BTreeMap<&'static str, Slots>,
    /// Attempts that were assigned and whose outcome is not reported yet.
    pub attempts: usize,
    /// Bodies that were submitted to their executor and have not started, by kind.
    pub queued: BTreeMap<&'static str, usize>,
    /// Counts by task name. Attempts of unregistered tasks count as `(unknown)`.
    pub tasks: BTreeMap<String, TaskStats>,
    /// Outcomes that the engine has not acknowledged yet.
    pub reports_waiting: usize,
    /// Outcomes that could not be reported.
    pub outcomes_lost: u64,
    /// Bodies on threads that had not ended within [`WorkerOptions::cancel_grace`] of their cancellation. Each keeps
    /// its slot until it ends.
    ///
    /// [`WorkerOptions::cancel_grace`]: crate::hatchet::worker::WorkerOptions::cancel_grace
    pub cancellations_ignored: u64,
    /// Log lines that were dropped or could not be sent.
    pub lines_lost: u64,
    /// Stream chunks that could not be sent.
    pub chunks_lost: u64,
    /// Polls of async bodies that blocked their thread for at least 1 s.
    pub blocked_threads: u64,
}

/// Slots of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// Total number of slots.
    pub limit: usize,
    /// Slots in use.
    pub used: usize,
}

/// Counts of one task.
#[derive(Debug, Clone)]
pub struct TaskStats {
    /// Number of finished attempts, by their end. Ends that have not occurred count 0.
    pub finished: BTreeMap<AttemptEnd, u64>,
    /// Run times of bodies.
    pub durations: Durations,
}

/// The end of an attempt, as recorded by this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttemptEnd {
    /// The body returned an output.
    Completed,
    /// The body failed, and the attempt may be retried.
    Failed,
    /// The body failed, and the attempt is not retried.
    Fatal,
    /// The engine cancelled the attempt, on request or after its timeout.
    Cancelled,
    /// The worker ended the attempt after its timeout, since the engine had not.
    TimedOut,
    /// The worker was stopped; reported as a failure that may be retried.
    Shutdown,
}

impl AttemptEnd {
    /// All values, in the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::Completed, Self::Failed, Self::Fatal, Self::Cancelled, Self::TimedOut, Self::Shutdown];

    /// Returns the label value in metrics.
    pub fn as_str(self) -> &'static str {
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
