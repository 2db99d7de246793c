//! Typed calls that start runs.
//!
//! Each call returns a builder, which is awaited directly:
//!
//! ```no_run
//! use hatchet_quickstart::prelude::*;
//! # #[derive(Serialize, Deserialize, JsonSchema)]
//! # struct Input { name: String }
//! # #[derive(Serialize, Deserialize, JsonSchema)]
//! # struct Output { message: String }
//! # const STUB: Stub<Input, Output> = Stub::new("externally-triggered-task");
//!
//! # async fn example(client: Client) -> Result<(), RunError> {
//! let input = Input { name: "Ada".into() };
//! let output = client.run(&STUB, &input).priority(Priority::High).metadata("team", "a").await?;
//! println!("{}", output.message);
//!
//! let inputs = ["Ada", "Bob"].map(|name| Input { name: name.into() });
//! for output in client.run_many(&STUB, &inputs).metadata("team", "a").await {
//!     println!("{}", output?.message);
//! }
//! # Ok(())
//! # }
//! ```

use std::{fmt, future::IntoFuture, marker::PhantomData};

use futures_util::future::{BoxFuture, join_all};
use serde::{Serialize, Serializer, de::DeserializeOwned, ser::Error as _};
use serde_json::{Map, Value, value::RawValue};
use tokio::time::Instant;

use super::{Client, ClientError, ErrorKind, RunError, RunEvents, RunRef, StreamSelector, TriggerOptions};
use crate::hatchet::{
    task::{DesiredLabel, Priority, Stub},
    wire::TriggerId,
};

impl Client {
    /// Runs a task and waits for its output.
    ///
    /// Dropping the future stops the wait; the run continues. To limit the wait, wrap the call in
    /// `tokio::time::timeout`, or use [`Client::run_no_wait`] to keep a reference to the run.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::run_no_wait`], as [`RunError::Call`], and the errors of [`RunRef::result`].
    pub fn run<I: Serialize, O>(&self, task: &Stub<I, O>, input: &I) -> Run<O> {
        Run { trigger: self.run_no_wait(task, input) }
    }

    /// Starts a run, and returns a reference to it when the engine has accepted it.
    ///
    /// If the response is lost after the request was sent, the client searches the engine's list for the run, for 12 s,
    /// or up to 72 s while the engine does not respond.
    ///
    /// # Errors
    ///
    /// By [`ClientError::kind`]:
    ///
    /// - [`Invalid`](super::ErrorKind::Invalid) if an engine would refuse the input or metadata. Both must be JSON
    ///   objects without NUL.
    /// - [`TooLarge`](super::ErrorKind::TooLarge) over the message limit, 4 MiB by default.
    /// - [`NotFound`](super::ErrorKind::NotFound) if no task of this name is registered. A real engine may accept the
    ///   trigger and create no run; then the wait for the result fails with this error.
    /// - [`Duplicate`](super::ErrorKind::Duplicate) if an earlier run holds the idempotency key.
    /// - [`Unconfirmed`](super::ErrorKind::Unconfirmed) if the response was lost and the run was not found. Another
    ///   trigger may run the task twice.
    pub fn run_no_wait<I: Serialize, O>(&self, task: &Stub<I, O>, input: &I) -> RunNoWait<O> {
        let mut item = Item::new(input);
        item.options.additional_metadata = default_metadata(task);
        let (name, output_task) = (task.name().to_owned(), task.output_task());
        RunNoWait { client: self.clone(), name, output_task, item, attaches: false, output: PhantomData }
    }

    /// Starts a run, or returns a reference to the earlier run that holds its idempotency key. The input, metadata and
    /// options have no effect on an earlier run. Otherwise behaves like [`Client::run_no_wait`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::run_no_wait`] except [`Duplicate`](super::ErrorKind::Duplicate) with a run.
    pub fn run_or_attach<I: Serialize, O>(&self, task: &Stub<I, O>, input: &I) -> RunNoWait<O> {
        RunNoWait { attaches: true, ..self.run_no_wait(task, input) }
    }

    /// Runs a task by a name that is known at run time only, with JSON input and output. Otherwise behaves like
    /// [`Client::run`].
    ///
    /// [`Stub::from_name`] does the same for the other calls.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::run`].
    pub fn run_by_name(&self, name: &str, input: &Value) -> Run<Value> {
        self.run(&Stub::from_name(name), input)
    }

    /// Runs a task once for each input, and waits for all outputs: in the order of the inputs, each with its own
    /// outcome.
    ///
    /// An input is an `I`, a `&I`, or a [`RunItem`] with its own options. The triggers are sent in calls of at most
    /// 1,000 runs; the waits share one subscription. `examples/add_a_task.rs` runs several.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::run`], separately for each run.
    pub fn run_many<I, O, T>(&self, task: &Stub<I, O>, inputs: impl IntoIterator<Item = T>) -> RunMany<O>
    where
        T: Into<RunItem<I>>,
    {
        RunMany { trigger: self.run_many_no_wait(task, inputs) }
    }

    /// Starts a run for each input, and returns the references when the engine has accepted them: in the order of the
    /// inputs, each with its own outcome. Otherwise behaves like [`Client::run_many`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::run_no_wait`], separately for each run.
    pub fn run_many_no_wait<I, O, T>(&self, task: &Stub<I, O>, inputs: impl IntoIterator<Item = T>) -> RunManyNoWait<O>
    where
        T: Into<RunItem<I>>,
    {
        RunManyNoWait {
            client: self.clone(),
            name: task.name().to_owned(),
            output_task: task.output_task(),
            items: inputs.into_iter().map(|input| input.into().item).collect(),
            defaults: TriggerOptions { additional_metadata: default_metadata(task), ..TriggerOptions::default() },
            is_keyed: false,
            output: PhantomData,
        }
    }
}

/// The metadata that each run of a stub has by default.
fn default_metadata<I, O>(stub: &Stub<I, O>) -> Map<String, Value> {
    stub.metadata().iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

/// A call that runs a task and waits for its output. Returned by [`Client::run`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct Run<O> {
    trigger: RunNoWait<O>,
}

/// A call that starts a run. Returned by [`Client::run_no_wait`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct RunNoWait<O> {
    client: Client,
    name: String,
    output_task: Option<&'static str>,
    item: Item,
    /// Whether a run that holds the idempotency key is returned instead of an error.
    attaches: bool,
    output: PhantomData<fn() -> O>,
}

/// A call that runs a task many times and waits for the outputs. Returned by [`Client::run_many`], awaited directly.
///
/// The options of the call apply to each run that does not have the option.
#[must_use = "a call does nothing until it is awaited"]
pub struct RunMany<O> {
    trigger: RunManyNoWait<O>,
}

/// A call that starts many runs. Returned by [`Client::run_many_no_wait`], awaited directly.
///
/// The options of the call apply to each run that does not have the option.
#[must_use = "a call does nothing until it is awaited"]
pub struct RunManyNoWait<O> {
    client: Client,
    name: String,
    output_task: Option<&'static str>,
    items: Vec<Item>,
    defaults: TriggerOptions,
    is_keyed: bool,
    output: PhantomData<fn() -> O>,
}

/// An input with its own options, for [`Client::run_many`].
///
/// ```no_run
/// # use hatchet_quickstart::prelude::*;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Input { name: String }
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Output { message: String }
/// # const STUB: Stub<Input, Output> = Stub::new("externally-triggered-task");
/// # async fn example(client: Client, names: Vec<String>) {
/// let items = names.into_iter().map(|name| RunItem::new(&Input { name: name.clone() }).metadata("name", name));
/// let outputs = client.run_many(&STUB, items).await;
/// # }
/// ```
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

/// JSON text, or the error of the serialization, which is reported when the request is built.
struct Json(Result<Box<RawValue>, String>);

impl Item {
    fn new(input: &impl Serialize) -> Self {
        let input = serde_json::value::to_raw_value(input).map_err(|e| e.to_string());
        Self { input: Json(input), options: TriggerOptions::default() }
    }

    /// Returns the id of the run's trigger. Sets a random id unless an id is set.
    fn trigger_id(&mut self) -> TriggerId {
        *self.options.trigger_id.get_or_insert_with(TriggerId::random)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// Implements `Debug` and the setters of common options for a builder with [`TriggerOptions`] in a field.
macro_rules! impl_options {
    ($builder:ident<$type:ident>, $($field:ident).+) => {
        impl<$type> $builder<$type> {
            /// Sets the run's priority. Default: the task's priority.
            pub fn priority(mut self, priority: Priority) -> Self {
                self.$($field).+.priority = Some(priority);
                self
            }

            /// Adds a pair to the run's additional metadata, by which runs are found and filtered. Replaces an earlier
            /// value for the key.
            pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
                self.$($field).+.additional_metadata.insert(key.to_owned(), value.into());
                self
            }

            /// Adds a worker label that the run requires or prefers. The labels of a run replace the labels of its
            /// task.
            pub fn desired_label(mut self, label: DesiredLabel) -> Self {
                self.$($field).+.desired_labels.push(label);
                self
            }
        }

        impl<$type> fmt::Debug for $builder<$type> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder)).field("options", &self.$($field).+).finish_non_exhaustive()
            }
        }
    };
}

impl_options!(Run<O>, trigger.item.options);
impl_options!(RunNoWait<O>, item.options);
impl_options!(RunMany<O>, trigger.defaults);
impl_options!(RunManyNoWait<O>, defaults);
impl_options!(RunItem<I>, item.options);

impl<O> RunNoWait<O> {
    /// Sets the run's value of [`TRIGGER_KEY`](super::TRIGGER_KEY), for a caller that stores it before the run exists.
    /// Default: a random one. An id must not be used twice.
    pub fn trigger_id(mut self, id: TriggerId) -> Self {
        self.item.options.trigger_id = Some(id);
        self
    }

    /// Replaces all options.
    pub(crate) fn options(mut self, options: TriggerOptions) -> Self {
        self.item.options = options;
        self
    }

    /// Subscribes to the run's events before it is started, so that no event is missed. Returns the run and its events.
    /// `examples/stream.rs` shows the use.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::run_no_wait`].
    pub async fn with_events(mut self) -> Result<(RunRef<O>, RunEvents), ClientError> {
        let id = self.item.trigger_id();
        let events = self.client.events(StreamSelector::trigger(id)).await;
        Ok((self.send().await?, events))
    }

    async fn send(mut self) -> Result<RunRef<O>, ClientError> {
        let id = self.item.trigger_id();
        match self.client.trigger(&self.name, &self.item.input, &self.item.options).await {
            Ok(run) => Ok(run.typed(id, self.output_task)),
            Err(error) => match error.kind() {
                ErrorKind::Duplicate(Some(run)) if self.attaches => {
                    Ok(self.client.run_ref(run).with_output_task(self.output_task))
                }
                _ => Err(error),
            },
        }
    }
}

impl<O> RunManyNoWait<O> {
    /// Sets whether the task has idempotency keys. With keys, a lost response is reported as the call's error without a
    /// search for the runs, because the triggers can be sent again. Default: `false`.
    pub(crate) fn keyed(mut self, is_keyed: bool) -> Self {
        self.is_keyed = is_keyed;
        self
    }

    /// Sets the time after which a call that the engine refuses temporarily is not repeated. Default: none.
    pub(crate) fn deadline(mut self, deadline: Option<Instant>) -> Self {
        self.defaults.deadline = deadline;
        self
    }

    async fn send(mut self) -> Vec<Result<RunRef<O>, ClientError>> {
        self.items.iter_mut().for_each(|item| item.options.add_defaults(&self.defaults));
        let ids: Vec<TriggerId> = self.items.iter_mut().map(Item::trigger_id).collect();
        let items = self.items.into_iter().map(|item| (item.input, item.options));
        let runs = self.client.trigger_many(&self.name, items, self.is_keyed, self.defaults.deadline).await;
        runs.into_iter().zip(ids).map(|(run, id)| run.map(|run| run.typed(id, self.output_task))).collect()
    }
}

impl<I: Serialize> RunItem<I> {
    /// Creates an item with this input and no options. By default the item has the priority of the call.
    pub fn new(input: &I) -> Self {
        Self { item: Item::new(input), input: PhantomData }
    }

    /// Sets the run's value of [`TRIGGER_KEY`](super::TRIGGER_KEY), like [`RunNoWait::trigger_id`].
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
            let runs = self.trigger.send().await.into_iter();
            join_all(runs.map(|run| async move { run?.result().await })).await
        })
    }
}

impl<O: 'static> IntoFuture for RunManyNoWait<O> {
    type Output = Vec<Result<RunRef<O>, ClientError>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::hatchet::client::{ClientConfig, Sources};

    /// A client of an address at which no server listens.
    fn client() -> Client {
        let claims = r#"{"sub":"707d0855-80ab-4e1f-a156-f1c4546cbf52","grpc_broadcast_address":"127.0.0.1:9"}"#;
        let token = format!("eyJhbGciOiJFUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", "none")];
        let sources = Sources::from_pairs(settings);
        Client::new(ClientConfig::from_sources(&sources).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn empty_task_name_is_refused_before_a_connection() {
        let error = client().run_no_wait(&Stub::<Value, Value>::from_name(""), &Value::Null).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with("invalid task name \"\""), "{error}");
    }

    #[tokio::test]
    async fn bulk_trigger_is_not_retried_past_its_deadline() {
        let client = client();
        let started = Instant::now();
        let call = client.run_many_no_wait(&Stub::<Value, Value>::from_name("t"), [Value::Object(Default::default())]);
        let results = call.deadline(Some(started + Duration::from_millis(300))).await;
        assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Unreachable);
        // Five attempts take at least 1.5 s.
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}
