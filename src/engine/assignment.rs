//! What a worker is sent.

use super::state::{
    State,
    model::{Phase, Run, Task, TaskSpec},
};
use crate::hatchet::wire::{
    RunId, TenantId,
    proto::{ActionType, AssignedAction},
};

/// The assignment of an attempt. `None` if the run is no longer known.
pub(super) fn start(state: &State, tenant: TenantId, id: RunId, attempt: i32) -> Option<AssignedAction> {
    let (task, run, spec) = parts(state, id)?;
    let mut action = common(tenant, id, attempt, task, run, spec);
    action.action_type = ActionType::StartStepRun.into();
    action.action_payload = payload(&run.input);
    Some(action)
}

/// The order to stop an attempt: the same without a payload.
pub(super) fn stop(state: &State, tenant: TenantId, id: RunId, attempt: i32) -> Option<AssignedAction> {
    let (task, run, spec) = parts(state, id)?;
    let mut action = common(tenant, id, attempt, task, run, spec);
    action.action_type = ActionType::CancelStepRun.into();
    Some(action)
}

/// The JSON around an input; the input itself is copied as it is, never parsed.
pub(super) fn payload(input: &str) -> String {
    const BEFORE: &str = r#"{"input":"#;
    const AFTER: &str = r#","triggered_by":"manual","parents":{},"triggers":{"filter_payload":null},"user_data":null,"overrides":null}"#;
    let mut text = String::with_capacity(BEFORE.len() + input.len() + AFTER.len());
    text.push_str(BEFORE);
    text.push_str(input);
    text.push_str(AFTER);
    text
}

fn parts(state: &State, id: RunId) -> Option<(&Task, &Run, &TaskSpec)> {
    let task = state.task(id)?;
    Some((task, state.run(task.run)?.1, state.spec(id)?))
}

fn common(tenant: TenantId, id: RunId, attempt: i32, task: &Task, run: &Run, spec: &TaskSpec) -> AssignedAction {
    let parent = run.parent.as_ref();
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
        workflow_id: Some(run.version.workflow_id.to_string()),
        workflow_version_id: Some(run.version.id.to_string()),
        task_inserted_at: Some(run.created.timestamp()),
        ..AssignedAction::default()
    }
}

/// The output of a task, if it has ended with one.
pub(super) fn output(phase: &Phase) -> Option<&str> {
    match phase {
        Phase::Completed(output) => Some(output),
        Phase::Queued(_) | Phase::BackOff | Phase::Running(_) | Phase::Failed(_) | Phase::Cancelled(_) => None,
    }
}
