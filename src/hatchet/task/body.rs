//! Bodies with their types erased: JSON text in, an outcome out. Decoding happens inside, so that what can fail for
//! one task fails that task alone.

use std::{any::Any, pin::Pin, sync::Arc};

use serde::de::DeserializeOwned;

use super::{BadInput, Context, Payload, Retry, TaskError};
use crate::hatchet::wire::check_object;

/// An async body: input JSON, context, outcome.
pub type AsyncBody = Arc<dyn Fn(String, Context) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// A body that runs on a thread.
pub type ThreadBody = Arc<dyn Fn(String, Context) -> Outcome + Send + Sync>;

/// A body by what it does to its thread.
#[derive(Clone)]
pub enum Body {
    /// Awaits.
    Async(AsyncBody),
    /// Blocks.
    Blocking(ThreadBody),
    /// Computes.
    Cpu(ThreadBody),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With this output, a JSON object.
    Completed(String),
    /// With this error text, in the SDKs' format.
    Failed {
        /// `Type: message`, then details.
        error: String,
        /// Whether the engine may try again.
        may_retry: bool,
    },
    /// The body stopped because it was asked to.
    Cancelled,
}

impl Outcome {
    /// A failure that is not worth another try.
    pub fn fatal(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), may_retry: false }
    }
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    format!("Panic: {}", said.replace('\n', "\\\n"))
}

pub(super) fn erase_async<I, O, F, Fut>(body: F) -> AsyncBody
where
    I: Payload,
    O: Payload,
    F: Fn(I, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, TaskError>> + Send + 'static,
{
    Arc::new(move |json, ctx| match decode::<I>(&json) {
        Ok(input) => {
            let running = body(input, ctx);
            Box::pin(async move { conclude(running.await) })
        }
        Err(bad) => Box::pin(std::future::ready(undecodable(&bad))),
    })
}

pub(super) fn erase_thread<I, O, F>(body: F) -> ThreadBody
where
    I: Payload,
    O: Payload,
    F: Fn(I, Context) -> Result<O, TaskError> + Send + Sync + 'static,
{
    Arc::new(move |json, ctx| match decode::<I>(&json) {
        Ok(input) => conclude(body(input, ctx)),
        Err(bad) => undecodable(&bad),
    })
}

/// Something to do at the start of each attempt.
pub(super) type Hook = Arc<dyn Fn(&Context) + Send + Sync>;

/// The body with a hook in front.
pub(super) fn before(body: Body, hook: Hook) -> Body {
    let on_thread = |body: ThreadBody, hook: Hook| -> ThreadBody {
        Arc::new(move |json, ctx| {
            hook(&ctx);
            body(json, ctx)
        })
    };
    match body {
        Body::Async(body) => Body::Async(Arc::new(move |json, ctx| {
            hook(&ctx);
            body(json, ctx)
        })),
        Body::Blocking(body) => Body::Blocking(on_thread(body, hook)),
        Body::Cpu(body) => Body::Cpu(on_thread(body, hook)),
    }
}

pub(super) fn decode<I: DeserializeOwned>(json: &str) -> Result<I, BadInput> {
    let mut reader = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut reader)
        .map_err(|e| BadInput::new(e.path().to_string(), e.into_inner().to_string()))
}

/// Reads JSON as a type and writes it back, defaults filled in and unknown fields gone.
pub(super) fn complete<T: Payload>(json: &str) -> Result<String, BadInput> {
    serde_json::to_string(&decode::<T>(json)?).map_err(|e| BadInput::new(".", e.to_string()))
}

/// The same input would fail every time, so this is never retried.
fn undecodable(bad: &BadInput) -> Outcome {
    Outcome::fatal(format!("BadInput: input {bad}"))
}

fn conclude<O: Payload>(result: Result<O, TaskError>) -> Outcome {
    match result {
        Ok(output) => match serde_json::to_string(&output) {
            // A unit output has nothing to say; the wire has objects only.
            Ok(json) if json == "null" => Outcome::Completed("{}".to_owned()),
            Ok(json) => match check_object(&json) {
                Ok(()) => Outcome::Completed(json),
                Err(bad) => Outcome::fatal(format!("BadOutput: the task's output is {bad}")),
            },
            Err(e) => Outcome::fatal(format!("BadOutput: the task's output cannot be written as JSON: {e}")),
        },
        Err(error) => match error.retry() {
            Retry::Allowed => Outcome::Failed { error: error.report(), may_retry: true },
            Retry::Never => Outcome::Failed { error: error.report(), may_retry: false },
            Retry::Cancelled(_) => Outcome::Cancelled,
        },
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::hatchet::task::{RunInfo, Task};

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
        let task = Task::new_blocking("t", body);
        let Body::Blocking(body) = task.body() else { panic!("kind") };
        body(input.to_owned(), Context::new(RunInfo::default()).0)
    }

    #[test]
    fn outputs_are_objects_without_nul() {
        assert_eq!(run("{}", |_, _| Ok(())), Outcome::Completed("{}".into()));
        assert_eq!(run("{}", |_, _| Ok(Nested { count: 1 })), Outcome::Completed(r#"{"count":1}"#.into()));
        let array = run("{}", |_, _| Ok(vec![1]));
        assert!(matches!(&array, Outcome::Failed { error, may_retry: false } if error.contains("array")), "{array:?}");
        let nul = run("{}", |_, _| Ok(std::collections::BTreeMap::from([("k", "\0")]).len()));
        assert!(matches!(nul, Outcome::Failed { may_retry: false, .. }));
    }

    #[test]
    fn a_hook_comes_before_the_body() {
        use std::sync::Mutex;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (in_hook, in_body) = (said.clone(), said.clone());
        let task = Task::new_cpu("t", move |_: Input, ctx: Context| {
            in_body.lock().unwrap().push(format!("body {}", ctx.retry_count()));
            Ok(())
        })
        .alias("u")
        .renamed("v")
        .before(move |ctx| in_hook.lock().unwrap().push(format!("hook {}", ctx.retry_count())));
        assert_eq!(task.names().collect::<Vec<_>>(), ["v"]);
        let Body::Cpu(body) = task.body() else { panic!("kind") };
        body("{}".to_owned(), Context::new(RunInfo { retry_count: 3, ..RunInfo::default() }).0);
        assert_eq!(*said.lock().unwrap(), ["hook 3", "body 3"]);
    }

    #[test]
    fn a_bad_field_is_named_and_not_retried() {
        let outcome = run(r#"{"n":{"count":"x"}}"#, |_, _| Ok(()));
        let Outcome::Failed { error, may_retry: false } = outcome else { panic!("{outcome:?}") };
        assert!(error.starts_with("BadInput: input field `n.count`:"), "{error}");
    }

    #[test]
    fn unknown_fields_are_ignored_and_defaults_filled_in() {
        let task = Task::new_blocking("t", |_: Input, _| Ok(()));
        assert_eq!(task.complete_input(r#"{"other":1}"#).unwrap(), r#"{"n":{"count":0}}"#);
    }
}
