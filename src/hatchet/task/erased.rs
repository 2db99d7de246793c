//! A task without its types: JSON text in, an outcome out.
//!
//! Types are erased only in [`Task::erase`]. The erased body decodes the input and encodes the output, so that a value
//! of the wrong shape fails its own attempt only.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    AttemptInput, BadInput, Context, Kind, Payload, Retry, Task, TaskError, TaskOptions, WorkflowOptions,
    typed::Body as TypedBody,
};
use crate::hatchet::wire::{check_object, failure_text};

/// A task without its types, as a worker registers and runs it. Returned by [`Task::erase`].
#[derive(Clone)]
pub struct ErasedTask {
    name: String,
    aliases: Vec<String>,
    /// With the workflow of several tasks that contains the task.
    qualified_name: String,
    options: TaskOptions,
    workflow_options: WorkflowOptions,
    input_schema: Arc<Value>,
    output_schema: Arc<Value>,
    complete_input: CompleteFn,
    complete_output: CompleteFn,
    body: Body,
}

/// A function that reads JSON as the erased type and writes it back.
type CompleteFn = fn(&str) -> Result<String, BadInput>;

/// An async body: maps input JSON and context to an outcome.
pub(in crate::hatchet) type AsyncBody = Arc<dyn Fn(AttemptInput, Context) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// A body that runs on a thread: maps input JSON and context to an outcome.
pub(in crate::hatchet) type ThreadBody = Arc<dyn Fn(AttemptInput, Context) -> Outcome + Send + Sync>;

/// Decodes the arguments of a body. The error names the part that does not fit.
pub(super) type DecodeFn<T> = Arc<dyn Fn(&AttemptInput) -> Result<T, String> + Send + Sync>;

/// An erased body by its kind.
#[derive(Clone)]
pub(in crate::hatchet) enum Body {
    Async(AsyncBody),
    Blocking(ThreadBody),
    Cpu(ThreadBody),
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hatchet) enum Outcome {
    /// The body returned this output, a JSON object.
    Completed(String),
    /// The body failed with this error text, in the format of [`failure_text`].
    Failed {
        error: String,
        /// Whether the engine may retry.
        may_retry: bool,
        /// Delay before the retry, instead of the task's backoff.
        retry_after: Option<Duration>,
    },
    /// The body stopped because it was cancelled.
    Cancelled,
}

impl Outcome {
    /// Returns a failure that is not retried.
    pub(in crate::hatchet) fn fatal(type_name: &str, message: &str) -> Self {
        Self::Failed { error: failure_text(type_name, message), may_retry: false, retry_after: None }
    }

    /// Returns a failure that may be retried.
    pub(in crate::hatchet) fn retryable(type_name: &str, message: &str) -> Self {
        Self::Failed { error: failure_text(type_name, message), may_retry: true, retry_after: None }
    }

    /// Returns the failure of a body that panicked, which may be retried.
    pub(in crate::hatchet) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Self::retryable("Panic", message)
    }
}

impl<I: Payload, O: Payload> Task<I, O> {
    /// Returns the task without its types, for a list of tasks of different types.
    #[must_use]
    pub fn erase(self) -> ErasedTask {
        ErasedTask {
            name: self.stub.name().to_owned(),
            qualified_name: self.stub.name().to_owned(),
            aliases: self.aliases,
            options: self.options,
            workflow_options: self.workflow_options,
            input_schema: Arc::new(schemars::schema_for!(I).to_value()),
            output_schema: Arc::new(schemars::schema_for!(O).to_value()),
            complete_input: complete::<I>,
            complete_output: complete::<O>,
            body: erase(self.body, Arc::new(decode_input::<I>)),
        }
    }
}

impl ErasedTask {
    /// Creates a task of a workflow with default options.
    pub(super) fn of_workflow<I: Payload, O: Payload>(name: String, body: Body) -> Self {
        let (options, workflow_options) = Default::default();
        Self {
            qualified_name: name.clone(),
            name,
            aliases: Vec::new(),
            options,
            workflow_options,
            input_schema: Arc::new(schemars::schema_for!(I).to_value()),
            output_schema: Arc::new(schemars::schema_for!(O).to_value()),
            complete_input: complete::<I>,
            complete_output: complete::<O>,
            body,
        }
    }

    /// Returns the task's options, to change them.
    pub(super) fn options_mut(&mut self) -> &mut TaskOptions {
        &mut self.options
    }

    /// Returns the task's first name, without the client's namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the task part of a workflow of several tasks.
    pub(super) fn set_workflow(&mut self, name: &str) {
        self.qualified_name = format!("{name}:{}", self.name);
    }

    /// Returns the name for logs and metrics: the task's first name, or `workflow:task` for a task of a workflow.
    pub fn qualified_name(&self) -> &str {
        &self.qualified_name
    }

    /// Returns all names of the task: the first, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Returns the description of [`Task::description`].
    pub fn description(&self) -> &str {
        &self.workflow_options.description
    }

    /// Returns the options of the task's attempts.
    pub fn options(&self) -> &TaskOptions {
        &self.options
    }

    /// Returns the options of the task's runs. They have no effect in a task of a [`Workflow`](super::Workflow).
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

    /// Returns the pool whose slots the attempts use: `cpu` for CPU bodies, else `default`. Health and metrics count
    /// slots by these names.
    ///
    /// Pools exist only in this library. In the engine each attempt takes one slot of the type
    /// [`SLOT_TYPE`](crate::hatchet::wire::SLOT_TYPE), and each pool is a separate worker.
    pub fn slot_pool(&self) -> &'static str {
        match self.kind() {
            Kind::Cpu => "cpu",
            Kind::Async | Kind::Blocking => "default",
        }
    }

    /// Returns the JSON Schema of the input.
    pub fn input_schema(&self) -> &Value {
        &self.input_schema
    }

    /// Returns the JSON Schema of the output.
    pub fn output_schema(&self) -> &Value {
        &self.output_schema
    }

    /// Reads JSON as the task's input type and writes it back, with defaults filled in and unknown fields removed.
    ///
    /// # Errors
    ///
    /// [`BadInput`] with the field that does not fit the type.
    pub fn complete_input(&self, json: &str) -> Result<String, BadInput> {
        (self.complete_input)(json)
    }

    /// Reads JSON as the task's output type and writes it back, as [`ErasedTask::complete_input`] does with the input.
    ///
    /// # Errors
    ///
    /// [`BadInput`] with the field that does not fit the type.
    pub fn complete_output(&self, json: &str) -> Result<String, BadInput> {
        (self.complete_output)(json)
    }

    pub(in crate::hatchet) fn body(&self) -> &Body {
        &self.body
    }

    /// Renames the task and removes its aliases.
    #[must_use]
    pub(crate) fn renamed(mut self, name: String) -> Self {
        self.qualified_name.clone_from(&name);
        self.name = name;
        self.aliases.clear();
        self
    }

    /// Changes the task's options.
    #[must_use]
    pub(crate) fn with_options(mut self, change: impl FnOnce(&mut TaskOptions, &mut WorkflowOptions)) -> Self {
        change(&mut self.options, &mut self.workflow_options);
        self
    }

    /// Calls `hook` at the start of each attempt, on the thread of the body.
    #[must_use]
    pub(crate) fn before(mut self, hook: impl Fn(&Context) + Send + Sync + 'static) -> Self {
        self.body = with_hook(self.body, Arc::new(hook));
        self
    }
}

impl<I: Payload, O: Payload> From<Task<I, O>> for ErasedTask {
    fn from(task: Task<I, O>) -> Self {
        task.erase()
    }
}

impl fmt::Debug for ErasedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedTask")
            .field("name", &self.name)
            .field("aliases", &self.aliases)
            .field("kind", &self.kind())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Erases the types of a body. `decode` reads the body's arguments from the JSON of the attempt.
pub(super) fn erase<T: Send + 'static, O: Payload>(body: TypedBody<T, O>, decode: DecodeFn<T>) -> Body {
    let on_thread = |body: Arc<dyn Fn(T, Context) -> Result<O, TaskError> + Send + Sync>, decode: DecodeFn<T>| {
        let body: ThreadBody = Arc::new(move |input, ctx| match decode(&input) {
            Ok(arguments) => into_outcome(body(arguments, ctx)),
            Err(cause) => undecodable(&cause),
        });
        body
    };
    match body {
        TypedBody::Async(body) => Body::Async(Arc::new(move |input, ctx| match decode(&input) {
            Ok(arguments) => {
                let running = body(arguments, ctx);
                Box::pin(async move { into_outcome(running.await) })
            }
            Err(cause) => Box::pin(std::future::ready(undecodable(&cause))),
        })),
        TypedBody::Blocking(body) => Body::Blocking(on_thread(body, decode)),
        TypedBody::Cpu(body) => Body::Cpu(on_thread(body, decode)),
    }
}

fn with_hook(body: Body, hook: Arc<dyn Fn(&Context) + Send + Sync>) -> Body {
    let on_thread = |body: ThreadBody, hook: Arc<dyn Fn(&Context) + Send + Sync>| -> ThreadBody {
        Arc::new(move |input, ctx| {
            hook(&ctx);
            body(input, ctx)
        })
    };
    match body {
        Body::Async(body) => Body::Async(Arc::new(move |input, ctx| {
            hook(&ctx);
            body(input, ctx)
        })),
        Body::Blocking(body) => Body::Blocking(on_thread(body, hook)),
        Body::Cpu(body) => Body::Cpu(on_thread(body, hook)),
    }
}

/// Decodes the input of a run.
pub(super) fn decode_input<I: DeserializeOwned>(input: &AttemptInput) -> Result<I, String> {
    decode(&input.input).map_err(|bad| format!("input: {bad}"))
}

/// Decodes JSON. The error names the field that does not fit.
pub(super) fn decode<I: DeserializeOwned>(json: &str) -> Result<I, BadInput> {
    let mut reader = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut reader)
        .map_err(|e| BadInput::new(e.path().to_string(), e.into_inner().to_string()))
}

fn complete<T: Payload>(json: &str) -> Result<String, BadInput> {
    serde_json::to_string(&decode::<T>(json)?).map_err(|e| BadInput::new(".", e.to_string()))
}

/// Returns the failure for an invalid input. It is not retried, since the same input would fail every time.
fn undecodable(cause: &str) -> Outcome {
    Outcome::fatal("BadInput", cause)
}

fn into_outcome<O: Payload>(result: Result<O, TaskError>) -> Outcome {
    match result {
        Ok(output) => match serde_json::to_string(&output) {
            // The wire carries objects only, so a unit output becomes an empty one.
            Ok(json) if json == "null" => Outcome::Completed("{}".to_owned()),
            Ok(json) => match check_object(&json) {
                Ok(()) => Outcome::Completed(json),
                Err(bad) => Outcome::fatal("BadOutput", &format!("the task's output is {bad}")),
            },
            Err(e) => Outcome::fatal("BadOutput", &format!("the task's output cannot be written as JSON: {e}")),
        },
        Err(error) => match error.retry() {
            Retry::Allowed => Outcome::Failed { error: error.report(), may_retry: true, retry_after: None },
            Retry::After(delay) => Outcome::Failed { error: error.report(), may_retry: true, retry_after: Some(delay) },
            Retry::Never => Outcome::Failed { error: error.report(), may_retry: false, retry_after: None },
            Retry::Cancelled(_) => Outcome::Cancelled,
        },
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::hatchet::task::{RunInfo, Stub};

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Input {
        #[serde(default)]
        n: Nested,
    }

    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    struct Nested {
        count: u32,
    }

    fn run<O: Payload>(input: &str, body: fn(Input, Context) -> Result<O, TaskError>) -> Outcome {
        let task = Stub::new("t").blocking_task(body).erase();
        let Body::Blocking(body) = task.body() else { panic!("kind") };
        body(AttemptInput::new(input), Context::new(RunInfo::default()).0)
    }

    #[test]
    fn output_is_object_without_nul() {
        assert_eq!(run("{}", |_, _| Ok(())), Outcome::Completed("{}".into()));
        assert_eq!(run("{}", |_, _| Ok(Nested { count: 1 })), Outcome::Completed(r#"{"count":1}"#.into()));
        let array = run("{}", |_, _| Ok(vec![1]));
        assert!(
            matches!(&array, Outcome::Failed { error, may_retry: false, .. } if error.contains("array")),
            "{array:?}"
        );
        let nul = run("{}", |_, _| Ok(std::collections::BTreeMap::from([("k", "\0")]).len()));
        assert!(matches!(nul, Outcome::Failed { may_retry: false, .. }));
    }

    #[test]
    fn hook_runs_before_body() {
        use std::sync::Mutex;
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (in_hook, in_body) = (calls.clone(), calls.clone());
        let task = Stub::new("t")
            .cpu_task(move |_: Input, ctx: Context| {
                in_body.lock().unwrap().push(format!("body {}", ctx.retry_count()));
                Ok(())
            })
            .alias("u")
            .erase()
            .renamed("v".to_owned())
            .before(move |ctx| in_hook.lock().unwrap().push(format!("hook {}", ctx.retry_count())));
        assert_eq!(task.names().collect::<Vec<_>>(), ["v"]);
        let Body::Cpu(body) = task.body() else { panic!("kind") };
        body(AttemptInput::new("{}"), Context::new(RunInfo { retry_count: 3, ..RunInfo::default() }).0);
        assert_eq!(*calls.lock().unwrap(), ["hook 3", "body 3"]);
    }

    #[test]
    fn undecodable_field_is_named_and_fatal() {
        let outcome = run(r#"{"n":{"count":"x"}}"#, |_, _| Ok(()));
        let Outcome::Failed { error, may_retry: false, .. } = outcome else { panic!("{outcome:?}") };
        assert!(error.starts_with("BadInput: input: field `n.count`:"), "{error}");
        let outcome = run("1", |_, _| Ok(()));
        let Outcome::Failed { error, may_retry: false, .. } = outcome else { panic!("{outcome:?}") };
        assert!(error.starts_with("BadInput: input: invalid type: integer `1`"), "{error}");
    }

    #[test]
    fn completed_input_has_defaults_and_known_fields() {
        let task = Stub::new("t").blocking_task(|_: Input, _| Ok(())).erase();
        assert_eq!(task.complete_input(r#"{"other":1}"#).unwrap(), r#"{"n":{"count":0}}"#);
    }
}
