//! Runs: one, its status, and lists.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared, rejection::JsonRejection},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, DEFAULT_ROWS, MAX_ROWS, Refused, id, meta, own_tenant, query, rfc3339, shown, steps};
use crate::{
    engine::{
        assignment,
        driver::Driver,
        grpc::{metadata_pair, status_word, trigger_one},
        state::{
            Moment, Selection, State,
            model::{Phase, Run, Task},
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
            let (_, run) = state.run(id).ok_or_else(Refused::not_found)?;
            Ok(Json(state.status(run).word().into()))
        })
        .await?
}

async fn one(Shared(driver): Shared<Arc<Driver>>, Path(run): Path<String>) -> Answer {
    let id: RunId = id(&run, "workflow run")?;
    details(&driver, id).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trigger {
    workflow_name: String,
    input: Value,
    additional_metadata: Option<Value>,
    priority: Option<i32>,
}

async fn trigger(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    wanted: Result<Json<Trigger>, JsonRejection>,
) -> Answer {
    own_tenant(&driver, &tenant)?;
    let Json(wanted) = wanted.map_err(|e| Refused::bad(e.body_text()))?;
    let request = TriggerWorkflowRequest {
        name: wanted.workflow_name,
        input: wanted.input.to_string(),
        additional_metadata: wanted.additional_metadata.map(|metadata| metadata.to_string()),
        priority: wanted.priority,
        ..TriggerWorkflowRequest::default()
    };
    let id = trigger_one(&driver, request).await.map_err(|status| Refused::bad(status.message()))?;
    details(&driver, id).await
}

/// The ids of all runs that are chosen.
async fn external_ids(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    own_tenant(&driver, &tenant)?;
    let wanted = wanted(query.as_deref().unwrap_or_default()).map_err(Refused::bad)?;
    Ok(Json(
        driver.with(|state, _| state.select(&wanted.selection).map(|id| Value::from(id.to_string())).collect()).await?,
    ))
}

/// A run with its tasks, and what they are to each other.
async fn details(driver: &Driver, id: RunId) -> Answer {
    driver
        .with(|state, _| {
            let (run_id, run) = state.run(id).ok_or_else(Refused::not_found)?;
            let tasks: Vec<Value> = run.tasks.iter().filter_map(|task| task_view(driver, state, *task, true)).collect();
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
            Ok(Json(json!({
                "run": run_view(driver, state, run_id, run),
                "tasks": tasks, "shape": shape, "taskEvents": steps::of(state, run),
            })))
        })
        .await?
}

/// The run as such. With one task its input is all that the task was sent, as with a real engine; with several, its
/// output holds theirs by their names.
fn run_view(driver: &Driver, state: &State, id: RunId, run: &Run) -> Value {
    let mut view = json!({
        "metadata": meta(id, run.created),
        "status": state.status(run).word(),
        "tenantId": driver.tenant.to_string(),
        "displayName": *run.version.workflow,
        "workflowId": run.version.workflow_id.to_string(),
        "workflowVersionId": run.version.id.to_string(),
        "additionalMetadata": shown(&run.metadata),
        "createdAt": rfc3339(run.created),
        "input": shown(&assignment::payload(&run.input, "", None)),
        "output": {},
    });
    let tasks = || run.tasks.iter().filter_map(|id| Some((state.task(*id)?, state.spec(*id)?)));
    if run.tasks.len() == 1 {
        tasks().for_each(|(task, _)| outcome(&mut view, task));
        return view;
    }
    for (task, spec) in tasks() {
        if let Some(output) = assignment::output(&task.phase) {
            view["output"][&*spec.name] = shown(output);
        }
        if let (Some(error), None) = (error_message(&task.phase), view.get("errorMessage")) {
            view["errorMessage"] = error.into();
        }
    }
    let started = tasks().filter_map(|(task, _)| task.started).min();
    times(&mut view, started, run.finished.map(|end| end.at));
    view
}

/// A run as a row of a list: its one task, or the run with its tasks as children.
fn row(driver: &Driver, state: &State, id: RunId, payloads: bool) -> Option<Value> {
    let (_, run) = state.run(id)?;
    if let [only] = run.tasks[..] {
        return task_view(driver, state, only, payloads);
    }
    let made = || run.tasks.iter().filter(|id| state.task(**id).is_some_and(Task::is_made));
    let mut view = run_view(driver, state, id, run);
    let more = json!({
        "type": "DAG",
        "taskExternalId": id.to_string(),
        "taskId": run.seq,
        "taskInsertedAt": rfc3339(run.created),
        "workflowName": *run.version.workflow,
        "workflowRunExternalId": id.to_string(),
        "numSpawnedChildren": made().count(),
        "isEvicted": false,
        "children": made().filter_map(|id| task_view(driver, state, *id, payloads)).collect::<Vec<_>>(),
    });
    if let (Value::Object(view), Value::Object(more)) = (&mut view, more) {
        view.extend(more);
    }
    if let Some(parent) = &run.parent {
        view["parentTaskExternalId"] = parent.task.to_string().into();
    }
    if !payloads {
        (view["input"], view["output"]) = (json!({}), json!({}));
    }
    Some(view)
}

/// A task, as lists and details show it.
pub(super) fn task_view(driver: &Driver, state: &State, id: RunId, payloads: bool) -> Option<Value> {
    let task = state.task(id).filter(|task| task.is_made())?;
    let (run_id, run) = state.run(task.run)?;
    let spec = run.version.tasks.get(task.spec)?;
    let mut view = json!({
        "metadata": meta(id, run.created),
        "type": "TASK",
        "taskExternalId": id.to_string(),
        // Real engines number their rows; so do we.
        "taskId": task.number,
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
        "additionalMetadata": shown(&run.metadata),
        "numSpawnedChildren": task.children.len(),
        "isEvicted": false,
        "isDurable": false,
        "children": [],
        "input": if payloads { shown(&run.input) } else { json!({}) },
        "output": {},
    });
    if let Some(parent) = &run.parent {
        view["parentTaskExternalId"] = parent.task.to_string().into();
    }
    outcome(&mut view, task);
    if !payloads {
        view["output"] = json!({});
    }
    Some(view)
}

fn outcome(view: &mut Value, task: &Task) {
    if let Some(output) = assignment::output(&task.phase) {
        view["output"] = shown(output);
    }
    if let Some(error) = error_message(&task.phase) {
        view["errorMessage"] = error.into();
    }
    times(view, task.started, task.finished);
}

fn times(view: &mut Value, started: Option<Moment>, finished: Option<Moment>) {
    if let Some(at) = started {
        view["startedAt"] = rfc3339(at).into();
    }
    if let Some(at) = finished {
        view["finishedAt"] = rfc3339(at).into();
        if let Some(started) = started {
            view["duration"] = (at.since(started).as_millis() as u64).into();
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
    selection: Selection,
    offset: usize,
    limit: usize,
    payloads: bool,
    only_tasks: bool,
}

async fn list(Shared(driver): Shared<Arc<Driver>>, Path(tenant): Path<String>, RawQuery(query): RawQuery) -> Answer {
    own_tenant(&driver, &tenant)?;
    let wanted = wanted(query.as_deref().unwrap_or_default()).map_err(Refused::bad)?;
    driver
        .with(|state, _| {
            let runs = state.select(&wanted.selection);
            let ids: Vec<RunId> = if wanted.only_tasks {
                let made = |id: &RunId| state.task(*id).is_some_and(Task::is_made);
                runs.filter_map(|run| state.run(run))
                    .flat_map(|(_, run)| run.tasks.iter().copied().filter(made))
                    .collect()
            } else {
                runs.collect()
            };
            let view = |id: &RunId| match wanted.only_tasks {
                true => task_view(&driver, state, *id, wanted.payloads),
                false => row(&driver, state, *id, wanted.payloads),
            };
            let rows: Vec<Value> = ids.iter().skip(wanted.offset).take(wanted.limit).filter_map(view).collect();
            Ok(Json(json!({
                "rows": rows, "pagination": super::pagination(wanted.offset, wanted.limit, ids.len()),
            })))
        })
        .await?
}

/// Reads a query string: arrays come as repeated keys.
fn wanted(query: &str) -> Result<Wanted, String> {
    let mut wanted = Wanted { limit: DEFAULT_ROWS, payloads: true, ..Wanted::default() };
    for (key, value) in query::pairs(query) {
        let by = &mut wanted.selection;
        match key.as_str() {
            "offset" => wanted.offset = query::read(&key, &value)?,
            "limit" => wanted.limit = query::read::<usize>(&key, &value)?.clamp(1, MAX_ROWS),
            "since" => by.since = Some(query::time(&key, &value)?),
            "until" => by.until = Some(query::time(&key, &value)?),
            "statuses" => by.statuses.push(status_word(&value)?),
            "workflow_ids" => by.workflows.push(query::read(&key, &value)?),
            "additional_metadata" => by.metadata.push(metadata_pair(&value)?),
            "parent_task_external_id" => by.parent = Some(query::read(&key, &value)?),
            "include_payloads" => wanted.payloads = query::read(&key, &value)?,
            "triggering_event_external_id" => by.event = Some(query::read(&key, &value)?),
            "only_tasks" => wanted.only_tasks = query::read(&key, &value)?,
            other => return Err(query::unknown(other)),
        }
    }
    Ok(wanted)
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
        assert_eq!((wanted.offset, wanted.limit, wanted.payloads), (2, 5, false));
        assert_eq!(wanted.selection.since, Some(Moment(1_767_323_045_678)));
        assert_eq!(wanted.selection.statuses.len(), 2);
        assert_eq!(wanted.selection.metadata, [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        for (query, word) in [
            ("limit=x", "limit"),
            ("since=yesterday", "since"),
            ("statuses=done", "done"),
            ("additional_metadata=x", "x"),
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
