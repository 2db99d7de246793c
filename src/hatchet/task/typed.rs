//! A task with its types.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{Backoff, Context, Idempotency, IdempotencyMethod, Kind, Payload, Priority, Stub, TaskError, TaskOptions};

/// A task: a [`Stub`], a body, and the options that its runs have by default.
///
/// A [`Worker`](crate::hatchet::worker::Worker) registers the task, and a caller runs it by its [stub](Task::stub).
/// Options are checked when the worker starts: a value that an engine would refuse is an error with the name of the
/// field.
#[must_use = "a task runs only after a worker has registered it"]
pub struct Task<I, O> {
    pub(super) stub: Stub<I, O>,
    pub(super) aliases: Vec<String>,
    pub(super) description: String,
    pub(super) options: TaskOptions,
    pub(super) body: Body<I, O>,
}

type AsyncBody<I, O> = Arc<dyn Fn(I, Context) -> BoxFuture<'static, Result<O, TaskError>> + Send + Sync>;
type ThreadBody<I, O> = Arc<dyn Fn(I, Context) -> Result<O, TaskError> + Send + Sync>;

/// A body by its kind.
pub(in crate::hatchet) enum Body<I, O> {
    Async(AsyncBody<I, O>),
    Blocking(ThreadBody<I, O>),
    Cpu(ThreadBody<I, O>),
}

impl<I: Payload, O: Payload> Stub<I, O> {
    /// Creates a task with an async body. The body must not block its thread: use [`Stub::blocking_task`] or
    /// [`Stub::cpu_task`] for work that takes more than about 0.1 ms between two awaits.
    pub fn task<F, Fut>(&self, body: F) -> Task<I, O>
    where
        F: Fn(I, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, TaskError>> + Send + 'static,
    {
        Task::new(self.clone(), Body::Async(Arc::new(move |input, ctx| Box::pin(body(input, ctx)))))
    }

    /// Creates a task whose body may block its thread. Each running attempt has a separate thread.
    pub fn blocking_task<F>(&self, body: F) -> Task<I, O>
    where
        F: Fn(I, Context) -> Result<O, TaskError> + Send + Sync + 'static,
    {
        Task::new(self.clone(), Body::Blocking(Arc::new(body)))
    }

    /// Creates a task whose body computes. The body runs inside the worker's rayon pool, so that its `par_iter` uses
    /// the pool. The number of concurrent attempts is the number of threads in the pool (see
    /// [`Worker::cpu_threads`](crate::hatchet::worker::Worker::cpu_threads)).
    pub fn cpu_task<F>(&self, body: F) -> Task<I, O>
    where
        F: Fn(I, Context) -> Result<O, TaskError> + Send + Sync + 'static,
    {
        Task::new(self.clone(), Body::Cpu(Arc::new(body)))
    }
}

impl<I, O> Task<I, O> {
    fn new(stub: Stub<I, O>, body: Body<I, O>) -> Self {
        Self { stub, aliases: Vec::new(), description: String::new(), options: TaskOptions::default(), body }
    }

    /// Registers the task under an additional name. Each name is a separate workflow in the engine.
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    /// Sets a description of one sentence, for the dashboard and for `runner --list-tasks`. Default empty.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Retries a failed attempt up to this many times. Default 0, at most 2,147,483,647.
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = retries;
        self
    }

    /// Delays a retry by `factor` to the power of the retry's number, in seconds, and at most by `max`. By default a
    /// retry starts immediately.
    ///
    /// `factor` is 1 to 1,000; `max` is 1 s to 86,400 s (a day) in whole seconds.
    pub fn backoff(mut self, factor: f32, max: Duration) -> Self {
        self.options.backoff = Some(Backoff { factor, max });
        self
    }

    /// Limits the time of an attempt, from its assignment to a worker on. Default 60 s; 1 ms to 2,562,047 h.
    pub fn execution_timeout(mut self, timeout: Duration) -> Self {
        self.options.execution_timeout = timeout;
        self
    }

    /// Limits the time that an attempt waits for a worker. Afterwards the engine cancels the run. Default 5 minutes;
    /// 1 ms to 2,562,047 h.
    pub fn schedule_timeout(mut self, timeout: Duration) -> Self {
        self.options.schedule_timeout = timeout;
        self
    }

    /// Sets the priority of runs whose caller does not set one. Default [`Priority::Low`].
    pub fn default_priority(mut self, priority: Priority) -> Self {
        self.options.default_priority = priority;
        self
    }

    /// Refuses a second run with the same key, the result of a CEL expression over the run's input and metadata; see
    /// [`Idempotency`]. By default no run is refused.
    pub fn idempotency(mut self, expression: impl Into<String>, ttl: Duration, method: IdempotencyMethod) -> Self {
        self.options.idempotency = Some(Idempotency { expression: expression.into(), ttl, method });
        self
    }

    /// Returns the task's name and types, with which a caller runs it.
    pub fn stub(&self) -> &Stub<I, O> {
        &self.stub
    }

    /// Returns the task's name, without the client's namespace.
    pub fn name(&self) -> &str {
        self.stub.name()
    }

    /// Returns the task's options.
    pub fn options(&self) -> &TaskOptions {
        &self.options
    }

    /// Returns the kind of the body.
    pub fn kind(&self) -> Kind {
        match self.body {
            Body::Async(_) => Kind::Async,
            Body::Blocking(_) => Kind::Blocking,
            Body::Cpu(_) => Kind::Cpu,
        }
    }

    pub(in crate::hatchet) fn body(&self) -> &Body<I, O> {
        &self.body
    }
}

impl<I, O> Clone for Body<I, O> {
    fn clone(&self) -> Self {
        match self {
            Self::Async(body) => Self::Async(body.clone()),
            Self::Blocking(body) => Self::Blocking(body.clone()),
            Self::Cpu(body) => Self::Cpu(body.clone()),
        }
    }
}

impl<I, O> Clone for Task<I, O> {
    fn clone(&self) -> Self {
        Self {
            stub: self.stub.clone(),
            aliases: self.aliases.clone(),
            description: self.description.clone(),
            options: self.options.clone(),
            body: self.body.clone(),
        }
    }
}

impl<I, O> fmt::Debug for Task<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name())
            .field("aliases", &self.aliases)
            .field("kind", &self.kind())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
