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
    /// The input's JSON, or the reason that it cannot be read.
    pub(super) input: Result<AttemptInput, String>,
}

impl Assignment {
    /// Parses a message. Fails only on an invalid run id, without which nothing can be reported. An invalid input fails
    /// the attempt later.
    pub(super) fn parse(worker: WorkerId, message: AssignedAction) -> Result<Self, String> {
        let run: RunId = message.task_run_external_id.parse().map_err(|e| format!("{e}"))?;
        let additional_metadata: Map<String, Value> =
            message.additional_metadata.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        Ok(Self {
            key: (run, message.retry_count),
            worker,
            input: parse_input(&message.action_payload),
            action_id: message.action_id,
            job_id: message.job_id,
            job_run_id: message.job_run_id,
            task_id: message.task_id,
            info: RunInfo {
                run_id: message.task_run_external_id,
                workflow_run_id: message.workflow_run_id,
                task_name: message.task_name,
                retry_count: u32::try_from(message.retry_count).unwrap_or(0),
                additional_metadata,
            },
        })
    }
}

/// Extracts the input and the results of other tasks from the payload of an action. A missing or null input becomes an
/// empty object: engines write null for an input that was not an object.
fn parse_input(payload: &str) -> Result<AttemptInput, String> {
    /// Other keys of the payload vary between engine versions and are ignored.
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow, default)]
        input: Option<&'a RawValue>,
        #[serde(default)]
        parents: Option<BTreeMap<String, Box<RawValue>>>,
        #[serde(default)]
        step_run_errors: Option<BTreeMap<String, String>>,
    }

    let payload: Payload = serde_json::from_str(payload).map_err(|e| e.to_string())?;
    let input = match payload.input.map(RawValue::get) {
        None | Some("null") => "{}".to_owned(),
        Some(input) => input.to_owned(),
    };
    let parents = payload.parents.unwrap_or_default();
    Ok(AttemptInput { input, parents, errors: payload.step_run_errors.unwrap_or_default() })
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
