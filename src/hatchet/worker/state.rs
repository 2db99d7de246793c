//! The states of a worker process, and their transitions.
//!
//! ```text
//!  Connecting ──▶ Listening ──▶ Draining ──▶ Stopped
//!      ▲              │
//!      └──────────────┘ a stream or heartbeat failed, or a worker id is unknown to the engine
//! ```
//!
//! A process registers as one worker per slot pool and is `Listening` only while all of them receive work. `Draining`
//! is final: a worker that drains never listens again. Readiness, metrics and [`RunningWorker`](super::RunningWorker)
//! expose this state.

use crate::hatchet::wire::WorkerId;

/// The state of a worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// Registering, or reopening a stream. Contains the latest failure, if any.
    Connecting(Option<String>),
    /// All workers of the process receive work.
    Listening(Registration),
    /// No new work is accepted; running attempts finish.
    Draining,
    /// The worker has ended.
    Stopped,
}

/// A registered worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The workers that the process registered as: one for its async and blocking tasks and one for its CPU tasks, each
    /// only if it has such tasks.
    pub workers: Vec<RegisteredWorker>,
    /// The engine's version, such as `v0.101.27`.
    pub engine_version: String,
}

/// One worker of a process. The engine lists it and counts its slots separately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredWorker {
    /// The id that the engine assigned.
    pub id: WorkerId,
    /// The process' name with the namespace; the worker for CPU tasks has the suffix `-cpu`.
    pub name: String,
    /// Maximum number of concurrent attempts.
    pub slots: usize,
}
