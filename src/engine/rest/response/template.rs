//! The fields of schedules and crons about the run that they start.

use axum::Json;
use serde_json::{Value, json};

use super::{
    ApiError, JsonResponse,
    json_object::{JsonObject, Payload},
};
use crate::{
    engine::state::{RunTemplate, State, metadata::NO_METADATA},
    hatchet::wire::RunId,
};

/// The response to the trigger of a schedule or cron out of turn. `None` is a refused run.
pub(crate) fn triggered_run(run: Option<RunId>) -> JsonResponse {
    let refused = "the run was refused: its idempotency key is claimed or cannot be computed";
    let run = run.ok_or_else(|| ApiError::bad_request(refused))?;
    Ok(Json(json!({ "externalId": run.to_string() })))
}

/// Adds the workflow, its newest version, and the run's payloads and priority to the fields of a resource.
pub(crate) fn with_template(mut fields: Value, state: &State, template: &RunTemplate) -> JsonObject {
    fields["workflowName"] = (*template.workflow).into();
    if let Some(version) = state.version_of(&template.workflow) {
        fields["workflowId"] = version.workflow_id.to_string().into();
        fields["workflowVersionId"] = version.id.to_string().into();
        fields["priority"] = template.priority.unwrap_or(version.definition.default_priority).into();
    }
    let mut object = JsonObject::from_value(fields);
    object.payload("input", Payload::Json(template.input.clone()));
    if *template.metadata == *NO_METADATA {
        object.set("additionalMetadata", Value::Null);
    } else {
        object.payload("additionalMetadata", Payload::Json(template.metadata.clone()));
    }
    object
}
