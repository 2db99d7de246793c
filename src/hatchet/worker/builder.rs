//! A worker before its start: its tasks and options.

use std::{net::TcpListener, num::NonZeroUsize, time::Duration};

use crate::hatchet::{
    client::{Client, ClientConfig},
    task::ErasedTask,
};

/// A worker before its start.
///
/// ```no_run
/// use hatchet_quickstart::{prelude::*, tasks};
///
/// # async fn example() -> Result<(), ClientError> {
/// let client = Client::from_env()?;
/// Worker::new(&client)
///     .register(tasks::sync_sleep::task())
///     .register(tasks::cpu_heavy::task())
///     .slots(20)
///     .run_until(tokio::signal::ctrl_c())
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// A worker and callers can share one [`Client`] in one process; `examples/web_service.rs` does so.
#[derive(Debug)]
#[must_use = "a worker does nothing until it is started by `run_until` or `start`"]
pub struct Worker {
    pub(super) config: ClientConfig,
    pub(super) options: WorkerOptions,
    pub(super) tasks: Vec<ErasedTask>,
    pub(super) health: Option<TcpListener>,
}

/// Options of a worker as one value, for programs that read them from settings. [`Worker`] has a method for each.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Name of the worker: ASCII letters, digits, `.`, `-` and `_`. Default `hatchet-quickstart`. CPU tasks are
    /// registered as a worker of their own, called `<name>-cpu`.
    pub name: String,
    /// Async and blocking attempts at once, at least 1. Default 100. Each running blocking body occupies a blocking
    /// thread of the tokio runtime, which has 512 by default.
    pub slots: usize,
    /// CPU attempts at once, and threads of the rayon pool that they share, at least 1. Default: the number of cores.
    pub cpu_threads: usize,
    /// Time that running attempts have to finish after a stop, before they are cancelled. Default 25 s.
    pub grace: Duration,
    /// Time that a cancelled body has to return, before an async body is dropped and another is reported as ignoring its
    /// cancellation. Default 1 s.
    pub cancel_grace: Duration,
    /// Time to wait at the start for an engine that does not answer. Default zero. If a live engine answers that it
    /// failed (INTERNAL, UNAVAILABLE or ABORTED), as a real one does when several workers register the same new tasks at
    /// once, registration is retried for at least 30 s. A registered worker reconnects without a limit.
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

impl Worker {
    /// A worker for the engine of this client, without tasks.
    ///
    /// The worker uses the client's settings on a connection of its own, so that a busy caller does not delay its
    /// heartbeats.
    pub fn new(client: &Client) -> Self {
        let config = ClientConfig::clone(&client.config());
        Self { config, options: WorkerOptions::default(), tasks: Vec::new(), health: None }
    }

    /// Adds a task.
    pub fn register(mut self, task: impl Into<ErasedTask>) -> Self {
        self.tasks.push(task.into());
        self
    }

    /// Adds tasks.
    pub fn register_all(mut self, tasks: impl IntoIterator<Item = impl Into<ErasedTask>>) -> Self {
        self.tasks.extend(tasks.into_iter().map(Into::into));
        self
    }

    /// Sets [`WorkerOptions::name`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
    }

    /// Sets [`WorkerOptions::slots`], the number of async and blocking attempts at once. Default 100.
    pub fn slots(mut self, slots: usize) -> Self {
        self.options.slots = slots;
        self
    }

    /// Sets [`WorkerOptions::cpu_threads`], the number of CPU attempts at once. Default: the number of cores.
    pub fn cpu_threads(mut self, threads: usize) -> Self {
        self.options.cpu_threads = threads;
        self
    }

    /// Sets [`WorkerOptions::grace`], the time that attempts have to finish after a stop. Default 25 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Sets [`WorkerOptions::cancel_grace`], the time that a cancelled body has to return. Default 1 s.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.options.cancel_grace = grace;
        self
    }

    /// Sets [`WorkerOptions::wait_for_engine`], the time to wait at the start for an engine. Default zero.
    pub fn wait_for_engine(mut self, timeout: Duration) -> Self {
        self.options.wait_for_engine = timeout;
        self
    }

    /// Replaces all options.
    pub fn options(mut self, options: WorkerOptions) -> Self {
        self.options = options;
        self
    }

    /// Serves health and metrics over HTTP on this socket while the worker lives: `/livez` (200 while the link's thread
    /// answers), `/readyz` (200 while the worker receives work, else 503), `/health` as the Python SDK answers it, and
    /// `/metrics` for Prometheus.
    pub fn health(mut self, listener: TcpListener) -> Self {
        self.health = Some(listener);
        self
    }
}
