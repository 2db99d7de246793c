//! Triggers: calls that start runs.
//!
//! A trigger must not start a run twice, and its caller must know whether a run was started. So each failure is judged by
//! what it proves ([`failure`]), and the runs of a lost response are looked for ([`lost_response`]):
//!
//! ```text
//!  validate ──▶ reach the engine ──▶ send ──▶ accepted ─────────────────────▶ run
//!                                     │ ▲
//!                                     │ └── certainly not started, may pass: again, up to 5 times
//!                                     ├──▶ refused ─────────────────────────▶ error
//!                                     └──▶ may have started: search the list of runs
//!                                                  ├──▶ found ──────────────▶ run
//!                                                  └──▶ not found ──────────▶ Unconfirmed
//! ```

mod batches;
mod bulk;
mod collision;
mod failure;
mod lost_response;
mod request;

use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

pub(super) use self::collision::SINGLE_CALLS;
use self::{
    failure::{failed, may_be_repeated, may_have_started},
    request::{SearchIds, TriggerRequest},
};
use crate::hatchet::{
    client::{Client, RunRef},
    task::Priority,
    transport::{ClientError, ErrorKind, retry_until},
    wire::{RunId, TriggerId},
};

/// Metadata key of every run that this client triggers: a unique [`TriggerId`], by which the run is found if the response
/// to its trigger is lost.
///
/// It replaces a value for this key in the metadata of the call. Children of the run inherit it, unless they have their
/// own.
pub const TRIGGER_KEY: &str = "rust_sdk_trigger";
/// Metadata key of the runs of [`Client::trigger_many`]: an id that up to 1,000 of them share, by which those of a lost
/// response are found together.
pub(super) const CALL_KEY: &str = "rust_sdk_call";

/// Options of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TriggerOptions {
    /// Pairs that the run can be found and filtered by.
    pub(crate) additional_metadata: Map<String, Value>,
    /// Default: the task's.
    pub(crate) priority: Option<Priority>,
    /// The run's value of [`TRIGGER_KEY`], for callers that need it before the run exists. Default: a random one. An id
    /// must not be used twice.
    pub(crate) trigger_id: Option<TriggerId>,
    /// A trigger that the engine refuses for now, because it is at a limit, is not repeated after this time:
    /// [`Client::trigger`] returns the refusal instead. For callers that drop the call at that time and would not see the
    /// reason. Default: five attempts.
    pub(crate) deadline: Option<Instant>,
}

impl Client {
    /// Starts a run of the workflow `name` (in the settings' namespace), and returns when the engine has accepted it.
    ///
    /// The input must be a JSON object. If the response is lost after the request was sent, looks for the run in the
    /// engine's list (12 s, or up to 72 s while the engine is away) and returns it as if the response had arrived.
    ///
    /// A real engine that does not know the name answers with the id of a run that is never created.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Invalid`] if an engine would refuse the input or the metadata.
    /// - [`ErrorKind::TooLarge`] over the message limit.
    /// - [`ErrorKind::Duplicate`] if the idempotency key is taken.
    /// - [`ErrorKind::Unconfirmed`] if the response was lost and the run is not found: triggering again may run the task
    ///   twice.
    pub(crate) async fn trigger(
        &self,
        name: &str,
        input: &impl Serialize,
        options: &TriggerOptions,
    ) -> Result<RunRef, ClientError> {
        let trigger = options.trigger_id.unwrap_or_else(TriggerId::random);
        let request = TriggerRequest::new(self, name, input, options, 0, SearchIds { trigger, call: None })?;
        let call = format!("triggering {name}");
        retry_until(options.deadline, may_be_repeated, || self.connection().ensure_reachable(&call)).await?;
        let sent_at = SystemTime::now();
        let answer = retry_until(options.deadline, may_be_repeated, || {
            let (mut stub, message) = (self.connection().workflows(), request.message.clone());
            let call = &call;
            async move {
                let answer = stub.trigger_workflow(message).await;
                answer.map_err(|status| failed(self.connection(), call, name, status))
            }
        })
        .await;
        match answer {
            Ok(answer) => Ok(RunRef::triggered(self.clone(), run_id(&answer.into_inner().workflow_run_id)?)),
            Err(error) if may_have_started(&error) => {
                let mut recovered = self.recover(vec![request], sent_at, &error).await;
                recovered.pop().map_or(Err(error), |(_, run)| run)
            }
            Err(error) => Err(error),
        }
    }
}

fn run_id(text: &str) -> Result<RunId, ClientError> {
    text.parse().map_err(|e| ClientError::new(ErrorKind::Engine, format!("the engine's answer cannot be read: {e}")))
}
