//! Validated requests for runs, with the options and results of triggers.

use prost::Message as _;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::hatchet::{
    client::{
        Client, RunRef, TRIGGER_KEY, desired_label,
        span::run_attributes,
        template::{missing_traceparent, text},
    },
    task::{Attributes, DesiredLabel, Priority, TRACEPARENT},
    transport::{ClientError, ErrorKind},
    wire::{DEFAULT_MAX_MESSAGE, TriggerId, check_object, proto::v1},
};

/// Metadata key of the runs of [`Client::trigger_many`]: an id that up to 1,000 of them share, by which the runs of a
/// lost response are found together.
pub(super) const CALL_KEY: &str = "rust_sdk_call";
/// Bytes of an assignment that are reserved for the ids, the names and the JSON around the input and the metadata:
/// 8 KiB. The embedded engine reserves the same.
const ASSIGNMENT_ENVELOPE: usize = 8 << 10;

/// The started run, or the reason why it was not started: [`ErrorKind::Duplicate`] with the run that holds the
/// idempotency key, for example.
pub(super) type TriggerResult = Result<RunRef, ClientError>;

/// Options of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TriggerOptions {
    /// Pairs by which the run can be found and filtered.
    pub(crate) additional_metadata: Map<String, Value>,
    /// Default: the task's.
    pub(crate) priority: Option<Priority>,
    /// The run's value of [`TRIGGER_KEY`], for callers that need it before the run exists. Default: a random one. An id
    /// must not be used twice.
    pub(crate) trigger_id: Option<TriggerId>,
    /// A trigger that the engine refuses temporarily is not repeated after this time: it fails with the refusal. For
    /// callers that drop the call at that time and would lose the reason. Default: none, five attempts. A bulk trigger
    /// has one deadline for all runs.
    pub(crate) deadline: Option<Instant>,
    /// Worker labels that the run requires or prefers. Default: the task's labels.
    pub(crate) desired_labels: Vec<DesiredLabel>,
    /// The attempt that starts the run as its child. Default: none.
    pub(crate) parent: Option<Parent>,
    /// The id of the worker that a sticky workflow should use. Default: any worker.
    pub(crate) desired_worker: Option<String>,
}

/// The attempt that starts a child run, and the child's identity among the children of its task.
///
/// An engine makes a child once, so its trigger can be sent again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parent {
    pub(crate) workflow_run_id: String,
    pub(crate) task_run_id: String,
    /// Identifies the child, unless it has a key.
    pub(crate) index: i32,
    pub(crate) key: Option<String>,
}

impl TriggerOptions {
    /// Adds the attributes of the span of a trigger.
    pub(super) fn attributes(&self, attributes: Attributes, client: &Client, name: &str) -> Attributes {
        let attributes = run_attributes(attributes, client, name, &self.additional_metadata, self.priority);
        let Some(parent) = &self.parent else { return attributes };
        attributes
            .text("hatchet.parent_id", &parent.workflow_run_id)
            .text("hatchet.parent_step_run_id", &parent.task_run_id)
            .number("hatchet.child_index", Some(parent.index.into()))
            .text("hatchet.child_key", parent.key.as_deref().unwrap_or_default())
    }

    /// Adds the priority, the labels and the metadata pairs that these options lack.
    pub(in crate::hatchet::client) fn add_defaults(&mut self, defaults: &Self) {
        self.priority = self.priority.or(defaults.priority);
        if self.desired_labels.is_empty() {
            self.desired_labels.clone_from(&defaults.desired_labels);
        }
        for (key, value) in &defaults.additional_metadata {
            self.additional_metadata.entry(key).or_insert_with(|| value.clone());
        }
    }
}

/// A validated request for one run.
pub(super) struct TriggerRequest {
    /// The run's position in the caller's order; 0 for a single run.
    pub(super) index: usize,
    pub(super) ids: SearchIds,
    pub(super) message: v1::TriggerWorkflowRequest,
}

/// Ids in the metadata of a run, by which the run is found if the response to its trigger is lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct SearchIds {
    /// The value of [`TRIGGER_KEY`], unique to the run.
    pub(super) trigger: TriggerId,
    /// The value of [`CALL_KEY`], shared by the runs of a bulk trigger.
    pub(super) call: Option<TriggerId>,
}

impl TriggerRequest {
    /// Validates and builds the request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if an engine would refuse the input or the metadata, [`ErrorKind::TooLarge`] over the
    /// message limit.
    pub(super) fn new(
        client: &Client,
        name: &str,
        input: &impl Serialize,
        options: &TriggerOptions,
        index: usize,
        ids: SearchIds,
    ) -> Result<Self, ClientError> {
        let invalid = |message: String| ClientError::new(ErrorKind::Invalid, message);
        text("task name", name)?;
        let input = serde_json::to_string(input)
            .map_err(|e| invalid(format!("invalid input of {name}: serialization failed: {e}")))?;
        check_object(&input).map_err(|e| invalid(format!("invalid input of {name}: {e}")))?;
        if let Some(label) = options.desired_labels.iter().find(|label| label.key.trim().is_empty()) {
            let rule = "use a key that is not empty";
            return Err(invalid(format!("invalid desired label {:?}: {rule}", label.key)));
        }
        let trace = missing_traceparent(&options.additional_metadata);
        let metadata = MetadataWithIds { caller: &options.additional_metadata, trace, ids };
        let metadata = serde_json::to_string(&metadata)
            .map_err(|e| invalid(format!("invalid metadata: serialization failed: {e}")))?;
        check_object(&metadata).map_err(|e| invalid(format!("invalid metadata: {e}")))?;
        let metadata_size = metadata.len();
        let message = v1::TriggerWorkflowRequest {
            name: client.config().namespaced(name),
            input,
            additional_metadata: Some(metadata),
            priority: options.priority.map(|priority| i32::from(priority.number())),
            parent_id: options.parent.as_ref().map(|parent| parent.workflow_run_id.clone()),
            parent_task_run_external_id: options.parent.as_ref().map(|parent| parent.task_run_id.clone()),
            child_index: options.parent.as_ref().map(|parent| parent.index),
            desired_worker_labels: options
                .desired_labels
                .iter()
                .map(|label| (label.key.clone(), desired_label(label)))
                .collect(),
            child_key: options.parent.as_ref().and_then(|parent| parent.key.clone()),
            desired_worker_id: options.desired_worker.clone(),
        };
        let (size, limit) = (message.encoded_len(), client.config().max_send_message);
        if size > limit {
            return Err(ClientError::new(
                ErrorKind::TooLarge,
                format!(
                    "triggering {name} failed: the input makes a message of {size} bytes, over the limit of {limit}. Send \
                     less, or raise the engine's limit and HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"
                ),
            ));
        }
        let (payload, limit) = (message.input.len() + metadata_size, max_payload(limit));
        if payload > limit {
            return Err(ClientError::new(
                ErrorKind::TooLarge,
                format!(
                    "triggering {name} failed: input and metadata have {payload} bytes, over the limit of {limit} bytes for \
                     an assignment to a worker ({ASSIGNMENT_ENVELOPE} bytes less than a message). Send less, or raise the \
                     engine's limit and HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"
                ),
            ));
        }
        Ok(Self { index, ids, message })
    }

    /// Whether the request can be sent again although it may have started its run.
    pub(super) fn is_child(&self) -> bool {
        self.message.parent_task_run_external_id.is_some()
    }
}

/// Maximum size of a run's input and metadata together. An engine accepts a trigger whose assignment it cannot deliver,
/// and the run then never starts. The limit of a message from the engine is not known. It is taken to be the client's
/// own, and at least the default.
fn max_payload(max_send: usize) -> usize {
    max_send.max(DEFAULT_MAX_MESSAGE) - ASSIGNMENT_ENVELOPE
}

/// The caller's metadata with the ids of the client, which replace the caller's values for their keys.
struct MetadataWithIds<'a> {
    caller: &'a Map<String, Value>,
    /// The trace context of the call.
    trace: Option<String>,
    ids: SearchIds,
}

impl Serialize for MetadataWithIds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.caller {
            if key != TRIGGER_KEY && key != CALL_KEY {
                map.serialize_entry(key, value)?;
            }
        }
        if let Some(trace) = &self.trace {
            map.serialize_entry(TRACEPARENT, trace)?;
        }
        map.serialize_entry(TRIGGER_KEY, &self.ids.trigger)?;
        if let Some(call) = &self.ids.call {
            map.serialize_entry(CALL_KEY, call)?;
        }
        map.end()
    }
}
