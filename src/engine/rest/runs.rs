//! Runs: one, its status, and lists.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared, rejection::JsonRejection},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, ApiError, id, meta, own_tenant,
    page::Page,
    planned::object,
    query, rfc3339, task_events,
    view::{Listing, Payload, View},
};
use crate::{
    engine::{
        driver::Driver,
        state::{
            RunFilter, State, Timestamp,
            model::{Phase, Run, Task},
        },
        validate::{
            payload::{metadata_pair, status_word},
            trigger::one as trigger_one,
        },
    },
    hatchet::wire::{RunId, proto::v1::TriggerWorkflowRequest},
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/workflow-runs/{run}", get(one))
        .route("/api/v1/stable/workflow-runs/{run}/status", get(status))
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs", get(list))
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs/trigger", post(trigger))
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs/external-ids", get(external_ids))
}

async fn status(Shared(driver): Shared<Arc<Driver>>, Path(run): Path<String>) -> Answer {
    let id: RunId = id(&run, "workflow run")?;
    driver
        .with(|state, _| {
            let (_, run) = state.run(id).ok_or_else(ApiError::not_found)?;
            Ok(Json(state.status(run).word().into()))
        })
        .await?
}

async fn one(Shared(driver): Shared<Arc<Driver>>, Path(run): Path<String>) -> Result<View, ApiError> {
    let id: RunId = id(&run, "workflow run")?;
    details(&driver, id).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trigger {
    workflow_name: String,
    input: Option<Value>,
    additional_metadata: Option<Value>,
    priority: Option<i32>,
}

async fn trigger(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    wanted: Result<Json<Trigger>, JsonRejection>,
) -> Result<View, ApiError> {
    own_tenant(&driver, &tenant)?;
    let Json(wanted) = wanted.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let request = TriggerWorkflowRequest {
        name: wanted.workflow_name,
        input: object("input", wanted.input)?.unwrap_or_default(),
        additional_metadata: object("additionalMetadata", wanted.additional_metadata)?,
        priority: wanted.priority,
        ..TriggerWorkflowRequest::default()
    };
    let id = trigger_one(&driver, request).await.map_err(|status| ApiError::as_grpc(&status))?;
    details(&driver, id).await
}

/// The ids of all runs that are chosen.
async fn external_ids(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    own_tenant(&driver, &tenant)?;
    let wanted = wanted(query.as_deref().unwrap_or_default()).map_err(ApiError::bad_request)?;
    if wanted.selection.all_pairs {
        // A real engine ignores the operator here.
        return Err(ApiError::bad_request(query::unknown("all pairs in this list: any pair is enough")));
    }
    Ok(Json(
        driver.with(|state, _| state.select(&wanted.selection).map(|id| Value::from(id.to_string())).collect()).await?,
    ))
}

/// A run with its tasks, and what they are to each other.
async fn details(driver: &Driver, id: RunId) -> Result<View, ApiError> {
    driver
        .with(|state, _| {
            let (run_id, run) = state.run(id).ok_or_else(ApiError::not_found)?;
            let tasks = run.tasks.iter().filter_map(|task| task_view(driver, state, *task, true)).collect();
            let shape: Vec<Value> = run
                .tasks
                .iter()
                .filter_map(|task| {
                    let spec = state.spec(*task)?;
                    let step = |at: &usize| run.version.tasks.get(*at).map(|spec| spec.id.to_string());
                    let children: Vec<String> = spec.children.iter().filter_map(step).collect();
                    Some(json!({
                        "taskExternalId": task.to_string(), "stepId": spec.id.to_string(),
                        "childrenStepIds": children, "taskName": *spec.name,
                    }))
                })
                .collect();
            let mut view = View::default();
            view.view("run", run_view(driver, state, run_id, run, true));
            view.views("tasks", tasks);
            view.set("shape", shape);
            view.views("taskEvents", task_events::of(state, run));
            Ok(view)
        })
        .await?
}

/// The run as such. With one task its input is all that the task was sent, as with a real engine; with several, its
/// output holds theirs by their names.
fn run_view(driver: &Driver, state: &State, id: RunId, run: &Run, payloads: bool) -> View {
    let mut view = View::of(json!({
        "metadata": meta(id, run.created),
        "status": state.status(run).word(),
        "tenantId": driver.tenant.to_string(),
        "displayName": *run.version.workflow,
        "workflowId": run.version.workflow_id.to_string(),
        "workflowVersionId": run.version.id.to_string(),
        "createdAt": rfc3339(run.created),
    }));
    view.payload("additionalMetadata", Payload::Json(run.metadata.clone()));
    add_payload(&mut view, "input", payloads.then(|| Payload::Envelope(run.input.clone())));
    let tasks = || run.tasks.iter().filter_map(|id| Some((state.task(*id)?, state.spec(*id)?)));
    if run.tasks.len() == 1 {
        tasks().for_each(|(task, _)| outcome(&mut view, task, payloads));
        return view;
    }
    let outputs = tasks().filter_map(|(task, spec)| Some((spec.name.clone(), output(&task.phase)?))).collect();
    add_payload(&mut view, "output", payloads.then_some(Payload::Members(outputs)));
    if let Some(error) = tasks().find_map(|(task, _)| error_message(&task.phase)) {
        view.set("errorMessage", error);
    }
    let started = tasks().filter_map(|(task, _)| task.started).min();
    times(&mut view, started, run.finished.map(|end| end.at));
    view
}

/// A run as a row of a list: its one task, or the run with its tasks as children.
fn row(driver: &Driver, state: &State, id: RunId, payloads: bool) -> Option<View> {
    let (_, run) = state.run(id)?;
    if let [only] = run.tasks[..] {
        return task_view(driver, state, only, payloads);
    }
    let made = || run.tasks.iter().filter(|id| state.task(**id).is_some_and(Task::is_made));
    let mut view = run_view(driver, state, id, run, payloads);
    view.set("type", "DAG");
    view.set("taskExternalId", id.to_string());
    view.set("taskId", run.seq);
    view.set("taskInsertedAt", rfc3339(run.created));
    view.set("workflowName", &*run.version.workflow);
    view.set("workflowRunExternalId", id.to_string());
    view.set("numSpawnedChildren", made().count());
    view.set("isEvicted", false);
    view.views("children", made().filter_map(|id| task_view(driver, state, *id, payloads)).collect());
    if let Some(parent) = &run.parent {
        view.set("parentTaskExternalId", parent.task.to_string());
    }
    Some(view)
}

/// A task, as lists and details show it.
pub(super) fn task_view(driver: &Driver, state: &State, id: RunId, payloads: bool) -> Option<View> {
    let task = state.task(id).filter(|task| task.is_made())?;
    let (run_id, run) = state.run(task.run)?;
    let spec = run.version.tasks.get(task.spec)?;
    let mut view = View::of(json!({
        "metadata": meta(id, run.created),
        "type": "TASK",
        "taskExternalId": id.to_string(),
        // Real engines number their rows; so do we.
        "taskId": task.seq,
        "taskInsertedAt": rfc3339(run.created),
        "createdAt": rfc3339(run.created),
        "displayName": *spec.name,
        "actionId": *spec.action,
        "stepId": spec.id.to_string(),
        "status": task.phase.status().word(),
        "retryCount": task.attempt,
        "attempt": task.attempt + 1,
        "tenantId": driver.tenant.to_string(),
        "workflowId": run.version.workflow_id.to_string(),
        "workflowName": *run.version.workflow,
        "workflowVersionId": run.version.id.to_string(),
        "workflowRunExternalId": run_id.to_string(),
        "numSpawnedChildren": task.children.len(),
        "isEvicted": false,
        "isDurable": false,
        "children": [],
    }));
    view.payload("additionalMetadata", Payload::Json(run.metadata.clone()));
    add_payload(&mut view, "input", payloads.then(|| Payload::Json(run.input.clone())));
    if let Some(parent) = &run.parent {
        view.set("parentTaskExternalId", parent.task.to_string());
    }
    outcome(&mut view, task, payloads);
    Some(view)
}

fn outcome(view: &mut View, task: &Task, payloads: bool) {
    add_payload(view, "output", output(&task.phase).filter(|_| payloads).map(Payload::Json));
    if let Some(error) = error_message(&task.phase) {
        view.set("errorMessage", error);
    }
    times(view, task.started, task.finished);
}

/// A payload, or an empty object where there is none or it is not wanted.
fn add_payload(view: &mut View, name: &'static str, payload: Option<Payload>) {
    match payload {
        Some(payload) => view.payload(name, payload),
        None => view.set(name, json!({})),
    }
}

fn output(phase: &Phase) -> Option<Arc<str>> {
    match phase {
        Phase::Completed(output) => Some(output.clone()),
        Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) => None,
        Phase::Failed(_) | Phase::Cancelled(_) => None,
    }
}

fn times(view: &mut View, started: Option<Timestamp>, finished: Option<Timestamp>) {
    if let Some(at) = started {
        view.set("startedAt", rfc3339(at));
    }
    if let Some(at) = finished {
        view.set("finishedAt", rfc3339(at));
        if let Some(started) = started {
            view.set("duration", at.since(started).as_millis() as u64);
        }
    }
}

/// Over gRPC the error of a cancelled task is empty; here there is room for the reason.
fn error_message(phase: &Phase) -> Option<&str> {
    match phase {
        Phase::Failed(error) => Some(error),
        Phase::Cancelled(true) => Some("no worker took the task within its schedule timeout"),
        Phase::Cancelled(false) | Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff => None,
        Phase::Running(_) | Phase::Completed(_) => None,
    }
}

/// What a list asks for.
#[derive(Default)]
struct Wanted {
    selection: RunFilter,
    page: Page,
    payloads: bool,
    only_tasks: bool,
}

async fn list(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Listing, ApiError> {
    own_tenant(&driver, &tenant)?;
    let Wanted { selection, page, payloads, only_tasks } =
        wanted(query.as_deref().unwrap_or_default()).map_err(ApiError::bad_request)?;
    let ids: Vec<RunId> = driver
        .with(|state, _| {
            let runs = state.select(&selection);
            if !only_tasks {
                return runs.collect();
            }
            let made = |id: &RunId| state.task(*id).is_some_and(Task::is_made);
            runs.filter_map(|run| state.run(run)).flat_map(|(_, run)| run.tasks.iter().copied().filter(made)).collect()
        })
        .await?;
    Ok(Listing::new(&driver, &page, ids, move |driver, state, _, id| {
        if only_tasks { task_view(driver, state, *id, payloads) } else { row(driver, state, *id, payloads) }
    })
    .await?)
}

/// Reads a query string: arrays come as repeated keys.
fn wanted(query: &str) -> Result<Wanted, String> {
    let mut wanted = Wanted { payloads: true, ..Wanted::default() };
    for (key, value) in query::pairs(query) {
        let by = &mut wanted.selection;
        match key.as_str() {
            "offset" | "limit" => drop(wanted.page.read(&key, &value)?),
            "since" => by.since = Some(query::time(&key, &value)?),
            "until" => by.until = Some(query::time(&key, &value)?),
            "statuses" => by.statuses.push(status_word(&value)?),
            "workflow_ids" => by.workflows.push(query::read(&key, &value)?),
            "additional_metadata" => by.metadata.add(metadata_pair(&value)?),
            "additional_metadata_operator" => by.all_pairs = all_pairs(&value)?,
            "parent_task_external_id" => by.parent = Some(query::read(&key, &value)?),
            "include_payloads" => wanted.payloads = query::read(&key, &value)?,
            "triggering_event_external_id" => by.event = Some(query::read(&key, &value)?),
            "only_tasks" => wanted.only_tasks = query::read(&key, &value)?,
            other => return Err(query::unknown(other)),
        }
    }
    Ok(wanted)
}

fn all_pairs(operator: &str) -> Result<bool, String> {
    match operator {
        "AND" => Ok(true),
        "OR" => Ok(false),
        other => Err(format!(
            "`{}` is no value for additional_metadata_operator: use AND or OR",
            other.chars().take(80).collect::<String>()
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_as_the_sdks_write_it() {
        let wanted = wanted(
            "offset=2&limit=5&since=2026-01-02T03%3A04%3A05.678901Z&statuses=QUEUED&statuses=FAILED\
             &additional_metadata=a%3Ab&only_tasks=false&include_payloads=false",
        )
        .unwrap();
        assert_eq!((wanted.page.range(100), wanted.payloads), (2..7, false));
        assert_eq!(wanted.selection.since, Some(Timestamp(1_767_323_045_678)));
        assert_eq!(wanted.selection.statuses.len(), 2);
        assert!(wanted.selection.metadata.fits_all(r#"{"a":"b"}"#) && !wanted.selection.metadata.fits_any("{}"));
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        for (query, word) in [
            ("limit=x", "limit"),
            ("since=yesterday", "since"),
            ("statuses=done", "done"),
            ("additional_metadata=x", "x"),
            ("additional_metadata_operator=and", "use AND or OR"),
            ("worker_id=1", "worker_id"),
        ] {
            assert!(wanted(query).is_err_and(|e| e.contains(word)), "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in "[a-z%&=+é0-9]{0,40}") {
            let _ = wanted(&query);
        }
    }
}
