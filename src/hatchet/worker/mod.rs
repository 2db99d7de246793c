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
mod drain;
mod health;
mod lifecycle;
mod session;
mod watchdog;

use std::{net::TcpListener, num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use drain::Drained;
pub(crate) use drain::some_of;
pub use health::{AttemptEnd, Durations, Slots, TaskStats, WorkerStats};

use super::{
    client::{ClientConfig, ClientError, ErrorKind},
    task::Task,
    wire::{ActionId, WorkerId},
};

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Its name; letters, digits, `.`, `-` and `_`. CPU tasks are registered as a worker of their own, called
    /// `<name>-cpu`.
    pub name: String,
    /// Async and blocking attempts at once. Default 100. Blocking bodies need as many blocking threads of the runtime.
    pub slots: usize,
    /// CPU attempts at once, and threads of the pool that they share. Default: one for each core.
    pub cpu_threads: usize,
    /// After a stop, what runs has this long to end before it is cancelled. Default 25 s.
    pub grace: Duration,
    /// A cancelled async body has this long to end before it is dropped, and any other before it is named. Default 1 s.
    pub cancel_grace: Duration,
    /// How long to wait for an engine that does not answer at the start. Default: not at all. If a live engine answers
    /// that it failed (INTERNAL, UNAVAILABLE or ABORTED), as a real one does when several workers register the same new
    /// tasks at once, the registration is retried for 30 s at least. Once registered, the worker retries without a limit.
    pub wait_for_engine: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: "hatchet-quickstart".to_owned(),
            slots: 100,
            cpu_threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            grace: Duration::from_secs(25),
            cancel_grace: Duration::from_secs(1),
            wait_for_engine: Duration::ZERO,
        }
    }
}

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

/// A worker before its start.
#[derive(Debug)]
pub struct Worker {
    config: ClientConfig,
    options: WorkerOptions,
    tasks: Vec<Task>,
    health: Option<TcpListener>,
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

impl Worker {
    /// A worker for the engine that the settings name.
    pub fn new(config: ClientConfig, options: WorkerOptions) -> Self {
        Self { config, options, tasks: Vec::new(), health: None }
    }

    /// Adds a task.
    #[must_use]
    pub fn task(mut self, task: Task) -> Self {
        self.tasks.push(task);
        self
    }

    /// Adds tasks.
    #[must_use]
    pub fn tasks(mut self, tasks: impl IntoIterator<Item = Task>) -> Self {
        self.tasks.extend(tasks);
        self
    }

    /// Serves health and metrics over HTTP on this socket for as long as the worker lives: `/livez` (200 while the
    /// link's thread answers), `/readyz` (200 while the worker receives work, else 503), `/health` as the Python SDK
    /// answers it, and `/metrics` for Prometheus.
    #[must_use]
    pub fn health(mut self, listener: TcpListener) -> Self {
        self.health = Some(listener);
        self
    }

    /// Starts it. Must be called inside a tokio runtime, on which async and blocking bodies then run.
    ///
    /// Fails on what can be seen without the engine: no task, two with one name, a name that engines refuse.
    pub fn start(self) -> Result<RunningWorker, ClientError> {
        let bad = |message: String| Err(ClientError::new(ErrorKind::Config, message));
        if self.tasks.is_empty() {
            return bad("the worker has no task: add one".to_owned());
        }
        let mut seen = std::collections::BTreeSet::new();
        for name in self.tasks.iter().flat_map(Task::names) {
            if !is_name(name) || ActionId::new(name, name).is_err() {
                return bad(format!("`{name}` is no name for a task: use letters, digits, `.`, `-` and `_` only"));
            }
            if !seen.insert(name.to_lowercase()) {
                return bad(format!("two tasks are called `{name}` (case does not count): rename one"));
            }
        }
        let name = self.config.namespaced(&self.options.name);
        if !is_name(&name) {
            return bad(format!("`{name}` is no name for a worker: use letters, digits, `.`, `-` and `_` only"));
        }
        if self.options.slots == 0 || self.options.cpu_threads == 0 {
            return bad("a worker needs at least one slot and one CPU thread".to_owned());
        }
        lifecycle::start(self)
    }
}

/// The rule of a real engine for names of workflows, tasks and workers.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
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
