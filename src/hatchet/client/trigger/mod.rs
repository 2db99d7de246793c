//! Starts runs.

mod bulk;
mod collision;
mod lost_answer;

use std::time::SystemTime;

use prost::Message as _;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

pub(super) use self::bulk::SINGLE_CALLS;
use crate::hatchet::{
    client::{
        Client, ClientError, Connection, ErrorKind, RunRef,
        retry::{retry, when_not_executed},
    },
    task::Priority,
    wire::{RunId, TriggerId, check_object, proto::v1},
};

/// Metadata key of every run that this client triggers: a [`TriggerId`] of its own, by which the run is found where the
/// answer to its trigger is lost.
///
/// A value that [`TriggerOptions::additional_metadata`] has for this key is replaced. Children of the run inherit it,
/// unless they have their own.
pub const TRIGGER_KEY: &str = "rust_sdk_trigger";
/// Metadata key of the runs of [`Client::trigger_many`]: an id that up to 1,000 of them share, by which those of a lost
/// call are found together.
pub(super) const CALL_KEY: &str = "rust_sdk_call";

/// What a run is started with beside its input.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TriggerOptions {
    /// Pairs that the run can be found and filtered by.
    pub(crate) additional_metadata: Map<String, Value>,
    /// The task's default where none is given.
    pub(crate) priority: Option<Priority>,
    /// The run's value of [`TRIGGER_KEY`], for callers that need it before the run exists; a random one where none is
    /// given. An id must not be used twice.
    pub(crate) trigger_id: Option<TriggerId>,
}

/// A run to be started.
pub(super) struct Item {
    /// Its place in the caller's order; 0 for a single run.
    pub(super) index: usize,
    pub(super) mark: Mark,
    pub(super) request: v1::TriggerWorkflowRequest,
}

/// What a run has in its metadata to be found by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// The value of [`TRIGGER_KEY`].
    pub(super) trigger: TriggerId,
    /// The value of [`CALL_KEY`], of an item of a bulk trigger.
    pub(super) call: Option<TriggerId>,
}

impl Client {
    /// Starts a run of the workflow `name` (in the settings' namespace) and comes back when the engine has taken it.
    ///
    /// The input must be a JSON object. Errors: [`ErrorKind::Invalid`] for what an engine would refuse,
    /// [`ErrorKind::TooLarge`] over the message limit, [`ErrorKind::Duplicate`] where an idempotency key is taken.
    ///
    /// Where the answer is lost after the request was sent, looks for the run in the engine's list (12 s, or up to 72 s
    /// while the engine is away) and returns it as if the answer had come; else fails with
    /// [`ErrorKind::Unconfirmed`]: triggering again may run the task twice.
    ///
    /// A real engine answers with the id of a run that never comes to be when it does not know the name.
    pub(crate) async fn trigger(
        &self,
        name: &str,
        input: &impl Serialize,
        options: &TriggerOptions,
    ) -> Result<RunRef, ClientError> {
        let trigger = options.trigger_id.unwrap_or_else(TriggerId::random);
        let item = self.item(name, input, options, 0, Mark { trigger, call: None })?;
        let call = format!("trigger {name}");
        retry(when_not_executed, || self.connection().ensure_reachable(&call)).await?;
        let begun = SystemTime::now();
        let answer = retry(when_not_executed, || {
            let (mut stub, request) = (self.connection().workflows(), item.request.clone());
            let call = &call;
            async move {
                stub.trigger_workflow(request).await.map_err(|status| refused(self.connection(), call, name, status))
            }
        })
        .await;
        match answer {
            Ok(answer) => Ok(RunRef::triggered(self.clone(), run_id(&answer.into_inner().workflow_run_id)?)),
            Err(error) if error.is_response_lost() => {
                let mut recovered = self.recover(vec![item], begun, &error).await;
                recovered.pop().map_or(Err(error), |(_, run)| run)
            }
            Err(error) => Err(error),
        }
    }

    /// Checks and builds a request.
    pub(super) fn item(
        &self,
        name: &str,
        input: &impl Serialize,
        options: &TriggerOptions,
        index: usize,
        mark: Mark,
    ) -> Result<Item, ClientError> {
        let bad = |message: String| ClientError::new(ErrorKind::Invalid, message);
        let input = serde_json::to_string(input)
            .map_err(|e| bad(format!("the input of {name} cannot be written as JSON: {e}")))?;
        check_object(&input).map_err(|e| bad(format!("the input of {name} is {e}")))?;
        let metadata = serde_json::to_string(&Marked { given: &options.additional_metadata, mark })
            .map_err(|e| bad(format!("the metadata cannot be written as JSON: {e}")))?;
        check_object(&metadata).map_err(|e| bad(format!("the metadata is {e}")))?;
        let request = v1::TriggerWorkflowRequest {
            name: self.config().namespaced(name),
            input,
            additional_metadata: Some(metadata),
            priority: options.priority.map(|priority| i32::from(priority.number())),
            ..Default::default()
        };
        let (size, limit) = (request.encoded_len(), self.config().max_send_message);
        if size > limit {
            return Err(ClientError::new(
                ErrorKind::TooLarge,
                format!(
                    "the input of {name} makes a message of {size} bytes, over the limit of {limit}: send less, or raise \
                     the engine's limit and HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"
                ),
            ));
        }
        Ok(Item { index, mark, request })
    }
}

/// Metadata with the client's own keys.
struct Marked<'a> {
    given: &'a Map<String, Value>,
    mark: Mark,
}

impl Serialize for Marked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.given {
            if key != TRIGGER_KEY && key != CALL_KEY {
                map.serialize_entry(key, value)?;
            }
        }
        map.serialize_entry(TRIGGER_KEY, &self.mark.trigger)?;
        if let Some(call) = &self.mark.call {
            map.serialize_entry(CALL_KEY, call)?;
        }
        map.end()
    }
}

/// Why a trigger was refused. The embedded engine looks the name up at once, and a busy real one does now and then;
/// only the text tells that from other invalid arguments.
pub(super) fn refused(connection: &Connection, call: &str, name: &str, status: tonic::Status) -> ClientError {
    if status.code() == tonic::Code::InvalidArgument && status.message().contains("workflow names not found") {
        let message =
            format!("{call}: the engine knows no workflow of this name: start a worker that registers {name}");
        return ClientError::new(ErrorKind::NotFound, message).with_source(status);
    }
    connection.call_error(call, status)
}

pub(super) fn run_id(text: &str) -> Result<RunId, ClientError> {
    text.parse().map_err(|e| ClientError::new(ErrorKind::Engine, format!("the engine's answer cannot be read: {e}")))
}
