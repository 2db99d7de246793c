//! Tasks and workflows: a name, input and output types, a body, and options. This module uses no transport, so that a
//! task can be compiled and tested without an engine.
//!
//! A [`Stub`] is the name and the types of a task. A [`Task`] consists of a stub and a body:
//!
//! ```
//! use hatchet_quickstart::prelude::*;
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Input { text: String }
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Output { number: i64 }
//!
//! const PARSE: Stub<Input, Output> = Stub::new("parse");
//!
//! async fn parse(input: Input, _ctx: Context) -> Result<Output, TaskError> {
//!     Ok(Output { number: input.text.trim().parse()? }) // `?`: fails this attempt, which may be retried
//! }
//!
//! let task = PARSE.task(parse).retries(2);
//! assert_eq!(task.name(), "parse");
//! ```
//!
//! ```text
//!  Stub<I, O> ── .task(body) ──▶ Task<I, O> ── Worker::register ──▶ ErasedTask ──▶ one attempt per assignment
//!      │                             └── .test() ──▶ runs the body without an engine
//!      └── Client::run ──▶ one run, whose result is an O
//! ```
//!
//! A [`Worker`](crate::hatchet::worker::Worker) registers tasks of different types in one list, so the types are
//! erased: the body of an [`ErasedTask`] takes and returns JSON. Types are erased nowhere else.

mod attempt_input;
mod cancel;
mod child_run;
mod children;
mod context;
mod control;
mod erased;
mod error;
mod observe;
mod options;
mod run_info;
mod spans;
mod stub;
mod typed;
mod validate;
mod workflow;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

pub(in crate::hatchet) use attempt_input::AttemptInput;
pub use cancel::CancelReason;
pub(crate) use cancel::Canceller;
pub use child_run::{ChildItem, ChildRef, ChildRun, ChildRunMany, ChildRunManyNoWait, ChildRunNoWait};
pub use children::ChildError;
pub(in crate::hatchet) use children::{ChildOutcome, ChildRequest, ChildRunner};
pub(crate) use context::Emission;
pub(in crate::hatchet) use context::TRACEPARENT;
pub use context::{Context, LogLevel, RUN_LOG, RUN_LOG_LINES};
pub(in crate::hatchet) use control::{Control, ControlKind};
pub use erased::ErasedTask;
pub(in crate::hatchet) use erased::{Body, Outcome};
pub use error::{BadInput, Retry, TaskError};
pub(in crate::hatchet) use observe::Hooks;
pub use observe::{AttemptOutcome, AttemptReport, LogLayer};
pub use options::{
    Backoff, Concurrency, DefaultFilter, DesiredLabel, Idempotency, IdempotencyMethod, Kind, LabelComparator,
    LabelValue, Limit, MaxRuns, Priority, RateLimit, RateLimitKey, RateLimitValue, Sticky, TaskOptions, Window,
    WorkflowOptions,
};
pub use run_info::RunInfo;
pub(in crate::hatchet) use spans::{AttemptSpan, Attributes, CallSpan, current_traceparent};
pub use stub::Stub;
pub(in crate::hatchet) use typed::Body as TypedBody;
pub use typed::Task;
pub use validate::InvalidTask;
pub(in crate::hatchet) use validate::is_name;
pub(in crate::hatchet) use workflow::{Action, ConditionKind, RegisteredFlow, RegisteredFlowTask, Role, validate_all};
pub use workflow::{
    Condition, ErasedWorkflow, Event, Flow, Handle, Hook, OrGroup, Parents, TaskFailure, WithParents, Workflow, event,
    parent_output, sleep,
};

/// A type that a task takes or returns: serde in both directions and a JSON Schema. Its JSON form must be an object.
///
/// Implemented for every such type: derive `Serialize`, `Deserialize` and `JsonSchema` for yours.
pub trait Payload: Serialize + DeserializeOwned + JsonSchema + Send + 'static {}

impl<T: Serialize + DeserializeOwned + JsonSchema + Send + 'static> Payload for T {}
