//! Runs and tasks as JSON objects.

use serde_json::json;

use super::{
    json_object::{JsonObject, Payload},
    resource_metadata, rfc3339,
};
use crate::{
    engine::{
        driver::Driver,
        state::{Phase, Run, State, Task, Timestamp},
    },
    hatchet::wire::RunId,
};

/// A run as in its details. As in a real engine, the input of a run with one task is the whole payload of the task, and
/// the output of a run with several tasks has the tasks' outputs by their names.
pub(crate) fn run_object(driver: &Driver, state: &State, id: RunId, run: &Run, payloads: bool) -> JsonObject {
    let mut object = JsonObject::from_value(json!({
        "metadata": resource_metadata(id, run.created),
        "status": state.status(run).as_str(),
        "tenantId": driver.tenant.to_string(),
        "displayName": *run.version.definition.name,
        "workflowId": run.version.workflow_id.to_string(),
        "workflowVersionId": run.version.id.to_string(),
        "createdAt": rfc3339(run.created),
    }));
    object.payload("additionalMetadata", Payload::Json(run.metadata.clone()));
    add_payload(&mut object, "input", payloads.then(|| Payload::TaskInput(run.input.clone())));
    let tasks = || run.tasks.iter().filter_map(|id| Some((state.task(*id)?, state.spec(*id)?)));
    if run.tasks.len() == 1 {
        tasks().for_each(|(task, _)| add_outcome(&mut object, task, payloads));
        return object;
    }
    let outputs = tasks()
        .filter_map(|(task, spec)| Some((spec.definition.name.clone(), task.phase.output().cloned()?)))
        .collect();
    add_payload(&mut object, "output", payloads.then_some(Payload::ByName(outputs)));
    if let Some(error) = tasks().find_map(|(task, _)| error_message(&task.phase)) {
        object.set("errorMessage", error);
    }
    let started = tasks().filter_map(|(task, _)| task.started).min();
    add_times(&mut object, started, run.finished.map(|end| end.at));
    object
}

/// A run as a row of a list: its single task, or the run with its tasks as children.
pub(crate) fn list_row(driver: &Driver, state: &State, id: RunId, payloads: bool) -> Option<JsonObject> {
    let (_, run) = state.run(id)?;
    if let [only] = run.tasks[..] {
        return task_object(driver, state, only, payloads);
    }
    let tasks = || run.tasks.iter().filter(|id| state.task(**id).is_some_and(Task::is_created));
    let mut object = run_object(driver, state, id, run, payloads);
    object.set("type", "DAG");
    object.set("taskExternalId", id.to_string());
    object.set("taskId", run.seq);
    object.set("taskInsertedAt", rfc3339(run.created));
    object.set("workflowName", &*run.version.definition.name);
    object.set("workflowRunExternalId", id.to_string());
    object.set("numSpawnedChildren", tasks().count());
    object.set("isEvicted", false);
    object.objects("children", tasks().filter_map(|id| task_object(driver, state, *id, payloads)).collect());
    if let Some(parent) = &run.parent {
        object.set("parentTaskExternalId", parent.task.to_string());
    }
    Some(object)
}

/// A task as in lists and details.
pub(crate) fn task_object(driver: &Driver, state: &State, id: RunId, payloads: bool) -> Option<JsonObject> {
    let task = state.task(id).filter(|task| task.is_created())?;
    let (run_id, run) = state.run(task.run)?;
    let spec = run.version.task(task.spec)?;
    let mut object = JsonObject::from_value(json!({
        "metadata": resource_metadata(id, run.created),
        "type": "TASK",
        "taskExternalId": id.to_string(),
        // A number, since a real engine has the number of the database row here.
        "taskId": task.seq,
        "taskInsertedAt": rfc3339(run.created),
        "createdAt": rfc3339(run.created),
        "displayName": *spec.definition.name,
        "actionId": *spec.definition.action,
        "stepId": spec.id.to_string(),
        "status": task.phase.status().as_str(),
        "retryCount": task.attempt,
        "attempt": task.attempt + 1,
        "tenantId": driver.tenant.to_string(),
        "workflowId": run.version.workflow_id.to_string(),
        "workflowName": *run.version.definition.name,
        "workflowVersionId": run.version.id.to_string(),
        "workflowRunExternalId": run_id.to_string(),
        "numSpawnedChildren": task.children.len(),
        "isEvicted": false,
        "isDurable": false,
        "children": [],
    }));
    object.payload("additionalMetadata", Payload::Json(run.metadata.clone()));
    add_payload(&mut object, "input", payloads.then(|| Payload::Json(run.input.clone())));
    if let Some(parent) = &run.parent {
        object.set("parentTaskExternalId", parent.task.to_string());
    }
    add_outcome(&mut object, task, payloads);
    Some(object)
}

fn add_outcome(object: &mut JsonObject, task: &Task, payloads: bool) {
    add_payload(object, "output", task.phase.output().cloned().filter(|_| payloads).map(Payload::Json));
    if let Some(error) = error_message(&task.phase) {
        object.set("errorMessage", error);
    }
    add_times(object, task.started, task.finished);
}

/// Adds a payload, or an empty object if there is none or the request excluded payloads.
fn add_payload(object: &mut JsonObject, name: &'static str, payload: Option<Payload>) {
    match payload {
        Some(payload) => object.payload(name, payload),
        None => object.set(name, json!({})),
    }
}

fn add_times(object: &mut JsonObject, started: Option<Timestamp>, finished: Option<Timestamp>) {
    if let Some(at) = started {
        object.set("startedAt", rfc3339(at));
    }
    if let Some(at) = finished {
        object.set("finishedAt", rfc3339(at));
        if let Some(started) = started {
            object.set("duration", at.since(started).as_millis() as u64);
        }
    }
}

/// The error of a task. Unlike over gRPC, a cancelled task can have the reason here.
fn error_message(phase: &Phase) -> Option<&str> {
    match phase {
        Phase::Failed(error) => Some(error),
        Phase::Cancelled(true) => Some("no worker took the task within its schedule timeout"),
        Phase::Cancelled(false) | Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff => None,
        Phase::Running(_) | Phase::Completed(_) => None,
    }
}
