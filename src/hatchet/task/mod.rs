//! What a task is: a name, a body, and how it wants to be run. It knows no transport.
//!
//! A task is a plain function over a typed input and a [`Context`]. There are three kinds, by what the body does
//! to the thread it runs on:
//!
//! | kind | body | runs on |
//! |---|---|---|
//! | [`Task::new_async`] | awaits: network, timers, channels | the async runtime |
//! | [`Task::new_blocking`] | blocks: files, `sleep`, synchronous clients | a thread of its own (`spawn_blocking`) |
//! | [`Task::new_cpu`] | computes | the process' rayon pool |
//!
//! ```
//! use hatchet_quickstart::hatchet::task::{Context, Task, TaskError};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Input { text: String }
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Output { number: i64 }
//!
//! async fn parse(input: Input, _ctx: Context) -> Result<Output, TaskError> {
//!     Ok(Output { number: input.text.trim().parse()? }) // `?`: fails this attempt, and may be retried
//! }
//!
//! let task = Task::new_async("parse", parse).retries(2);
//! assert_eq!(task.name(), "parse");
//! ```

mod body;
mod context;
mod error;
mod options;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use body::{AsyncBody, Body, Outcome, ThreadBody, panic_message};
pub use context::{CancelReason, Canceller, Context, Emission, LogLevel, RunInfo};
pub use error::{BadInput, Retry, TaskError};
pub use options::{Backoff, Idempotency, IdempotencyMethod, TaskOptions};

/// A task: what a worker registers and runs. Cheap to clone.
#[derive(Clone)]
pub struct Task {
    name: String,
    aliases: Vec<String>,
    description: String,
    options: TaskOptions,
    input_schema: Value,
    output_schema: Value,
    /// Reads an input and writes it back in full, defaults filled in.
    complete_input: Complete,
    /// Reads an output and writes it back as the task's type has it.
    complete_output: Complete,
    body: Body,
}

/// Reads JSON as a type that is not named here, and writes it back.
type Complete = Arc<dyn Fn(&str) -> Result<String, BadInput> + Send + Sync>;

/// What a body does to the thread it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Awaits.
    Async,
    /// Blocks its thread.
    Blocking,
    /// Keeps a core busy.
    Cpu,
}

impl Kind {
    /// The kind in one word, lower-case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Blocking => "blocking",
            Self::Cpu => "cpu",
        }
    }
}

/// A type that a task can take or give: serde in both directions and a JSON Schema. It must be a JSON object.
pub trait Payload: Serialize + DeserializeOwned + JsonSchema + Send + 'static {}

impl<T: Serialize + DeserializeOwned + JsonSchema + Send + 'static> Payload for T {}

impl Task {
    /// A task whose body awaits. It must not block: use [`Task::new_blocking`] or [`Task::new_cpu`] for that.
    pub fn new_async<I, O, F, Fut>(name: &str, body: F) -> Self
    where
        I: Payload,
        O: Payload,
        F: Fn(I, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, TaskError>> + Send + 'static,
    {
        Self::with_body::<I, O>(name, Body::Async(body::erase_async(body)))
    }

    /// A task whose body may block its thread. It gets a thread for as long as it runs.
    pub fn new_blocking<I, O, F>(name: &str, body: F) -> Self
    where
        I: Payload,
        O: Payload,
        F: Fn(I, Context) -> Result<O, TaskError> + Send + Sync + 'static,
    {
        Self::with_body::<I, O>(name, Body::Blocking(body::erase_thread(body)))
    }

    /// A task whose body computes. It runs inside the process' rayon pool, so that `par_iter` uses that pool. As many
    /// attempts run at once as the pool has threads.
    pub fn new_cpu<I, O, F>(name: &str, body: F) -> Self
    where
        I: Payload,
        O: Payload,
        F: Fn(I, Context) -> Result<O, TaskError> + Send + Sync + 'static,
    {
        Self::with_body::<I, O>(name, Body::Cpu(body::erase_thread(body)))
    }

    fn with_body<I: Payload, O: Payload>(name: &str, body: Body) -> Self {
        Self {
            name: name.to_owned(),
            aliases: Vec::new(),
            description: String::new(),
            options: TaskOptions::default(),
            input_schema: schemars::schema_for!(I).to_value(),
            output_schema: schemars::schema_for!(O).to_value(),
            complete_input: Arc::new(body::complete::<I>),
            complete_output: Arc::new(body::complete::<O>),
            body,
        }
    }

    /// Registers the same body under a second name as well.
    #[must_use]
    pub fn alias(mut self, name: &str) -> Self {
        self.aliases.push(name.to_owned());
        self
    }

    /// A sentence for the dashboard and for `--list-tasks`.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    /// How often a failed attempt is tried again. Default 0.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = retries;
        self
    }

    /// Waits `factor` to the power of the retry's number, in seconds, before a retry, and at most `max_seconds`.
    /// Without it a retry comes at once.
    #[must_use]
    pub fn backoff(mut self, factor: f32, max_seconds: u32) -> Self {
        self.options.backoff = Some(Backoff { factor, max_seconds });
        self
    }

    /// How long an attempt may run, from its assignment on. Default 60 s.
    #[must_use]
    pub fn execution_timeout(mut self, timeout: std::time::Duration) -> Self {
        self.options.execution_timeout = timeout;
        self
    }

    /// How long an attempt may wait for a worker. Default 5 minutes.
    #[must_use]
    pub fn schedule_timeout(mut self, timeout: std::time::Duration) -> Self {
        self.options.schedule_timeout = timeout;
        self
    }

    /// Priority of runs that do not name one, 1 (low, the default) to 3.
    #[must_use]
    pub fn default_priority(mut self, priority: u8) -> Self {
        self.options.default_priority = priority;
        self
    }

    /// Refuses a second run with the same key, an expression's result; see [`Idempotency`]. Without it, none.
    #[must_use]
    pub fn idempotency(mut self, expression: &str, ttl: std::time::Duration, method: IdempotencyMethod) -> Self {
        self.options.idempotency = Some(Idempotency { expression: expression.to_owned(), ttl, method });
        self
    }

    /// The same body and options under another name, and no alias.
    #[must_use]
    pub fn renamed(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self.aliases.clear();
        self
    }

    /// Calls `hook` at the start of each attempt, on the thread that the body runs on.
    #[must_use]
    pub fn before(mut self, hook: impl Fn(&Context) + Send + Sync + 'static) -> Self {
        self.body = body::before(self.body, Arc::new(hook));
        self
    }

    /// The name on the wire.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All names on the wire: the first, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// What [`Task::description`] set.
    pub fn describe(&self) -> &str {
        &self.description
    }

    /// How the task wants to be run.
    pub fn options(&self) -> &TaskOptions {
        &self.options
    }

    /// What the body does to its thread.
    pub fn kind(&self) -> Kind {
        match self.body {
            Body::Async(_) => Kind::Async,
            Body::Blocking(_) => Kind::Blocking,
            Body::Cpu(_) => Kind::Cpu,
        }
    }

    /// The pool of the worker process whose slots an attempt takes: `cpu` for computing bodies, else `default`. Health
    /// and metrics count slots by these names.
    ///
    /// An engine knows nothing of pools: to it every attempt takes one slot of the type
    /// [`SLOT_TYPE`](crate::hatchet::wire::SLOT_TYPE), and each pool is a worker of its own.
    pub fn slot_pool(&self) -> &'static str {
        match self.kind() {
            Kind::Cpu => "cpu",
            Kind::Async | Kind::Blocking => "default",
        }
    }

    /// JSON Schema of the input.
    pub fn input_schema(&self) -> &Value {
        &self.input_schema
    }

    /// JSON Schema of the output.
    pub fn output_schema(&self) -> &Value {
        &self.output_schema
    }

    /// Checks an input against the task's type and gives it back in full, with defaults filled in.
    pub fn complete_input(&self, json: &str) -> Result<String, BadInput> {
        (self.complete_input)(json)
    }

    /// Checks an output against the task's type and gives it back as that type writes it.
    pub fn complete_output(&self, json: &str) -> Result<String, BadInput> {
        (self.complete_output)(json)
    }

    /// The body, for whoever runs it.
    pub fn body(&self) -> &Body {
        &self.body
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name)
            .field("aliases", &self.aliases)
            .field("kind", &self.kind())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
