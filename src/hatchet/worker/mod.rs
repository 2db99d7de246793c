//! Executes tasks for an engine.
//!
//! ```text
//!                 connection thread                                  executors of bodies
//!  engine ─▶ session ─▶ attempt: dispatch ─▶ execute ── slot ──▶ async | blocking | cpu
//!         ◀──────────── attempt: report ◀─── outcome ◀───────────────────┘
//! ```
//!
//! | part | what it does |
//! |---|---|
//! | `lifecycle` | starts the connection thread, connects the other parts, shuts down |
//! | `session` | registers with the engine, receives assignments, sends heartbeats, reconnects |
//! | `attempt` | executes one assignment, from slot permit to acknowledged outcome |
//! | `drain` | stops the intake, waits for running attempts, cancels the others |
//! | `watchdog` | warns about async bodies that block their thread |
//! | `health` | counters, health checks and metrics over HTTP |
//! | `state` | [`WorkerState`], which readiness follows |
//!
//! No user code runs on the connection thread, so heartbeats, reports and health checks continue while tasks block every
//! other thread. Its path from a message to a running body contains no await on a call or lock.
//!
//! Dependencies go one way: `lifecycle` → `drain`, `watchdog` → `session` → `attempt` → `health` → `state`.

mod attempt;
mod drain;
#[cfg(test)]
mod fixtures;
mod handle;
mod health;
mod lifecycle;
mod message_size;
mod name_list;
mod options;
mod session;
mod state;
mod watchdog;

use std::net::TcpListener;

pub use drain::DrainOutcome;
pub use handle::RunningWorker;
pub use health::{AttemptEnd, Durations, Slots, TaskStats, WorkerStats};
pub(crate) use name_list::list_names;
pub use options::WorkerOptions;
pub use state::{RegisteredWorker, Registration, WorkerState};

use super::{
    client::{ClientConfig, ClientError, ErrorKind},
    task::Task,
    wire::ActionId,
};

/// A worker before its start.
#[derive(Debug)]
pub struct Worker {
    config: ClientConfig,
    options: WorkerOptions,
    tasks: Vec<Task>,
    health: Option<TcpListener>,
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
        let Self { config, options, tasks, health } = self;
        lifecycle::start(lifecycle::Setup { config, options, tasks, health })
    }
}

/// The rule of a real engine for names of workflows, tasks and workers.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}
