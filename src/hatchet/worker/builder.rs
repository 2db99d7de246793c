//! The builder of a worker: its tasks, options, hooks and health server.

use std::{net::TcpListener, time::Duration};

use super::{
    drain::DrainOutcome,
    handle::RunningWorker,
    lifecycle::{self, Setup},
    options::WorkerOptions,
};
use crate::hatchet::{
    client::Client,
    task::{AttemptReport, Context, ErasedWorkflow, Hooks, LabelValue, is_name, validate_all},
    transport::{ClientConfig, ClientError, ErrorKind},
};

/// A worker before its start: its engine, tasks and options.
///
/// ```no_run
/// use hatchet_quickstart::prelude::*;
///
/// # async fn example(parse: Task<String, String>, index: Task<String, String>) -> Result<(), ClientError> {
/// let client = Client::from_env()?;
/// Worker::new(&client)
///     .register(parse)
///     .register(index)
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
    config: ClientConfig,
    options: WorkerOptions,
    workflows: Vec<ErasedWorkflow>,
    hooks: Hooks,
    health: Option<TcpListener>,
}

impl Worker {
    /// Creates a worker for the engine of this client, without tasks.
    ///
    /// The worker uses the client's settings on a separate connection, so that a busy caller does not delay its
    /// heartbeats.
    pub fn new(client: &Client) -> Self {
        let config = ClientConfig::clone(&client.config());
        Self { config, options: WorkerOptions::default(), workflows: Vec::new(), hooks: Hooks::default(), health: None }
    }

    /// Adds a task or workflow.
    pub fn register(mut self, workflow: impl Into<ErasedWorkflow>) -> Self {
        self.workflows.push(workflow.into());
        self
    }

    /// Adds several tasks or workflows.
    pub fn register_all(mut self, workflows: impl IntoIterator<Item = impl Into<ErasedWorkflow>>) -> Self {
        self.workflows.extend(workflows.into_iter().map(Into::into));
        self
    }

    /// Adds a label to [`WorkerOptions::labels`], by which tasks choose their workers (see
    /// [`DesiredLabel`](crate::hatchet::task::DesiredLabel)). Replaces an earlier value for the key. Default: none.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<LabelValue>) -> Self {
        self.options.labels.insert(key.into(), value.into());
        self
    }

    /// Sets [`WorkerOptions::name`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
    }

    /// Sets [`WorkerOptions::slots`], the maximum number of concurrent async and blocking attempts. Default 100.
    pub fn slots(mut self, slots: usize) -> Self {
        self.options.slots = slots;
        self
    }

    /// Sets [`WorkerOptions::cpu_threads`], the maximum number of concurrent CPU attempts. Default: the number of
    /// cores.
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

    /// Calls a function before each body, on the thread of the body. A panic fails the attempt.
    ///
    /// ```no_run
    /// # use hatchet_quickstart::prelude::*;
    /// # fn example(client: &Client) {
    /// let worker = Worker::new(client)
    ///     .before_attempt(|ctx| println!("{} starts, attempt {}", ctx.info().task_name, ctx.attempt_number()))
    ///     .after_attempt(|report| {
    ///         println!("{} took {:?}: {:?}", report.ctx.info().task_name, report.duration, report.outcome);
    ///     });
    /// # }
    /// ```
    pub fn before_attempt(mut self, hook: impl Fn(&Context) + Send + Sync + 'static) -> Self {
        self.hooks.add_before(hook);
        self
    }

    /// Calls a function after each body that has started, on the thread of the body: with its outcome, even if it
    /// panicked or was dropped after its cancellation. The function must not panic.
    pub fn after_attempt(mut self, hook: impl Fn(&AttemptReport<'_>) + Send + Sync + 'static) -> Self {
        self.hooks.add_after(hook);
        self
    }

    /// Serves health checks and metrics over HTTP on this socket until the worker ends. Default: none.
    ///
    /// | path | response |
    /// |---|---|
    /// | `/livez` | 200 while the connection thread runs |
    /// | `/readyz` | 200 while the worker receives work, else 503 |
    /// | `/health` | the JSON of the Python SDK |
    /// | `/metrics` | Prometheus text |
    pub fn health(mut self, listener: TcpListener) -> Self {
        self.health = Some(listener);
        self
    }

    /// Runs the worker until `shutdown` completes, then drains it: it accepts no more work, and running attempts have
    /// [`WorkerOptions::grace`] to finish. Must be called inside a tokio runtime, on which async and blocking bodies
    /// run.
    ///
    /// The output of `shutdown` is ignored, so that you can pass `tokio::signal::ctrl_c()`. Dropping the returned
    /// future ends the worker immediately and loses the outcomes of running attempts.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Worker::start`] and [`RunningWorker::ended`].
    pub async fn run_until(self, shutdown: impl Future) -> Result<DrainOutcome, ClientError> {
        let mut worker = self.start()?;
        tokio::select! {
            result = worker.ended() => result,
            _ = shutdown => worker.stop().await,
        }
    }

    /// Starts the worker and returns immediately; [`RunningWorker::listening`] waits until it is registered. Must be
    /// called inside a tokio runtime, on which async and blocking bodies run.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the call is made outside a tokio runtime, the worker has no task, two tasks share a
    /// name, a task takes more slots than the worker has, or an engine would refuse the value of a name, label or
    /// option (see [`ErasedWorkflow::validate`]).
    pub fn start(self) -> Result<RunningWorker, ClientError> {
        let config_error = |message: String| ClientError::new(ErrorKind::Config, message);
        if self.workflows.is_empty() {
            return Err(config_error("starting the worker failed: it has no task. Register one".to_owned()));
        }
        validate_all(&self.workflows).map_err(|invalid| config_error(invalid.to_string()))?;
        let name = self.config.namespaced(&self.options.name);
        if !is_name(&name) {
            return Err(config_error(format!(
                "invalid worker name \"{name}\": use letters, digits, `.`, `-` and `_` only"
            )));
        }
        for (field, number) in [("slots", self.options.slots), ("cpu_threads", self.options.cpu_threads)] {
            if number == 0 {
                return Err(config_error(format!("invalid {field} \"0\": use at least 1")));
            }
        }
        for task in self.workflows.iter().flat_map(ErasedWorkflow::tasks) {
            let slots = if task.slot_pool() == "cpu" { self.options.cpu_threads } else { self.options.slots };
            if task.options().slots as usize > slots {
                let (name, needed) = (task.qualified_name(), task.options().slots);
                let rule = format!("the worker has {slots} for it");
                return Err(config_error(format!("task \"{name}\": invalid slots \"{needed}\": {rule}")));
            }
        }
        if self.options.labels.keys().any(|key| key.trim().is_empty()) {
            return Err(config_error("invalid label \"\": use a key that is not empty".to_owned()));
        }
        let Self { config, options, workflows, hooks, health } = self;
        lifecycle::start(Setup { config, options, workflows, hooks, health })
    }
}
