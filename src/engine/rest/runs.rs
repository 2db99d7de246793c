//! Runs: one, its status, and lists.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared},
    routing::get,
};
use serde_json::{Value, json};

use super::{Answer, DEFAULT_ROWS, Refused, id, meta, own_tenant, query, rfc3339, shown};
use crate::{
    engine::{
        assignment,
        driver::Driver,
        grpc::{metadata_pair, status_word},
        state::{
            Selection, State,
            model::{Phase, Run, Task},
        },
    },
    hatchet::wire::RunId,
};

/// Rows of one answer at most: a bound of ours.
const MAX_ROWS: usize = 1000;

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/workflow-runs/{run}", get(one))
        .route("/api/v1/stable/workflow-runs/{run}/status", get(status))
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs", get(list))
}

async fn status(Shared(driver): Shared<Arc<Driver>>, Path(run): Path<String>) -> Answer {
    let id: RunId = id(&run, "workflow run")?;
    driver.with(|state, _| {
        let (_, run) = state.run(id).ok_or_else(Refused::not_found)?;
        Ok(Json(state.status(run).word().into()))
    })
}

async fn one(Shared(driver): Shared<Arc<Driver>>, Path(run): Path<String>) -> Answer {
    let id: RunId = id(&run, "workflow run")?;
    driver.with(|state, _| {
        let (run_id, run) = state.run(id).ok_or_else(Refused::not_found)?;
        let tasks: Vec<Value> = run.tasks.iter().filter_map(|task| task_view(&driver, state, *task, true)).collect();
        let shape: Vec<Value> = run
            .tasks
            .iter()
            .filter_map(|task| {
                let spec = state.spec(*task)?;
                Some(json!({
                    "taskExternalId": task.to_string(), "stepId": spec.id.to_string(),
                    "childrenStepIds": [], "taskName": *spec.name,
                }))
            })
            .collect();
        Ok(Json(json!({
            "run": run_view(&driver, state, run_id, run),
            "tasks": tasks, "shape": shape, "taskEvents": [],
        })))
    })
}

/// The run as such. Its input is all that its task was sent, as with a real engine.
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
        "input": shown(&assignment::payload(&run.input)),
        "output": {},
    });
    if let [only] = run.tasks[..]
        && let Some(task) = state.task(only)
    {
        outcome(&mut view, task);
    }
    view
}

/// A task, as lists and details show it.
pub(super) fn task_view(driver: &Driver, state: &State, id: RunId, payloads: bool) -> Option<Value> {
    let task = state.task(id)?;
    let (run_id, run) = state.run(task.run)?;
    let spec = run.version.tasks.get(task.spec)?;
    let mut view = json!({
        "metadata": meta(id, run.created),
        "type": "TASK",
        "taskExternalId": id.to_string(),
        // Real engines number their rows; here the order of making serves.
        "taskId": run.seq,
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
    if let Some(at) = task.started {
        view["startedAt"] = rfc3339(at).into();
    }
    if let Some(at) = task.finished {
        view["finishedAt"] = rfc3339(at).into();
        if let Some(started) = task.started {
            view["duration"] = (at.since(started).as_millis() as u64).into();
        }
    }
}

/// Over gRPC the error of a cancelled task is empty; here there is room for the reason.
fn error_message(phase: &Phase) -> Option<&str> {
    match phase {
        Phase::Failed(error) => Some(error),
        Phase::Cancelled(true) => Some("no worker took the task within its schedule timeout"),
        Phase::Cancelled(false) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) | Phase::Completed(_) => None,
    }
}

/// What a list asks for.
#[derive(Default)]
struct Wanted {
    selection: Selection,
    offset: usize,
    limit: usize,
    payloads: bool,
}

async fn list(Shared(driver): Shared<Arc<Driver>>, Path(tenant): Path<String>, RawQuery(query): RawQuery) -> Answer {
    own_tenant(&driver, &tenant)?;
    let wanted = wanted(query.as_deref().unwrap_or_default()).map_err(Refused::bad)?;
    driver.with(|state, _| {
        let ids: Vec<RunId> = state.select(&wanted.selection).collect();
        let rows: Vec<Value> = ids
            .iter()
            .skip(wanted.offset)
            .take(wanted.limit)
            .filter_map(|run| state.run(*run))
            .flat_map(|(_, run)| run.tasks.iter())
            .filter_map(|task| task_view(&driver, state, *task, wanted.payloads))
            .collect();
        Ok(Json(json!({
            "rows": rows, "pagination": super::pagination(wanted.offset, wanted.limit, ids.len()),
        })))
    })
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
            // One task is one run as long as workflows have one task.
            "only_tasks" => drop(query::read::<bool>(&key, &value)?),
            other => return Err(query::unknown(other)),
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::state::Moment;

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
