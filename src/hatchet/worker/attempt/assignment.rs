//! An assignment, parsed from its message.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::table::AttemptKey;
use crate::hatchet::{
    task::{AttemptInput, RunInfo},
    wire::{RunId, WorkerId, proto::AssignedAction},
};

/// An attempt that the engine assigned to this worker.
pub(super) struct Assignment {
    pub(super) key: AttemptKey,
    /// The worker that received the assignment.
    pub(super) worker: WorkerId,
    pub(super) action_id: String,
    pub(super) job_id: String,
    pub(super) job_run_id: String,
    pub(super) task_id: String,
    pub(super) info: RunInfo,
    pub(super) origin: RunOrigin,
    /// The input's JSON, or the reason that it cannot be read.
    pub(super) input: Result<AttemptInput, String>,
}

/// The workflow of a run and the cause of the run. Empty texts are unknown or do not apply.
pub(super) struct RunOrigin {
    pub(super) tenant_id: String,
    /// The name, namespace included.
    pub(super) workflow_name: String,
    pub(super) workflow_id: String,
    pub(super) workflow_version_id: String,
    pub(super) parent_run_id: String,
    pub(super) child_index: Option<i32>,
    pub(super) child_key: String,
    pub(super) event_id: String,
    pub(super) event_key: String,
}

impl Assignment {
    /// Parses a message. Fails only on an invalid run id, without which nothing can be reported. An invalid input fails
    /// the attempt later.
    pub(super) fn parse(worker: WorkerId, message: AssignedAction) -> Result<Self, String> {
        let run: RunId = message.task_run_external_id.parse().map_err(|e| format!("{e}"))?;
        let additional_metadata: Map<String, Value> =
            message.additional_metadata.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let (input, filter_payload) = match parse_payload(&message.action_payload) {
            Ok((input, filter_payload)) => (Ok(input), filter_payload),
            Err(cause) => (Err(cause), Map::new()),
        };
        Ok(Self {
            key: (run, message.retry_count),
            worker,
            input,
            action_id: message.action_id,
            job_id: message.job_id,
            job_run_id: message.job_run_id,
            task_id: message.task_id,
            origin: RunOrigin {
                tenant_id: message.tenant_id,
                workflow_name: message.job_name,
                workflow_id: message.workflow_id.unwrap_or_default(),
                workflow_version_id: message.workflow_version_id.unwrap_or_default(),
                parent_run_id: message.parent_workflow_run_id.unwrap_or_default(),
                child_index: message.child_workflow_index,
                child_key: message.child_workflow_key.unwrap_or_default(),
                event_id: message.triggering_event_external_id.unwrap_or_default(),
                event_key: message.triggering_event_key.unwrap_or_default(),
            },
            info: RunInfo {
                run_id: message.task_run_external_id,
                workflow_run_id: message.workflow_run_id,
                task_name: message.task_name,
                retry_count: u32::try_from(message.retry_count).unwrap_or(0),
                // The declaration of the task has the number; see `execute`.
                max_attempts: 0,
                additional_metadata,
                filter_payload,
                worker_id: worker.to_string(),
            },
        })
    }
}

/// Extracts the input, the results of other tasks and the payload of an event filter from the payload of an action. A
/// missing or null input becomes an empty object: engines write null for an input that was not an object.
fn parse_payload(payload: &str) -> Result<(AttemptInput, Map<String, Value>), String> {
    /// Other keys of the payload vary between engine versions and are ignored.
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow, default)]
        input: Option<&'a RawValue>,
        #[serde(default)]
        parents: Option<BTreeMap<String, Box<RawValue>>>,
        #[serde(default)]
        step_run_errors: Option<BTreeMap<String, String>>,
        #[serde(default)]
        triggers: Option<Triggers>,
    }

    #[derive(Deserialize)]
    struct Triggers {
        #[serde(default)]
        filter_payload: Value,
    }

    let payload: Payload = serde_json::from_str(payload).map_err(|e| e.to_string())?;
    let input = match payload.input.map(RawValue::get) {
        None | Some("null") => "{}".to_owned(),
        Some(input) => input.to_owned(),
    };
    let filter_payload = match payload.triggers.map(|triggers| triggers.filter_payload) {
        Some(Value::Object(payload)) => payload,
        // Null for a run that no filter has started.
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => Map::new(),
    };
    let (parents, errors) = (payload.parents.unwrap_or_default(), payload.step_run_errors.unwrap_or_default());
    Ok((AttemptInput { input, parents, errors }, filter_payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(payload: &str) -> Assignment {
        let message = AssignedAction {
            task_run_external_id: RunId::random().to_string(),
            action_payload: payload.to_owned(),
            additional_metadata: Some(r#"{"k": "v"}"#.to_owned()),
            retry_count: 2,
            ..Default::default()
        };
        Assignment::parse(WorkerId::random(), message).unwrap()
    }

    fn input(assignment: &Assignment) -> Result<&str, &str> {
        assignment.input.as_ref().map(|input| input.input.as_str()).map_err(String::as_str)
    }

    #[test]
    fn input_is_read_verbatim_from_compact_and_spaced_payload() {
        let compact = parse(r#"{"input":{"a":1},"parents":{},"triggers":{"filter_payload":null}}"#);
        assert_eq!((input(&compact), compact.info.retry_count), (Ok(r#"{"a":1}"#), 2));
        assert_eq!(compact.info.additional_metadata["k"], "v");
        let spaced = parse(r#"{"new": [1], "input": {"a": 1}, "triggered_by": "manual"}"#);
        assert_eq!(input(&spaced), Ok(r#"{"a": 1}"#));
    }

    #[test]
    fn filter_payload_is_read() {
        let filtered = parse(r#"{"input":{},"triggers":{"filter_payload":{"k":"v"}}}"#);
        assert_eq!(filtered.info.filter_payload["k"], "v");
        for none in
            [r#"{"input":{}}"#, r#"{"triggers":null}"#, r#"{"triggers":{}}"#, r#"{"triggers":{"filter_payload":null}}"#]
        {
            assert!(parse(none).info.filter_payload.is_empty(), "{none}");
        }
    }

    #[test]
    fn outputs_of_parents_and_errors_are_read() {
        let payload = r#"{"input":{},"parents":{"a":{"n":1}},"step_run_errors":{"b":"E: text"}}"#;
        let input = parse(payload).input.unwrap();
        assert_eq!((input.parents["a"].get(), input.errors["b"].as_str()), (r#"{"n":1}"#, "E: text"));
    }

    #[test]
    fn missing_or_null_input_is_an_empty_object() {
        for payload in ["{}", r#"{"input":null}"#] {
            assert_eq!(input(&parse(payload)), Ok("{}"));
        }
        assert!(parse("").input.is_err());
    }

    #[test]
    fn invalid_run_id_is_refused() {
        assert!(Assignment::parse(WorkerId::random(), AssignedAction::default()).is_err());
    }
}
