//! What a worker is sent.

use serde_json::Value;

use crate::engine::state::{
    State,
    model::{Origin, Phase, Run, Task, TaskSpec},
};
use crate::hatchet::wire::{
    RunId, TenantId,
    proto::{ActionType, AssignedAction},
};

/// The assignment of an attempt. `None` if the run is no longer known.
pub(crate) fn start(state: &State, tenant: TenantId, id: RunId, attempt: i32) -> Option<AssignedAction> {
    let (task, run, spec) = parts(state, id)?;
    let mut action = common(tenant, id, attempt, task, run, spec);
    action.action_type = ActionType::StartStepRun.into();
    action.action_payload = payload_of(state, run, spec);
    Some(action)
}

/// The order to stop an attempt: the same without a payload.
pub(crate) fn stop(state: &State, tenant: TenantId, id: RunId, attempt: i32) -> Option<AssignedAction> {
    let (task, run, spec) = parts(state, id)?;
    let mut action = common(tenant, id, attempt, task, run, spec);
    action.action_type = ActionType::CancelStepRun.into();
    Some(action)
}

/// The JSON around an input: the input and the parents' outputs are copied as they are, never parsed.
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

/// All that a task is sent of its run.
pub(crate) fn payload_of(state: &State, run: &Run, spec: &TaskSpec) -> String {
    if !spec.on_failure && spec.parents.is_empty() {
        return payload(&run.input, "", None);
    }
    let (mut outputs, mut errors) = (String::new(), String::new());
    let all = (0..run.tasks.len()).collect::<Vec<_>>();
    let parents = if spec.on_failure { &all } else { &spec.parents };
    for parent in parents {
        let (Some(of), Some(phase)) = (
            run.version.tasks.get(*parent),
            run.tasks.get(*parent).and_then(|id| state.task(*id)).map(|task| &task.phase),
        ) else {
            continue;
        };
        match phase {
            // An output that is no object is an empty one to the children: SDKs read objects.
            Phase::Completed(output) => member(&mut outputs, &of.name, object(output).unwrap_or("{}")),
            Phase::Failed(error) => member(&mut errors, &of.name, &Value::from(&**error).to_string()),
            Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) | Phase::Cancelled(_) => {}
        }
    }
    payload(&run.input, &outputs, spec.on_failure.then_some(errors.as_str()))
}

fn member(to: &mut String, name: &str, json: &str) {
    if !to.is_empty() {
        to.push(',');
    }
    to.push_str(&Value::from(name).to_string());
    to.push(':');
    to.push_str(json);
}

/// JSON text, if it is an object.
fn object(json: &str) -> Option<&str> {
    let text = json.trim_ascii();
    text.starts_with('{').then_some(text)
}

fn parts(state: &State, id: RunId) -> Option<(&Task, &Run, &TaskSpec)> {
    let task = state.task(id)?;
    Some((task, state.run(task.run)?.1, state.spec(id)?))
}

fn common(tenant: TenantId, id: RunId, attempt: i32, task: &Task, run: &Run, spec: &TaskSpec) -> AssignedAction {
    let parent = run.parent.as_ref();
    let event = match &run.origin {
        Origin::Event { id, key } => Some((id.to_string(), key.to_string())),
        Origin::Call | Origin::Schedule(_) | Origin::Cron => None,
    };
    let (event_id, event_key) = event.unzip();
    let (task_run, spec_id) = (id.to_string(), spec.id.to_string());
    AssignedAction {
        tenant_id: tenant.to_string(),
        workflow_run_id: task.run.to_string(),
        job_id: spec_id.clone(),
        job_name: spec.name.to_string(),
        job_run_id: task_run.clone(),
        task_id: spec_id,
        task_run_external_id: task_run,
        action_id: spec.action.to_string(),
        task_name: spec.name.to_string(),
        retry_count: attempt,
        additional_metadata: Some(run.metadata.to_string()),
        child_workflow_index: parent.and_then(|p| p.index),
        child_workflow_key: parent.and_then(|p| p.key.as_ref()).map(|k| k.to_string()),
        parent_workflow_run_id: parent.map(|p| p.task.to_string()),
        priority: run.priority,
        triggering_event_external_id: event_id,
        triggering_event_key: event_key,
        workflow_id: Some(run.version.workflow_id.to_string()),
        workflow_version_id: Some(run.version.id.to_string()),
        task_inserted_at: Some(run.created.to_wire()),
        ..AssignedAction::default()
    }
}

/// The output of a task, if it has ended with one.
pub(crate) fn output(phase: &Phase) -> Option<&str> {
    match phase {
        Phase::Completed(output) => Some(output),
        Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) => None,
        Phase::Failed(_) | Phase::Cancelled(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_one_object_whatever_is_in_it() {
        let (mut parents, mut errors) = (String::new(), String::new());
        member(&mut parents, "a", object(" {\"v\": 1}").unwrap_or("{}"));
        member(&mut parents, "b", object("[2]").unwrap_or("{}"));
        member(&mut errors, "c", &Value::from("no\n\"way\"").to_string());
        let sent: Value = serde_json::from_str(&payload("null", &parents, Some(&errors))).unwrap();
        assert_eq!(sent["parents"], serde_json::json!({"a": {"v": 1}, "b": {}}));
        assert_eq!(sent["step_run_errors"]["c"], "no\n\"way\"");
        assert!(sent["input"].is_null() && sent["triggers"]["filter_payload"].is_null());
    }
}
