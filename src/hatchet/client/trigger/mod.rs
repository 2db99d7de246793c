//! Starts runs.

mod bulk;
mod collision;
mod lost_answer;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use prost::Message as _;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

pub use self::bulk::BulkItem;
pub(super) use self::bulk::SINGLE_CALLS;
use crate::hatchet::{
    client::Client,
    transport::{ClientError, Connection, ErrorKind, retry, when_not_executed},
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
pub struct TriggerOptions {
    /// Pairs that the run can be found and filtered by.
    pub additional_metadata: Map<String, Value>,
    /// 1 to 3; the task's default where none is given.
    pub priority: Option<u8>,
    /// The run's value of [`TRIGGER_KEY`], for callers that need it before the run exists; a random one where none is
    /// given. An id must not be used twice.
    pub trigger_id: Option<TriggerId>,
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

/// A run that this client has triggered may not be known to a busy real engine for a moment: one under load was seen to
/// need 1 s.
const TRIGGERED_PATIENCE: Duration = Duration::from_secs(10);
/// Twice that second, for an id that somebody gives, who waits for the answer that it is wrong.
const GIVEN_PATIENCE: Duration = Duration::from_secs(2);

/// A started run.
#[derive(Clone)]
pub struct RunHandle {
    client: Client,
    id: RunId,
    /// It was triggered by this client.
    triggered: bool,
    /// The answer to its trigger was lost.
    found: bool,
    /// The engine has shown that it knows the run, to this handle or a clone.
    seen: Arc<AtomicBool>,
}

impl RunHandle {
    /// A run that this client has just triggered.
    pub(in crate::hatchet::client) fn triggered(client: Client, id: RunId) -> Self {
        Self { client, id, triggered: true, found: false, seen: Arc::default() }
    }

    /// A run that this client has just triggered, without an answer, and found in the engine's list.
    pub(in crate::hatchet::client) fn found(client: Client, id: RunId) -> Self {
        Self { found: true, ..Self::triggered(client, id) }
    }

    /// A run by an id that was given.
    pub(in crate::hatchet::client) fn given(client: Client, id: RunId) -> Self {
        Self { client, id, triggered: false, found: false, seen: Arc::default() }
    }

    /// A run that the engine does not know for this long is not coming, or not coming back.
    pub(in crate::hatchet::client) fn patience(&self) -> Duration {
        if self.triggered || self.was_seen() { TRIGGERED_PATIENCE } else { GIVEN_PATIENCE }
    }

    /// Notes that the engine knows the run.
    pub(in crate::hatchet::client) fn saw(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// Whether it ever did.
    pub(in crate::hatchet::client) fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// What it means that the engine does not know the run and is not going to.
    pub(in crate::hatchet::client) fn unknown(&self) -> ClientError {
        let id = self.id;
        if self.was_seen() {
            return ClientError::new(
                ErrorKind::RunLost,
                format!(
                    "the engine no longer knows run {id}, which it knew before: it was restarted without its data, or \
                     has dropped the run since: start it again if its work is still wanted"
                ),
            );
        }
        let remedy = if self.triggered {
            "no workflow has the name that it was triggered by: start a worker that registers it"
        } else {
            "check the id, and that the run is one of this engine"
        };
        let patience = self.patience();
        let message = format!("run {id} is not known to the engine, which was asked for {patience:?}: {remedy}");
        ClientError::new(ErrorKind::NotFound, message)
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Whether the answer to its trigger was lost, and the run was found by [`TRIGGER_KEY`].
    pub fn was_found(&self) -> bool {
        self.found
    }

    /// The client it was made with.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunHandle({})", self.id)
    }
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
    pub async fn trigger(
        &self,
        name: &str,
        input: &impl Serialize,
        options: &TriggerOptions,
    ) -> Result<RunHandle, ClientError> {
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
            Ok(answer) => Ok(RunHandle::triggered(self.clone(), run_id(&answer.into_inner().workflow_run_id)?)),
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
        if let Some(priority) = options.priority.filter(|p| !(1..=3).contains(p)) {
            return Err(bad(format!("priority is {priority}: it goes from 1 to 3")));
        }
        let request = v1::TriggerWorkflowRequest {
            name: self.config().namespaced(name),
            input,
            additional_metadata: Some(metadata),
            priority: options.priority.map(i32::from),
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
