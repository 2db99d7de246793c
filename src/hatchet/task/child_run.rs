//! Typed calls that start child runs: runs that a body starts.
//!
//! A child is made once, however often its parent is retried: the engine identifies it by its parent and by its
//! [key](ChildRun::key), or by the position of the call in the body. A retried body that makes the same calls in the
//! same order therefore gets the runs of its earlier attempts.

use std::{fmt, future::IntoFuture, marker::PhantomData};

use futures_util::future::{BoxFuture, join_all};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};

use super::{ChildError, ChildOutcome, ChildRequest, Context, Priority, Stub, erased::decode};
use crate::hatchet::wire::RunId;

/// Maximum length of a child's key in bytes.
const MAX_KEY_LENGTH: usize = 255;

impl Context {
    /// Runs a task as a child of this attempt, and waits for its output.
    ///
    /// The child is made once, however often this task is retried; see [`ChildRun::key`]. It inherits the run's
    /// additional metadata. If this run is cancelled while an attempt runs, the worker cancels the children of this
    /// attempt and, by the engine's list of runs, those of earlier attempts. Between two attempts, nothing cancels them.
    /// From a blocking or CPU body, wait with [`Context::block_on`].
    ///
    /// ```
    /// use hatchet_quickstart::prelude::*;
    /// # #[derive(Serialize, Deserialize, JsonSchema)]
    /// # struct Input { name: String }
    /// # #[derive(Serialize, Deserialize, JsonSchema)]
    /// # struct Output { message: String }
    /// # const STUB: Stub<Input, Output> = Stub::new("greet");
    ///
    /// async fn parent(input: Input, ctx: Context) -> Result<Input, TaskError> {
    ///     let greeting = ctx.run(&STUB, &input).key("greeting").await?;
    ///     Ok(Input { name: greeting.message })
    /// }
    /// ```
    ///
    /// A parent keeps its slot while it waits. If parents and children share the slots of one worker, and parents take
    /// them all, the children wait until the parents' execution timeout.
    ///
    /// # Errors
    ///
    /// [`ChildError::Failed`], [`ChildError::Cancelled`] or [`ChildError::Output`] by the outcome of the child;
    /// [`ChildError::ParentCancelled`] if this attempt is cancelled; [`ChildError::Call`] otherwise.
    pub fn run<I: Serialize, O>(&self, task: &Stub<I, O>, input: &I) -> ChildRun<O> {
        ChildRun { start: self.run_no_wait(task, input) }
    }

    /// Starts a child of this attempt, and returns a reference to it when the engine has accepted it. Otherwise behaves
    /// like [`Context::run`].
    ///
    /// # Errors
    ///
    /// [`ChildError::Call`].
    pub fn run_no_wait<I: Serialize, O>(&self, task: &Stub<I, O>, input: &I) -> ChildRunNoWait<O> {
        let item = Item::new(input);
        ChildRunNoWait { start: Start::new(self, task, vec![item]), output: PhantomData }
    }

    /// Runs a task once for each input as children of this attempt, and waits for all outputs: in the order of the
    /// inputs, each with its own outcome.
    ///
    /// An input is an `I`, a `&I`, or a [`ChildItem`] with its own key and options. The children are started in calls
    /// of at most 1,000. Otherwise behaves like [`Context::run`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Context::run`], separately for each child.
    pub fn run_many<I, O, T>(&self, task: &Stub<I, O>, inputs: impl IntoIterator<Item = T>) -> ChildRunMany<O>
    where
        T: Into<ChildItem<I>>,
    {
        ChildRunMany { start: self.run_many_no_wait(task, inputs) }
    }

    /// Starts a child of this attempt for each input, and returns the references: in the order of the inputs, each with
    /// its own outcome. Otherwise behaves like [`Context::run_many`].
    ///
    /// # Errors
    ///
    /// [`ChildError::Call`], separately for each child.
    pub fn run_many_no_wait<I, O, T>(
        &self,
        task: &Stub<I, O>,
        inputs: impl IntoIterator<Item = T>,
    ) -> ChildRunManyNoWait<O>
    where
        T: Into<ChildItem<I>>,
    {
        let items = inputs.into_iter().map(|input| input.into().item).collect();
        ChildRunManyNoWait { start: Start::new(self, task, items), output: PhantomData }
    }

    /// Waits for a future from a blocking or CPU body, which has no `await`. Blocks the thread.
    ///
    /// ```
    /// use hatchet_quickstart::prelude::*;
    /// # #[derive(Serialize, Deserialize, JsonSchema)]
    /// # struct Input { name: String }
    /// # #[derive(Serialize, Deserialize, JsonSchema)]
    /// # struct Output { message: String }
    /// # const STUB: Stub<Input, Output> = Stub::new("greet");
    ///
    /// fn blocking_parent(input: Input, ctx: Context) -> Result<Input, TaskError> {
    ///     let greeting = ctx.block_on(ctx.run(&STUB, &input))?;
    ///     Ok(Input { name: greeting.message })
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if called in an async body, which must use `await`.
    pub fn block_on<F: IntoFuture>(&self, future: F) -> F::Output {
        self.children().runtime().block_on(future.into_future())
    }
}

/// A call that runs a child and waits for its output. Returned by [`Context::run`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct ChildRun<O> {
    start: ChildRunNoWait<O>,
}

/// A call that starts a child. Returned by [`Context::run_no_wait`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct ChildRunNoWait<O> {
    start: Start,
    output: PhantomData<fn() -> O>,
}

/// A call that runs many children and waits for their outputs. Returned by [`Context::run_many`], awaited directly.
///
/// The options of the call apply to each child that does not have the option.
#[must_use = "a call does nothing until it is awaited"]
pub struct ChildRunMany<O> {
    start: ChildRunManyNoWait<O>,
}

/// A call that starts many children. Returned by [`Context::run_many_no_wait`], awaited directly.
///
/// The options of the call apply to each child that does not have the option.
#[must_use = "a call does nothing until it is awaited"]
pub struct ChildRunManyNoWait<O> {
    start: Start,
    output: PhantomData<fn() -> O>,
}

/// An input with its own key and options, for [`Context::run_many`].
///
/// ```
/// # use hatchet_quickstart::{hatchet::task::ChildItem, prelude::*};
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Input { name: String }
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Output { message: String }
/// # const STUB: Stub<Input, Output> = Stub::new("greet");
/// # async fn example(ctx: Context, names: Vec<String>) {
/// let items = names.into_iter().map(|name| ChildItem::new(&Input { name: name.clone() }).key(name));
/// let outputs = ctx.run_many(&STUB, items).await;
/// # }
/// ```
#[must_use = "an item does nothing until it is passed to a call"]
pub struct ChildItem<I> {
    item: Item,
    input: PhantomData<fn(I)>,
}

/// A reference to a child with output type `O`. Returned by [`Context::run_no_wait`].
pub struct ChildRef<O> {
    ctx: Context,
    id: RunId,
    output_task: Option<&'static str>,
    output: PhantomData<fn() -> O>,
}

/// Options of a child run that the caller has set.
#[derive(Debug, Default)]
struct Options {
    key: Option<String>,
    priority: Option<Priority>,
    metadata: Map<String, Value>,
    sticky: bool,
}

struct Item {
    /// The input, or the error of its serialization.
    input: Result<Box<RawValue>, String>,
    options: Options,
}

/// A call that starts children of one task.
struct Start {
    ctx: Context,
    task: String,
    /// The task of a workflow whose output is the output of the run.
    output_task: Option<&'static str>,
    /// Each item with the number of its call.
    items: Vec<(i32, Item)>,
    /// For the items without the option.
    defaults: Options,
}

impl Item {
    fn new(input: &impl Serialize) -> Self {
        Self { input: serde_json::value::to_raw_value(input).map_err(|e| e.to_string()), options: Options::default() }
    }
}

impl Start {
    /// Numbers the items here and not when the call is awaited, so that concurrent waits do not change the numbers.
    fn new<I, O>(ctx: &Context, task: &Stub<I, O>, items: Vec<Item>) -> Self {
        let items = items.into_iter().map(|item| (ctx.children().next_index(), item)).collect();
        let metadata = task.metadata().iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        let defaults = Options { metadata, ..Options::default() };
        Self { ctx: ctx.clone(), task: task.name().to_owned(), output_task: task.output_task(), items, defaults }
    }

    /// Starts the valid items. Returns a result for each item, in their order.
    async fn send<O>(self) -> Vec<Result<ChildRef<O>, ChildError>> {
        let Self { ctx, task, output_task, items, defaults } = self;
        let mut results: Vec<Option<ChildError>> = Vec::with_capacity(items.len());
        let mut requests = Vec::with_capacity(items.len());
        for (index, item) in items {
            match request(&task, index, item, &defaults) {
                Ok(request) => {
                    results.push(None);
                    requests.push(request);
                }
                Err(error) => results.push(Some(error)),
            }
        }
        let children = ctx.children();
        let start = children.runner.start(ctx.info(), &task, requests);
        let mut started = ctx.span().parent_scope(start).await.into_iter();
        let runs: Vec<Result<RunId, ChildError>> = results
            .into_iter()
            .map(|invalid| match invalid {
                Some(error) => Err(error),
                None => started.next().unwrap_or_else(|| Err(too_few_runs(&task))),
            })
            .collect();
        children.add_started(runs.iter().filter_map(|run| run.as_ref().ok().copied()));
        runs.into_iter()
            .map(|run| run.map(|id| ChildRef { ctx: ctx.clone(), id, output_task, output: PhantomData }))
            .collect()
    }
}

fn request(task: &str, index: i32, item: Item, defaults: &Options) -> Result<ChildRequest, ChildError> {
    let input = item.input.map_err(|e| ChildError::invalid(format!("invalid input of {task}: {e}")))?;
    let Options { key, priority, mut metadata, sticky } = item.options;
    let key = key.or_else(|| defaults.key.clone());
    if let Some(key) = key.as_ref().filter(|key| key.is_empty() || key.len() > MAX_KEY_LENGTH || key.contains('\0')) {
        let rule = format!("use 1 to {MAX_KEY_LENGTH} bytes without NUL");
        return Err(ChildError::invalid(format!("invalid key {key:?} of a child run of {task}: {rule}")));
    }
    for (name, value) in &defaults.metadata {
        metadata.entry(name).or_insert_with(|| value.clone());
    }
    let (priority, sticky) = (priority.or(defaults.priority), sticky || defaults.sticky);
    Ok(ChildRequest { input, index, key, priority, metadata, sticky })
}

fn too_few_runs(task: &str) -> ChildError {
    ChildError::invalid(format!("starting children of {task} failed: the response has fewer runs than the request"))
}

macro_rules! impl_options {
    ($builder:ident<$type:ident>, $($field:ident).+) => {
        impl<$type> $builder<$type> {
            /// Sets the child's priority. Default: its task's priority.
            pub fn priority(mut self, priority: Priority) -> Self {
                self.$($field).+.priority = Some(priority);
                self
            }

            /// Adds a pair to the child's additional metadata. It takes precedence over a pair of the parent with the
            /// same key, which the child inherits otherwise.
            pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
                self.$($field).+.metadata.insert(key.to_owned(), value.into());
                self
            }

            /// Runs the child on the worker of this attempt, by the declared [`Sticky`](crate::hatchet::task::Sticky) of the
            /// child: [`Hard`](crate::hatchet::task::Sticky::Hard) waits for the worker,
            /// [`Soft`](crate::hatchet::task::Sticky::Soft) runs elsewhere while it has no free slot. Without effect on a
            /// child that is not declared sticky. Default: any worker.
            ///
            /// A hard sticky child ends with its schedule timeout if the worker has not registered it, or if its parent waits
            /// for it with the last slot of the worker. The CPU tasks of a process are a worker of their own.
            pub fn sticky(mut self) -> Self {
                self.$($field).+.sticky = true;
                self
            }
        }
    };
}

macro_rules! impl_key {
    ($builder:ident<$type:ident>, $($field:ident).+) => {
        impl<$type> $builder<$type> {
            /// Identifies the child among the children of its parent, in all attempts: 1 to 255 bytes. Default: the
            /// position of the call among the calls of the attempt, from 0.
            ///
            /// Set a key if the order or the number of the calls can differ between attempts. The key does not depend
            /// on the task: a second call with the same key gets the run of the first, even for another task.
            pub fn key(mut self, key: impl Into<String>) -> Self {
                self.$($field).+.key = Some(key.into());
                self
            }
        }
    };
}

impl_options!(ChildRun<O>, start.start.defaults);
impl_options!(ChildRunNoWait<O>, start.defaults);
impl_options!(ChildRunMany<O>, start.start.defaults);
impl_options!(ChildRunManyNoWait<O>, start.defaults);
impl_options!(ChildItem<I>, item.options);
impl_key!(ChildRun<O>, start.start.defaults);
impl_key!(ChildRunNoWait<O>, start.defaults);
impl_key!(ChildItem<I>, item.options);

impl<I: Serialize> ChildItem<I> {
    /// Creates an item with this input and no options.
    pub fn new(input: &I) -> Self {
        Self { item: Item::new(input), input: PhantomData }
    }
}

impl<I: Serialize> From<&I> for ChildItem<I> {
    fn from(input: &I) -> Self {
        Self::new(input)
    }
}

impl<I: Serialize> From<I> for ChildItem<I> {
    fn from(input: I) -> Self {
        Self::new(&input)
    }
}

impl<O> ChildRef<O> {
    /// The child's id. [`Client::run_ref`](crate::hatchet::client::Client::run_ref) accepts it.
    pub fn id(&self) -> RunId {
        self.id
    }
}

impl<O: DeserializeOwned> ChildRef<O> {
    /// Waits until the child has finished, and returns its output.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Context::run`].
    pub async fn result(&self) -> Result<O, ChildError> {
        let run = self.id;
        let outcome = tokio::select! {
            outcome = self.ctx.children().runner.outcome(run, self.output_task) => outcome?,
            reason = self.ctx.cancelled() => return Err(ChildError::ParentCancelled { run, reason }),
        };
        match outcome {
            ChildOutcome::Completed(json) => {
                decode(&json).map_err(|bad| ChildError::Output { run, reason: bad.to_string() })
            }
            ChildOutcome::Failed(error) => Err(ChildError::Failed { run, error }),
            ChildOutcome::Cancelled(reason) => Err(ChildError::Cancelled { run, reason }),
        }
    }
}

impl<O> Clone for ChildRef<O> {
    fn clone(&self) -> Self {
        Self { ctx: self.ctx.clone(), id: self.id, output_task: self.output_task, output: PhantomData }
    }
}

impl<O: DeserializeOwned + Send + 'static> IntoFuture for ChildRun<O> {
    type Output = Result<O, ChildError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.start.await?.result().await })
    }
}

impl<O: Send + 'static> IntoFuture for ChildRunNoWait<O> {
    type Output = Result<ChildRef<O>, ChildError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let task = self.start.task.clone();
            self.start.send().await.pop().unwrap_or_else(|| Err(too_few_runs(&task)))
        })
    }
}

impl<O: DeserializeOwned + Send + 'static> IntoFuture for ChildRunMany<O> {
    type Output = Vec<Result<O, ChildError>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let children = self.start.await.into_iter();
            join_all(children.map(|child| async move { child?.result().await })).await
        })
    }
}

impl<O: Send + 'static> IntoFuture for ChildRunManyNoWait<O> {
    type Output = Vec<Result<ChildRef<O>, ChildError>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start.send())
    }
}

macro_rules! impl_debug {
    ($($type:ident<$parameter:ident>: $($field:ident).+;)+) => {$(
        impl<$parameter> fmt::Debug for $type<$parameter> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type)).field("of", &self.$($field).+).finish_non_exhaustive()
            }
        }
    )+};
}

impl_debug! {
    ChildRun<O>: start.start.task;
    ChildRunNoWait<O>: start.task;
    ChildRunMany<O>: start.start.task;
    ChildRunManyNoWait<O>: start.task;
    ChildItem<I>: item.options;
}

impl<O> fmt::Debug for ChildRef<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildRef({})", self.id)
    }
}
