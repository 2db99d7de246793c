//! Typed calls that start runs.
//!
//! Each call returns a builder, which is awaited directly:
//!
//! ```no_run
//! use hatchet_quickstart::{prelude::*, tasks::externally_triggered::{Input, STUB}};
//!
//! # async fn example(client: Client) -> Result<(), RunError> {
//! let input = Input { name: "Ada".into() };
//! let output = client.run(&STUB, &input).priority(Priority::High).metadata("team", "a").await?;
//! println!("{}", output.message);
//! # Ok(())
//! # }
//! ```

use std::{future::IntoFuture, marker::PhantomData};

use futures_util::{StreamExt as _, future::BoxFuture};
use serde::{Serialize, Serializer, de::DeserializeOwned, ser::Error as _};
use serde_json::{Value, value::RawValue};

use super::{Client, ClientError, ErrorKind, RunError, RunEvents, RunRef, StreamSelector, TRIGGER_KEY, TriggerOptions};
use crate::hatchet::{
    task::{Priority, Stub},
    wire::TriggerId,
};

impl Client {
    /// Runs a task and waits for its output.
    ///
    /// Dropping the future stops the wait; the run goes on. For a limit, wrap it in `tokio::time::timeout`, or use
    /// [`Client::run_no_wait`] to keep a reference to the run.
    ///
    /// # Errors
    ///
    /// Those of [`Client::run_no_wait`], as [`RunError::Call`], and of [`RunRef::result`].
    pub fn run<I: Serialize, O>(&self, task: &Stub<I, O>, input: &I) -> Run<O> {
        Run { trigger: self.run_no_wait(task, input) }
    }

    /// Starts a run, and returns a reference to it when the engine has accepted it.
    ///
    /// If the response is lost after the request was sent, the client looks for the run in the engine's list, for 12 s, or
    /// up to 72 s while the engine is away.
    ///
    /// # Errors
    ///
    /// By [`ClientError::kind`]:
    /// [`Invalid`](super::ErrorKind::Invalid) if an engine would refuse the input or metadata (both must be JSON objects
    /// without NUL), [`TooLarge`](super::ErrorKind::TooLarge) over the message limit (4 MiB by default),
    /// [`NotFound`](super::ErrorKind::NotFound) if the engine knows no task of this name (a real engine accepts the
    /// trigger and creates no run; the wait for its result ends with `NotFound` then),
    /// [`Duplicate`](super::ErrorKind::Duplicate) if an earlier run holds the idempotency key,
    /// [`Unconfirmed`](super::ErrorKind::Unconfirmed) if the response was lost and the run was not found: triggering again
    /// may run the task twice.
    pub fn run_no_wait<I: Serialize, O>(&self, task: &Stub<I, O>, input: &I) -> RunNoWait<O> {
        RunNoWait { client: self.clone(), name: task.name().to_owned(), item: Item::new(input), output: PhantomData }
    }

    /// Runs a task by a name that is known at run time only, with JSON input and output. Otherwise like [`Client::run`].
    ///
    /// [`Stub::from_name`] makes such a task available to the other calls.
    pub fn run_by_name(&self, name: &str, input: &Value) -> Run<Value> {
        self.run(&Stub::from_name(name), input)
    }

    /// Runs a task once for each input, and waits for all outputs: in the order of the inputs, each with its own
    /// outcome.
    ///
    /// An input is an `I`, a `&I`, or a [`RunItem`] with options of its own. The triggers are sent in calls of at most
    /// 1,000 runs; the waits share one subscription. `examples/add_a_task.rs` runs several.
    ///
    /// # Errors
    ///
    /// Those of [`Client::run`], for each run by itself.
    pub fn run_many<I, O, T>(&self, task: &Stub<I, O>, inputs: impl IntoIterator<Item = T>) -> RunMany<O>
    where
        T: Into<RunItem<I>>,
    {
        RunMany { trigger: self.run_many_no_wait(task, inputs) }
    }

    /// Starts a run for each input, and returns the references when the engine has accepted them: in the order of the
    /// inputs, each with its own outcome. Otherwise like [`Client::run_many`].
    ///
    /// # Errors
    ///
    /// Those of [`Client::run_no_wait`], for each run by itself.
    pub fn run_many_no_wait<I, O, T>(&self, task: &Stub<I, O>, inputs: impl IntoIterator<Item = T>) -> RunManyNoWait<O>
    where
        T: Into<RunItem<I>>,
    {
        let items = inputs.into_iter().map(|input| input.into().item).collect();
        RunManyNoWait { client: self.clone(), name: task.name().to_owned(), items, keyed: false, output: PhantomData }
    }
}

/// A call that runs a task and waits for its output; made by [`Client::run`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct Run<O> {
    trigger: RunNoWait<O>,
}

/// A call that starts a run; made by [`Client::run_no_wait`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct RunNoWait<O> {
    client: Client,
    name: String,
    item: Item,
    output: PhantomData<fn() -> O>,
}

/// A call that runs a task many times and waits for the outputs; made by [`Client::run_many`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct RunMany<O> {
    trigger: RunManyNoWait<O>,
}

/// A call that starts many runs; made by [`Client::run_many_no_wait`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct RunManyNoWait<O> {
    client: Client,
    name: String,
    items: Vec<Item>,
    keyed: bool,
    output: PhantomData<fn() -> O>,
}

/// An input with options of its own, for [`Client::run_many`].
#[must_use = "an item does nothing until it is passed to a call"]
pub struct RunItem<I> {
    item: Item,
    input: PhantomData<fn(I)>,
}

/// An input as JSON, with the options of its run.
struct Item {
    input: Json,
    options: TriggerOptions,
}

/// JSON text, or the error that kept a value from being written as JSON. The error is reported when the request is built,
/// like those of other values that cannot be sent.
struct Json(Result<Box<RawValue>, String>);

impl Item {
    fn new(input: &impl Serialize) -> Self {
        let input = serde_json::value::to_raw_value(input).map_err(|e| e.to_string());
        Self { input: Json(input), options: TriggerOptions::default() }
    }

    fn metadata(&mut self, key: &str, value: Value) {
        self.options.additional_metadata.insert(key.to_owned(), value);
    }

    /// The id of the run's trigger, a random one unless it is set.
    fn trigger_id(&mut self) -> TriggerId {
        *self.options.trigger_id.get_or_insert_with(TriggerId::random)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<O> Run<O> {
    /// Sets the run's priority. Default: that of the task.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.trigger = self.trigger.priority(priority);
        self
    }

    /// Adds a pair to the run's additional metadata, by which runs are found and filtered.
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.trigger = self.trigger.metadata(key, value);
        self
    }
}

impl<O> RunNoWait<O> {
    /// Sets the run's priority. Default: that of the task.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.item.options.priority = Some(priority);
        self
    }

    /// Adds a pair to the run's additional metadata, by which runs are found and filtered.
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.item.metadata(key, value.into());
        self
    }

    /// Sets the run's value of [`TRIGGER_KEY`], for a caller that stores it before the run exists. Default random; an id
    /// must not be used twice.
    pub fn trigger_id(mut self, id: TriggerId) -> Self {
        self.item.options.trigger_id = Some(id);
        self
    }

    /// Replaces all options.
    pub(crate) fn options(mut self, options: TriggerOptions) -> Self {
        self.item.options = options;
        self
    }

    /// Subscribes to the run's events before it is started, so that no event is missed, and returns them beside the
    /// reference. `examples/stream.rs` shows it.
    ///
    /// # Errors
    ///
    /// Those of [`Client::run_no_wait`].
    pub async fn with_events(mut self) -> Result<(RunRef<O>, RunEvents), ClientError> {
        let id = self.item.trigger_id();
        let selector = StreamSelector::Metadata { key: TRIGGER_KEY.to_owned(), value: id.to_string() };
        let events = self.client.events(selector).await?;
        Ok((self.send().await?, events))
    }

    async fn send(mut self) -> Result<RunRef<O>, ClientError> {
        let id = self.item.trigger_id();
        let run = self.client.trigger(&self.name, &self.item.input, &self.item.options).await?;
        Ok(run.typed(id))
    }
}

impl<O> RunMany<O> {
    /// Sets the priority of every run that has none. Default: that of the task.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.trigger = self.trigger.priority(priority);
        self
    }

    /// Adds a pair to the additional metadata of every run that lacks the key.
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.trigger = self.trigger.metadata(key, value);
        self
    }
}

impl<O> RunManyNoWait<O> {
    /// Sets the priority of every run that has none. Default: that of the task.
    pub fn priority(mut self, priority: Priority) -> Self {
        for item in &mut self.items {
            item.options.priority.get_or_insert(priority);
        }
        self
    }

    /// Adds a pair to the additional metadata of every run that lacks the key.
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        for item in &mut self.items {
            item.options.additional_metadata.entry(key).or_insert_with(|| value.clone());
        }
        self
    }
}

impl<I: Serialize> RunItem<I> {
    /// An item with this input and no options.
    pub fn new(input: &I) -> Self {
        Self { item: Item::new(input), input: PhantomData }
    }

    /// Sets the run's priority. Default: that of the call, else that of the task.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.item.options.priority = Some(priority);
        self
    }

    /// Adds a pair to the run's additional metadata.
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.item.metadata(key, value.into());
        self
    }

    /// Sets the run's value of [`TRIGGER_KEY`], like [`RunNoWait::trigger_id`].
    pub fn trigger_id(mut self, id: TriggerId) -> Self {
        self.item.options.trigger_id = Some(id);
        self
    }
}

impl<I: Serialize> From<&I> for RunItem<I> {
    fn from(input: &I) -> Self {
        Self::new(input)
    }
}

impl<I: Serialize> From<I> for RunItem<I> {
    fn from(input: I) -> Self {
        Self::new(&input)
    }
}

impl<O: DeserializeOwned + Send + 'static> IntoFuture for Run<O> {
    type Output = Result<O, RunError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.trigger.send().await?.result().await })
    }
}

impl<O: 'static> IntoFuture for RunNoWait<O> {
    type Output = Result<RunRef<O>, ClientError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<O: DeserializeOwned + Send + 'static> IntoFuture for RunMany<O> {
    type Output = Vec<Result<O, RunError>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let client = self.trigger.client.clone();
            let runs = self.trigger.send().await;
            let mut results: Vec<Option<Result<O, RunError>>> = Vec::with_capacity(runs.len());
            let mut started = Vec::with_capacity(runs.len());
            for (index, run) in runs.into_iter().enumerate() {
                match run {
                    Ok(run) => {
                        results.push(None);
                        started.push((index, run));
                    }
                    Err(error) => results.push(Some(Err(error.into()))),
                }
            }
            let (indexes, started): (Vec<usize>, Vec<RunRef<O>>) = started.into_iter().unzip();
            let mut outcomes = client.outcomes(started);
            while let Some((at, outcome)) = outcomes.next().await {
                results[indexes[at]] = Some(outcome.map_err(RunError::from).and_then(|outcome| outcome.output()));
            }
            let missing = || ClientError::new(ErrorKind::Engine, "wait for many runs: one has no outcome").into();
            results.into_iter().map(|result| result.unwrap_or_else(|| Err(missing()))).collect()
        })
    }
}

impl<O> RunManyNoWait<O> {
    /// Whether the task has idempotency keys. Its triggers may simply be sent again, so a lost response is reported as
    /// the call's error, instead of looking for the runs.
    pub(crate) fn keyed(mut self, keyed: bool) -> Self {
        self.keyed = keyed;
        self
    }

    async fn send(mut self) -> Vec<Result<RunRef<O>, ClientError>> {
        let ids: Vec<TriggerId> = self.items.iter_mut().map(Item::trigger_id).collect();
        let items = self.items.into_iter().map(|item| (item.input, item.options));
        let runs = if self.keyed {
            self.client.trigger_many_keyed(&self.name, items).await
        } else {
            self.client.trigger_many(&self.name, items).await
        };
        runs.into_iter().zip(ids).map(|(run, id)| run.map(|run| run.typed(id))).collect()
    }
}

impl<O: 'static> IntoFuture for RunManyNoWait<O> {
    type Output = Vec<Result<RunRef<O>, ClientError>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
