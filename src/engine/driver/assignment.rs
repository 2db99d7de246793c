//! Assignments of attempts, as messages to workers.

use serde_json::Value;

use crate::{
    engine::state::{Origin, Phase, Run, State, Task, workflows::TaskSpec},
    hatchet::wire::{
        RunId, TenantId,
        proto::{ActionType, AssignedAction},
    },
};

/// The assignment of an attempt; `None` if the task does not exist.
pub(super) fn start(state: &State, tenant: TenantId, id: RunId, attempt: i32) -> Option<AssignedAction> {
    let (task, run, spec) = parts(state, id)?;
    let mut action = action(tenant, id, attempt, task, run, spec);
    action.action_type = ActionType::StartStepRun.into();
    action.action_payload = payload_of(state, run, spec);
    Some(action)
}

/// The request to stop an attempt: an assignment of another type, without a payload.
pub(super) fn stop(state: &State, tenant: TenantId, id: RunId, attempt: i32) -> Option<AssignedAction> {
    let (task, run, spec) = parts(state, id)?;
    let mut action = action(tenant, id, attempt, task, run, spec);
    action.action_type = ActionType::CancelStepRun.into();
    Some(action)
}

/// The payload around an input, as JSON. The input and the members of `parents` and `errors` are copied as they are,
/// never parsed.
pub(crate) fn payload(input: &str, parents: &str, errors: Option<&str>) -> String {
    let mut text = String::with_capacity(128 + input.len() + parents.len() + errors.map_or(0, str::len));
    text.push_str(r#"{"input":"#);
    text.push_str(input);
    text.push_str(r#","triggered_by":"manual","parents":{"#);
    text.push_str(parents);
    text.push_str(r#"},"triggers":{"filter_payload":null},"user_data":null,"overrides":null"#);
    if let Some(errors) = errors {
        text.push_str(r#","step_run_errors":{"#);
        text.push_str(errors);
        text.push('}');
    }
    text.push('}');
    text
}

/// The payload of a task: the input and the outputs of its parents; for an on-failure task the outputs and errors of
/// all other tasks.
fn payload_of(state: &State, run: &Run, spec: TaskSpec<'_>) -> String {
    let definition = spec.definition;
    if !definition.on_failure && definition.parents.is_empty() {
        return payload(&run.input, "", None);
    }
    let (mut outputs, mut errors) = (String::new(), String::new());
    let all = (0..run.tasks.len()).collect::<Vec<_>>();
    for parent in if definition.on_failure { &all } else { &definition.parents } {
        let (Some(spec), Some(task)) =
            (run.version.task(*parent), run.tasks.get(*parent).and_then(|id| state.task(*id)))
        else {
            continue;
        };
        let name = &spec.definition.name;
        match &task.phase {
            // An output that is not an object is replaced by an empty one, as SDKs read objects.
            Phase::Completed(output) => add_member(&mut outputs, name, object(output).unwrap_or("{}")),
            Phase::Failed(error) => add_member(&mut errors, name, &Value::from(&**error).to_string()),
            Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) | Phase::Cancelled(_) => {}
        }
    }
    payload(&run.input, &outputs, definition.on_failure.then_some(errors.as_str()))
}

/// Appends a member of a JSON object; `json` is copied as it is.
fn add_member(to: &mut String, name: &str, json: &str) {
    if !to.is_empty() {
        to.push(',');
    }
    to.push_str(&Value::from(name).to_string());
    to.push(':');
    to.push_str(json);
}

/// The JSON text if it is an object.
fn object(json: &str) -> Option<&str> {
    let text = json.trim_ascii();
    text.starts_with('{').then_some(text)
}

fn parts(state: &State, id: RunId) -> Option<(&Task, &Run, TaskSpec<'_>)> {
    let task = state.task(id)?;
    Some((task, state.run(task.run)?.1, state.spec(id)?))
}

/// The fields that assignments and stops share.
fn action(tenant: TenantId, id: RunId, attempt: i32, task: &Task, run: &Run, spec: TaskSpec<'_>) -> AssignedAction {
    let parent = run.parent.as_ref();
    let event = match &run.origin {
        Origin::Event { id, key } => Some((id.to_string(), key.to_string())),
        Origin::Call | Origin::Schedule(_) | Origin::Cron => None,
    };
    let (event_id, event_key) = event.unzip();
    let (task_run, task_id, name) = (id.to_string(), spec.id.to_string(), spec.definition.name.to_string());
    AssignedAction {
        tenant_id: tenant.to_string(),
        workflow_run_id: task.run.to_string(),
        job_id: task_id.clone(),
        job_name: name.clone(),
        job_run_id: task_run.clone(),
        task_id,
        task_run_external_id: task_run,
        action_id: spec.definition.action.to_string(),
        task_name: name,
        retry_count: attempt,
        additional_metadata: Some(run.metadata.to_string()),
        child_workflow_index: parent.and_then(|parent| parent.index),
        child_workflow_key: parent.and_then(|parent| parent.key.as_ref()).map(|key| key.to_string()),
        parent_workflow_run_id: parent.map(|parent| parent.task.to_string()),
        priority: run.priority,
        triggering_event_external_id: event_id,
        triggering_event_key: event_key,
        workflow_id: Some(run.version.workflow_id.to_string()),
        workflow_version_id: Some(run.version.id.to_string()),
        task_inserted_at: Some(run.created.to_wire()),
        ..AssignedAction::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_one_json_object() {
        let (mut parents, mut errors) = (String::new(), String::new());
        add_member(&mut parents, "a", object(" {\"v\": 1}").unwrap_or("{}"));
        add_member(&mut parents, "b", object("[2]").unwrap_or("{}"));
        add_member(&mut errors, "c", &Value::from("no\n\"way\"").to_string());
        let sent: Value = serde_json::from_str(&payload("null", &parents, Some(&errors))).unwrap();
        assert_eq!(sent["parents"], serde_json::json!({"a": {"v": 1}, "b": {}}));
        assert_eq!(sent["step_run_errors"]["c"], "no\n\"way\"");
        assert!(sent["input"].is_null() && sent["triggers"]["filter_payload"].is_null());
    }
}
