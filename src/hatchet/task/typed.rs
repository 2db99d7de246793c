//! A task with its types, and the options of its runs.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use super::{
    Context, Kind, Payload, Stub, TaskError, TaskOptions, WorkflowOptions,
    options::{impl_task_options, impl_workflow_options},
};

/// A task: a [`Stub`], a body, and the options that its runs have by default.
///
/// A [`Worker`](crate::hatchet::worker::Worker) registers the task, and a caller runs it by its [stub](Task::stub).
/// Options are checked when the worker starts: a value that an engine would refuse is an error with the name of the
/// field.
#[must_use = "a task runs only after a worker has registered it"]
pub struct Task<I, O> {
    pub(super) stub: Stub<I, O>,
    pub(super) aliases: Vec<String>,
    pub(super) options: TaskOptions,
    pub(super) workflow_options: WorkflowOptions,
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
        let (options, workflow_options) = Default::default();
        Self { stub, aliases: Vec::new(), options, workflow_options, body }
    }

    fn with_task_options(mut self, change: impl FnOnce(&mut TaskOptions)) -> Self {
        change(&mut self.options);
        self
    }

    fn with_workflow_options(mut self, change: impl FnOnce(&mut WorkflowOptions)) -> Self {
        change(&mut self.workflow_options);
        self
    }

    /// Registers the task under an additional name. Each name is a separate workflow in the engine.
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    impl_task_options!();

    /// Returns the task's name and types, with which a caller runs it.
    pub fn stub(&self) -> &Stub<I, O> {
        &self.stub
    }

    /// Returns the task's name, without the client's namespace.
    pub fn name(&self) -> &str {
        self.stub.name()
    }

    /// Returns the options of the task's attempts.
    pub fn options(&self) -> &TaskOptions {
        &self.options
    }

    /// Returns the options of the task's runs.
    pub fn workflow_options(&self) -> &WorkflowOptions {
        &self.workflow_options
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

impl<I: Payload, O> Task<I, O> {
    impl_workflow_options!(I);
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
            options: self.options.clone(),
            workflow_options: self.workflow_options.clone(),
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
            .field("workflow_options", &self.workflow_options)
            .finish_non_exhaustive()
    }
}
