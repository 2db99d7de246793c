//! Runs tasks for an engine.
//!
//! The link to the engine has a thread and a runtime of its own, so that no task can starve it: it registers, listens,
//! heartbeats and reports there, while async bodies run on the runtime that [`Worker::start`] was called in, blocking
//! ones on that runtime's blocking threads, and CPU ones on a rayon pool.
//!
//! ```text
//!            link thread                                              bodies
//!  engine ─▶ listen ─▶ dispatch ─▶ attempt ── slot permit ──▶ async | blocking | cpu
//!         ◀─────────── report ◀── outcome ◀──────────────────────────┘
//! ```
//!
//! The process registers as one worker for its async and blocking tasks and as another one for its CPU tasks, each with
//! its own stream and heartbeats over one shared connection; all else is shared. States of the process, which readiness
//! follows ([`LinkState`]); it listens only while all of its workers do:
//!
//! ```text
//!  Connecting ─▶ Listening ─▶ Draining ─▶ Stopped
//!      ▲  ▲          │
//!      │  └─ lost ───┤ stream or heartbeat of a worker failed: opened again under the same id
//!      └─ forgotten ─┘ the engine does not know a worker: that one is registered anew
//! ```

mod attempt;
mod builder;
mod drain;
mod health;
mod lifecycle;
mod session;
mod watchdog;

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use builder::{Worker, WorkerOptions};
pub use drain::Drained;
pub(crate) use drain::some_of;
pub use health::{AttemptEnd, Durations, Slots, TaskStats, WorkerStats};

use super::{
    client::{ClientError, ErrorKind},
    wire::WorkerId,
};

/// Where the link to the engine stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Not receiving work: registering, or between two streams. Why, where something failed.
    Connecting(Option<String>),
    /// Receiving work.
    Listening(Registered),
    /// Finishing what runs.
    Draining,
    /// Gone.
    Stopped,
}

/// A registered worker process, as the engine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The workers that the process registered as: one for its async and blocking tasks and one for its CPU tasks, each
    /// only if it has such tasks.
    pub workers: Vec<RegisteredWorker>,
    /// The engine's version, such as `v0.101.27`.
    pub engine_version: String,
}

/// One worker of a process. The engine lists it and counts its slots like those of any other worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredWorker {
    /// The id that the engine gave it.
    pub id: WorkerId,
    /// The process' name with the namespace; of the worker for CPU tasks, with the suffix `-cpu`.
    pub name: String,
    /// Attempts at once.
    pub slots: usize,
}

/// A started worker. Dropping it without [`RunningWorker::stop`] ends it at once, and loses what runs.
#[derive(Debug)]
pub struct RunningWorker {
    state: watch::Receiver<LinkState>,
    stats: Arc<health::Stats>,
    stop: CancellationToken,
    abandon: CancellationToken,
    result: Option<oneshot::Receiver<Result<Drained, ClientError>>>,
}

impl RunningWorker {
    /// The link's state, to read or to follow.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// What it has counted until now.
    pub fn stats(&self) -> WorkerStats {
        self.stats.read()
    }

    /// Waits until the worker receives work for the first time, or ends with why it cannot.
    pub async fn listening(&mut self) -> Result<Registered, ClientError> {
        loop {
            if let LinkState::Listening(registered) = &*self.state.borrow_and_update() {
                return Ok(registered.clone());
            }
            if self.state.changed().await.is_err() {
                return match self.ended().await {
                    Err(error) => Err(error),
                    Ok(_) => {
                        Err(ClientError::new(ErrorKind::Engine, "the worker was stopped before it was registered"))
                    }
                };
            }
        }
    }

    /// Waits until the worker ends by itself, which it does only for a reason that trying again does not mend.
    pub async fn ended(&mut self) -> Result<Drained, ClientError> {
        match self.result.as_mut() {
            Some(result) => {
                let ended = result.await;
                self.result = None;
                ended.unwrap_or_else(|_| {
                    Err(ClientError::new(ErrorKind::Engine, "the worker's link thread ended unexpectedly"))
                })
            }
            None => Err(ClientError::new(ErrorKind::Engine, "the worker has ended")),
        }
    }

    /// Takes no more work, finishes what runs within the grace, reports it, and leaves.
    pub async fn stop(mut self) -> Result<Drained, ClientError> {
        self.stop.cancel();
        self.ended().await
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.abandon.cancel();
    }
}
