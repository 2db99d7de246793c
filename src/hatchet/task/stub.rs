//! A task's or workflow's name with its input and output types.

use std::{borrow::Cow, fmt, marker::PhantomData};

/// The name of a task with its input type `I` and output type `O`. A caller needs only this to run the task, not its
/// body.
///
/// A stub is usually a constant that the worker and its callers share. The worker creates the [`Task`](super::Task)
/// from it, so that both sides agree on the name and the types:
///
/// ```
/// use hatchet_quickstart::prelude::*;
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct Order { pub items: Vec<String> }
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct Reserved { pub warehouse: String }
///
/// pub const RESERVE: Stub<Order, Reserved> = Stub::new("reserve");
///
/// pub fn reserve(warehouse: String) -> Task<Order, Reserved> {
///     RESERVE.task(move |_order: Order, _ctx: Context| {
///         let warehouse = warehouse.clone();
///         async move { Ok(Reserved { warehouse }) }
///     })
/// }
/// ```
///
/// A stub of a workflow works in the same way, see [`Workflow`](super::Workflow).
///
/// A body has one of three kinds, according to its use of its thread:
///
/// | method | body | runs on |
/// |---|---|---|
/// | [`Stub::task`] | awaits: network, timers, channels | the async runtime |
/// | [`Stub::blocking_task`] | blocks: files, `sleep`, synchronous clients | a separate thread (`spawn_blocking`) |
/// | [`Stub::cpu_task`] | computes | the worker's rayon pool |
pub struct Stub<I, O> {
    name: Cow<'static, str>,
    /// The task of a workflow whose output is the output of the run.
    output_task: Option<&'static str>,
    default_metadata: &'static [(&'static str, &'static str)],
    /// A stub contains no value of either type, so it is `Send` and `Sync` for all types.
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> Stub<I, O> {
    /// Creates a stub for the task of this name. Allowed characters are ASCII letters, digits, `.`, `-` and `_`;
    /// [`Worker::start`](crate::hatchet::worker::Worker::start) refuses other names.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), output_task: None, default_metadata: &[], types: PhantomData }
    }

    /// Sets the task of a workflow whose output is the output of the run. Needed for a workflow of several tasks,
    /// unless `O` has a field for each task.
    ///
    /// A task that was skipped has no output: then the result is `None` if `O` is an `Option`, else an error.
    pub const fn output_of(mut self, task: &'static str) -> Self {
        self.output_task = Some(task);
        self
    }

    /// Sets additional metadata for each run that is started with this stub. Metadata of the call takes precedence.
    /// Default empty.
    pub const fn default_metadata(mut self, pairs: &'static [(&'static str, &'static str)]) -> Self {
        self.default_metadata = pairs;
        self
    }

    /// Creates a stub from a name that is known at run time only.
    pub fn from_name(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), output_task: None, default_metadata: &[], types: PhantomData }
    }

    /// Returns the task's name, without the client's namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the task of [`Stub::output_of`].
    pub fn output_task(&self) -> Option<&'static str> {
        self.output_task
    }

    /// Returns the metadata of [`Stub::default_metadata`].
    pub fn metadata(&self) -> &'static [(&'static str, &'static str)] {
        self.default_metadata
    }
}

impl<I, O> Clone for Stub<I, O> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), ..*self }
    }
}

impl<I, O> fmt::Debug for Stub<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stub").field(&self.name).finish()
    }
}
