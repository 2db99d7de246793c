//! Requests that start a run, validated before they are sent.

use prost::Message as _;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

use super::{CALL_KEY, TRIGGER_KEY, TriggerOptions};
use crate::hatchet::{
    client::Client,
    transport::{ClientError, ErrorKind},
    wire::{TriggerId, check_object, proto::v1},
};

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
    pub(super) fn new(
        client: &Client,
        name: &str,
        input: &impl Serialize,
        options: &TriggerOptions,
        index: usize,
        ids: SearchIds,
    ) -> Result<Self, ClientError> {
        let invalid = |message: String| ClientError::new(ErrorKind::Invalid, message);
        let input = serde_json::to_string(input)
            .map_err(|e| invalid(format!("the input of {name} cannot be written as JSON: {e}")))?;
        check_object(&input).map_err(|e| invalid(format!("the input of {name} is {e}")))?;
        let metadata = serde_json::to_string(&MetadataWithIds { given: &options.additional_metadata, ids })
            .map_err(|e| invalid(format!("the metadata cannot be written as JSON: {e}")))?;
        check_object(&metadata).map_err(|e| invalid(format!("the metadata is {e}")))?;
        let message = v1::TriggerWorkflowRequest {
            name: client.config().namespaced(name),
            input,
            additional_metadata: Some(metadata),
            priority: options.priority.map(|priority| i32::from(priority.number())),
            ..Default::default()
        };
        let (size, limit) = (message.encoded_len(), client.config().max_send_message);
        if size > limit {
            return Err(ClientError::new(
                ErrorKind::TooLarge,
                format!(
                    "the input of {name} makes a message of {size} bytes, over the limit of {limit}: send less, or raise \
                     the engine's limit and HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"
                ),
            ));
        }
        Ok(Self { index, ids, message })
    }
}

/// The caller's metadata with the ids of the client in place of any values that the caller has for their keys.
struct MetadataWithIds<'a> {
    given: &'a Map<String, Value>,
    ids: SearchIds,
}

impl Serialize for MetadataWithIds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.given {
            if key != TRIGGER_KEY && key != CALL_KEY {
                map.serialize_entry(key, value)?;
            }
        }
        map.serialize_entry(TRIGGER_KEY, &self.ids.trigger)?;
        if let Some(call) = &self.ids.call {
            map.serialize_entry(CALL_KEY, call)?;
        }
        map.end()
    }
}
