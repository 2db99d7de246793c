//! What schedules and crons have in common: the run they start, and how lists choose among them.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::{
    ApiError, query,
    view::{Payload, View},
};
use crate::engine::{
    driver::Driver,
    state::triggers::metadata::PairFilter,
    state::{RunTemplate, State},
    validate::payload::{
        input as checked_input, metadata as checked_metadata, metadata_pair, priority as checked_priority,
    },
};

/// The run that a body asks for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    pub(super) input: Option<Value>,
    pub(super) additional_metadata: Option<Value>,
    pub(super) priority: Option<i32>,
}

impl Body {
    pub(super) fn plan(self, driver: &Driver, workflow: &str) -> Result<RunTemplate, ApiError> {
        let refused = |status: tonic::Status| ApiError::bad_request(status.message());
        let input = object("input", self.input)?.unwrap_or_else(|| "{}".into());
        let input = checked_input(&input, driver.max_message);
        let metadata = object("additionalMetadata", self.additional_metadata)?;
        let metadata = checked_metadata(metadata.as_deref(), driver.max_message);
        Ok(RunTemplate {
            workflow: Arc::from(workflow),
            input: input.map_err(refused)?,
            metadata: metadata.map_err(refused)?,
            priority: checked_priority(self.priority).map_err(refused)?,
        })
    }
}

/// The text of a field that may be an object, null or absent. Unlike gRPC, where anything else counts as absent, REST
/// refuses it, as with a real engine.
pub(super) fn object(field: &str, value: Option<Value>) -> Result<Option<String>, ApiError> {
    let kind = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(object)) => return Ok(Some(Value::Object(object).to_string())),
        Some(Value::Array(_)) => "an array",
        Some(Value::String(_)) => "a string",
        Some(Value::Number(_)) => "a number",
        Some(Value::Bool(_)) => "a boolean",
    };
    Err(ApiError::bad_request(format!("invalid {field}: it is {kind}: send a JSON object")))
}

/// Which ones a list is to show.
#[derive(Default)]
pub(super) struct Filter {
    workflow: Option<Uuid>,
    workflow_name: Option<String>,
    metadata: PairFilter,
}

/// The same in a body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BodyFilter {
    workflow_id: Option<Uuid>,
    additional_metadata: Option<Vec<String>>,
    parent_workflow_run_id: Option<Box<RawValue>>,
    parent_step_run_id: Option<Box<RawValue>>,
}

impl TryFrom<BodyFilter> for Filter {
    type Error = String;

    fn try_from(body: BodyFilter) -> Result<Self, String> {
        if body.parent_workflow_run_id.is_some() || body.parent_step_run_id.is_some() {
            return Err(query::unknown("a parent: schedules have none"));
        }
        let pairs = body.additional_metadata.unwrap_or_default();
        let metadata = pairs.iter().map(|pair| only_pair(pair)).collect::<Result<_, _>>()?;
        Ok(Self { workflow: body.workflow_id, workflow_name: None, metadata })
    }
}

impl Filter {
    /// Takes a pair of a query; answers whether it is one of these.
    pub(super) fn read(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "workflowId" => self.workflow = Some(query::read(key, value)?),
            "workflowName" => self.workflow_name = Some(value.to_owned()),
            "additionalMetadata" => self.metadata.add(only_pair(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn fits(&self, state: &State, plan: &RunTemplate) -> bool {
        self.workflow.is_none_or(|id| state.version_of(&plan.workflow).is_some_and(|v| v.workflow_id == id))
            && self.workflow_name.as_deref().is_none_or(|name| name == &*plan.workflow)
            && self.metadata.fits_all(&plan.metadata)
    }
}

/// Unlike in the filters of runs, a second colon is refused, as by a real engine.
fn only_pair(text: &str) -> Result<(String, String), String> {
    metadata_pair(text)
        .ok()
        .filter(|(_, value)| !value.contains(':'))
        .ok_or_else(|| "Additional metadata filters must be in the format key:value.".to_owned())
}

/// Names the workflow that is started.
pub(super) fn add_workflow(view: &mut Value, state: &State, plan: &RunTemplate) {
    view["workflowName"] = (*plan.workflow).into();
    if let Some(version) = state.version_of(&plan.workflow) {
        view["workflowId"] = version.workflow_id.to_string().into();
        view["workflowVersionId"] = version.id.to_string().into();
        view["priority"] = plan.priority.unwrap_or(version.default_priority).into();
    }
}

pub(super) fn add_payloads(view: &mut View, plan: &RunTemplate) {
    view.payload("input", Payload::Json(plan.input.clone()));
    view.payload("additionalMetadata", Payload::Json(plan.metadata.clone()));
}
