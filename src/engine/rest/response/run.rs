//! Runs and tasks as JSON objects.

use serde_json::json;
use uuid::Uuid;

use super::{
    json_object::{JsonObject, Payload},
    resource_metadata, rfc3339,
};
use crate::{
    engine::{
        driver::{Driver, assignment::TaskInput},
        state::{Phase, Run, State, Task, Timestamp, workflows::TaskSpec},
        validate::definition::workflow_config,
    },
    hatchet::wire::RunId,
};

/// The response that a task object is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskView {
    /// A row of a list of tasks, or a task in a row of a run of several tasks.
    Row { payloads: bool },
    /// The row of a run of a single task.
    RunRow { payloads: bool },
    /// A task in the details of its run.
    InRun,
    /// The details of the task.
    Alone,
}

/// A run as in its details. As in a real engine, the input of a run with a single task is the payload of the task, and
/// the output of a run with several tasks is that of the task that completed last.
pub(crate) fn run_object(driver: &Driver, state: &State, id: RunId, run: &Run, payloads: bool) -> JsonObject {
    let tasks = || run.tasks.iter().filter_map(|id| state.task(*id));
    let only_task = match run.tasks[..] {
        [only_task] => state.task(only_task).zip(state.spec(only_task)),
        _ => None,
    };
    let mut object = JsonObject::from_value(json!({
        "metadata": resource_metadata(id, run.created),
        "status": state.rest_status(run).as_str(),
        "tenantId": driver.tenant.to_string(),
        "displayName": display_name(run_name(run), run),
        "workflowId": run.version.workflow_id.to_string(),
        "workflowVersionId": run.version.id.to_string(),
        "createdAt": rfc3339(run.created),
        "errorMessage": tasks().map(error_message).find(|error| !error.is_empty()).unwrap_or_default(),
    }));
    object.payload("additionalMetadata", Payload::Json(run.metadata.clone()));
    if let Some((task, spec)) = only_task {
        add_payload(&mut object, "input", payloads.then(|| task_input(state, id, run, spec)));
        add_payload(&mut object, "output", payloads.then(|| output(task)).flatten());
        add_times(&mut object, task.started, task.finished);
        return object;
    }
    add_payload(&mut object, "input", payloads.then(|| Payload::Json(run.input.clone())));
    let last_output = || tasks().filter_map(|task| Some((task.finish_seq, output(task)?))).max_by_key(|(seq, _)| *seq);
    add_payload(&mut object, "output", payloads.then(last_output).flatten().map(|(_, output)| output));
    add_times(&mut object, tasks().filter_map(|task| task.started).min(), run.finished.map(|end| end.at));
    if let Some(parent) = &run.parent {
        object.set("parentTaskExternalId", parent.task.to_string());
    }
    object
}

/// A run as a row of a list: its single task, or the run with its tasks as children.
pub(crate) fn list_row(driver: &Driver, state: &State, id: RunId, payloads: bool) -> Option<JsonObject> {
    let (_, run) = state.run(id)?;
    if let [only] = run.tasks[..] {
        return task_object(driver, state, only, TaskView::RunRow { payloads });
    }
    let attempt = run.tasks.iter().filter_map(|id| state.task(*id)).map(|task| task.attempt).max().unwrap_or_default();
    let child = |id: &RunId| task_object(driver, state, *id, TaskView::Row { payloads });
    let mut object = run_object(driver, state, id, run, payloads);
    object.set("type", "DAG");
    object.set("taskExternalId", id.to_string());
    object.set("taskId", run.seq);
    object.set("taskInsertedAt", rfc3339(run.created));
    object.set("actionId", "");
    object.set("stepId", Uuid::nil().to_string());
    object.set("retryCount", attempt);
    object.set("attempt", attempt + 1);
    object.set("workflowName", &*run.version.definition.name);
    object.set("workflowRunExternalId", id.to_string());
    object.set("numSpawnedChildren", 0);
    object.objects("children", run.tasks.iter().filter_map(child).collect());
    if let Some(key) = &run.idempotency_key {
        object.set("idempotencyKey", &**key);
    }
    Some(object)
}

/// A row of a list of tasks.
pub(crate) fn task_row(driver: &Driver, state: &State, id: RunId, payloads: bool) -> Option<JsonObject> {
    task_object(driver, state, id, TaskView::Row { payloads })
}

/// A task as in lists and details.
pub(crate) fn task_object(driver: &Driver, state: &State, id: RunId, view: TaskView) -> Option<JsonObject> {
    let task = state.task(id).filter(|task| task.is_created())?;
    let (run_id, run) = state.run(task.run)?;
    let spec = run.version.task(task.spec)?;
    // In a list, a real engine shows each run as a graph of tasks, which has no action.
    let is_graph = matches!(view, TaskView::RunRow { .. });
    let mut object = JsonObject::from_value(json!({
        "metadata": resource_metadata(id, run.created),
        "type": if is_graph { "DAG" } else { "TASK" },
        "taskExternalId": id.to_string(),
        // A number, since a real engine has the number of the database row here.
        "taskId": task.seq,
        "taskInsertedAt": rfc3339(run.created),
        "createdAt": rfc3339(run.created),
        "displayName": display_name(&spec.definition.name, run),
        "actionId": if is_graph { "" } else { &*spec.definition.action },
        "stepId": spec.id.to_string(),
        "status": task.phase.rest_status().as_str(),
        "errorMessage": error_message(task),
        "retryCount": task.attempt,
        "attempt": task.attempt + 1,
        "tenantId": driver.tenant.to_string(),
        "workflowId": run.version.workflow_id.to_string(),
        "workflowVersionId": run.version.id.to_string(),
        "workflowRunExternalId": run_id.to_string(),
        "numSpawnedChildren": if view == TaskView::Alone { task.children.len() } else { 0 },
    }));
    object.payload("additionalMetadata", Payload::Json(run.metadata.clone()));
    if let Some(parent) = &run.parent {
        object.set("parentTaskExternalId", parent.task.to_string());
    }
    let payloads = match view {
        TaskView::Row { payloads } | TaskView::RunRow { payloads } => {
            object.set("workflowName", &*run.version.definition.name);
            if let Some(key) = run.idempotency_key.as_ref().filter(|_| run.tasks.len() == 1) {
                object.set("idempotencyKey", &**key);
            }
            payloads
        }
        TaskView::InRun | TaskView::Alone => {
            object.set("isEvicted", false);
            object.set("isDurable", false);
            true
        }
    };
    let input = match view {
        TaskView::Alone => Some(Payload::Json(run.input.clone())),
        TaskView::Row { .. } | TaskView::RunRow { .. } | TaskView::InRun => {
            (payloads && task.was_queued()).then(|| task_input(state, id, run, spec))
        }
    };
    if view == TaskView::Alone {
        object.set("workflowConfig", workflow_config(&run.version.definition.content));
    }
    add_payload(&mut object, "input", input);
    add_payload(&mut object, "output", payloads.then(|| output(task)).flatten());
    add_times(&mut object, task.started, task.finished);
    Some(object)
}

/// The name of a run: that of its single task, or of its workflow.
pub(crate) fn run_name(run: &Run) -> &str {
    match &run.version.definition.tasks[..] {
        [only] => &only.name,
        _ => &run.version.definition.name,
    }
}

/// A name with the creation time of the run in milliseconds.
pub(crate) fn display_name(name: &str, run: &Run) -> String {
    format!("{name}-{}", run.created.0)
}

fn task_input(state: &State, id: RunId, run: &Run, spec: TaskSpec<'_>) -> Payload {
    Payload::TaskInput(TaskInput::for_display(state, id, run, spec))
}

/// The output of a completed task, unless it was skipped.
fn output(task: &Task) -> Option<Payload> {
    let output = task.phase.output().filter(|_| task.was_queued())?;
    Some(Payload::Json(output.clone()))
}

/// Adds a payload, or an empty object if there is none or the request excluded payloads.
fn add_payload(object: &mut JsonObject, name: &'static str, payload: Option<Payload>) {
    match payload {
        Some(payload) => object.payload(name, payload),
        None => object.set(name, json!({})),
    }
}

fn add_times(object: &mut JsonObject, started: Option<Timestamp>, finished: Option<Timestamp>) {
    if let Some(started) = started {
        object.set("startedAt", rfc3339(started));
    }
    if let Some(finished) = finished {
        object.set("finishedAt", rfc3339(finished));
        if let Some(started) = started {
            object.set("duration", finished.since(started).as_millis() as u64);
        }
    }
}

/// The error of a failed task. As in a real engine, it is empty after a timeout.
fn error_message(task: &Task) -> &str {
    match &task.phase {
        Phase::Failed(error) if !task.has_timed_out() => error,
        Phase::Failed(_) | Phase::Waiting(_) | Phase::Unadmitted | Phase::Queued(_) | Phase::BackOff => "",
        Phase::Running(_) | Phase::Completed(_) | Phase::Cancelled(_) => "",
    }
}
