//! Workflow runs: details, status, stream chunks, triggers and lists.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{RawQuery, State as AxumState},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ApiError,
    request::{
        Body, PathParam, body, object_text,
        page::{LastPage, Page},
        query,
    },
    response::{
        JsonResponse,
        chunk_stream::chunk_stream,
        json_object::JsonObject,
        list::ListResponse,
        resource_metadata, rfc3339,
        run::{TaskView, display_name, list_row, run_name, run_object, task_object, task_row},
    },
    task_events::run_events,
};
use crate::{
    engine::{
        driver::{Driver, EventFilter},
        state::{Capacity, HistoryEventKind, RunFilter, State, Triggered},
        validate::{
            definition::workflow_config, filter::parse_status, template::validate_template, trigger::validate_item,
        },
    },
    hatchet::wire::{RunId, WorkerId, excerpt},
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/workflow-runs/{workflow_run}", get(get_run))
        .route("/api/v1/stable/workflow-runs/{workflow_run}/status", get(get_status))
        .route("/api/v1/stable/workflow-runs/{workflow_run}/task-timings", get(get_timings))
        .route("/api/v1/tenants/{tenant}/embedded-stream/{workflow_run}", get(stream_chunks))
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs/display-names", get(list_names))
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs", get(list_runs))
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs/trigger", post(trigger_run))
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs/external-ids", get(list_ids))
}

async fn get_run(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<RunId>,
) -> Result<JsonObject, ApiError> {
    driver.with(|state, _| details(&driver, state, id).ok_or_else(ApiError::not_found)).await?
}

async fn get_status(AxumState(driver): AxumState<Arc<Driver>>, PathParam(id): PathParam<RunId>) -> JsonResponse {
    driver
        .with(|state, _| {
            let (_, run) = state.run(id).ok_or_else(ApiError::not_found)?;
            Ok(Json(state.rest_status(run).as_str().into()))
        })
        .await?
}

/// The stream chunks of a run, or of the run of a task, until it has finished. This route is not part of Hatchet's API.
async fn stream_chunks(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<RunId>,
) -> Result<Response, ApiError> {
    let events = driver.subscribe_events(EventFilter::Run(id)).ok_or_else(ApiError::not_found)?;
    Ok(chunk_stream(events))
}

/// The times of the tasks of a run. As in a real engine, child runs are not part of the list.
async fn get_timings(AxumState(driver): AxumState<Arc<Driver>>, PathParam(id): PathParam<RunId>) -> JsonResponse {
    driver
        .with(|state, _| {
            let (run_id, run) = state.run(id).ok_or_else(ApiError::not_found)?;
            let rows: Vec<Value> = run.tasks.iter().filter_map(|task| timing(&driver, state, run_id, *task)).collect();
            Ok(Json(json!({ "pagination": {}, "rows": rows })))
        })
        .await?
}

fn timing(driver: &Driver, state: &State, run_id: RunId, id: RunId) -> Option<Value> {
    let task = state.task(id).filter(|task| task.is_created())?;
    let (_, run) = state.run(run_id)?;
    let queued = task.history.numbered().filter(|(_, event)| event.kind == HistoryEventKind::Queued).last();
    let mut row = json!({
        "metadata": resource_metadata(id, run.created),
        "depth": 0,
        "attempt": task.attempt + 1,
        "retryCount": task.attempt,
        "status": task.phase.rest_status().as_str(),
        "taskDisplayName": display_name(&state.spec(id)?.definition.name, run),
        "taskExternalId": id.to_string(),
        "taskId": task.seq,
        "taskInsertedAt": rfc3339(run.created),
        "tenantId": driver.tenant.to_string(),
        "workflowRunId": run_id.to_string(),
    });
    for (name, time) in
        [("queuedAt", queued.map(|(_, event)| event.at)), ("startedAt", task.started), ("finishedAt", task.finished)]
    {
        if let Some(time) = time {
            row[name] = rfc3339(time).into();
        }
    }
    Some(row)
}

/// The display names of runs by their ids. Unknown ids are left out.
async fn list_names(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> JsonResponse {
    let mut ids = Vec::<RunId>::new();
    for (key, value) in query::pairs(query.as_deref()) {
        match key.as_str() {
            "external_ids" => ids.push(query::parse(&key, &value)?),
            other => return Err(query::unknown(other)),
        }
    }
    if ids.is_empty() {
        return Err(ApiError::bad_request("query parameter 'external_ids' is required"));
    }
    let rows: Vec<Value> = driver
        .with(|state, _| {
            let runs = ids.iter().filter_map(|id| state.run(*id));
            runs.map(|(id, run)| {
                json!({ "metadata": resource_metadata(id, run.created), "displayName": display_name(run_name(run), run) })
            })
            .collect()
        })
        .await?;
    Ok(Json(json!({ "pagination": { "current_page": 1, "num_pages": 1 }, "rows": rows })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TriggerBody {
    workflow_name: String,
    input: Option<Value>,
    additional_metadata: Option<Value>,
    priority: Option<i32>,
}

async fn trigger_run(
    AxumState(driver): AxumState<Arc<Driver>>,
    request: Body<TriggerBody>,
) -> Result<JsonObject, ApiError> {
    let request = body(request)?;
    let input = object_text("input", request.input)?.unwrap_or_default();
    let metadata = object_text("additionalMetadata", request.additional_metadata)?;
    let max = driver.max_message;
    let template = validate_template(&request.workflow_name, &input, metadata.as_deref(), request.priority, max)?;
    let version = driver.apply(|state, _| state.version_of(&request.workflow_name).cloned());
    let item = validate_item(template, None, version.as_deref())?;
    driver
        .add(Capacity::Runs, |state, now| match state.trigger(vec![item], now)?[..] {
            [Triggered::New(id) | Triggered::Existing(id)] => {
                details(&driver, state, id).ok_or_else(ApiError::not_found)
            }
            [Triggered::Collision { .. }] => Err(ApiError::bad_request("idempotency key collision")),
            [] | [_, _, ..] => Err(ApiError::from_status(StatusCode::INTERNAL_SERVER_ERROR)),
        })
        .await?
}

/// The ids of all runs that match the filter, the oldest first.
async fn list_ids(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> JsonResponse {
    let query = ListQuery::parse(query.as_deref())?;
    if query.filter.all_pairs {
        // A real engine ignores the operator in this list.
        return Err(ApiError::bad_request(
            "this list matches runs with any of the pairs: additional_metadata_operator AND is not supported",
        ));
    }
    let mut ids: Vec<RunId> = driver.with(|state, _| state.select(&query.filter).collect()).await?;
    ids.reverse();
    Ok(Json(ids.iter().map(|id| Value::from(id.to_string())).collect()))
}

/// A run with its tasks, the graph of its tasks, and its history.
fn details(driver: &Driver, state: &State, id: RunId) -> Option<JsonObject> {
    let (run_id, run) = state.run(id)?;
    let tasks = run.tasks.iter().filter_map(|task| task_object(driver, state, *task, TaskView::InRun)).collect();
    let node = |task: &RunId| {
        let spec = state.spec(*task)?;
        let step_id = |index: &usize| run.version.task(*index).map(|spec| spec.id.to_string());
        let children: Vec<String> = spec.children.iter().filter_map(step_id).collect();
        Some(json!({
            "taskExternalId": task.to_string(), "stepId": spec.id.to_string(),
            "childrenStepIds": children, "taskName": *spec.definition.name,
        }))
    };
    let mut object = JsonObject::default();
    object.object("run", run_object(driver, state, run_id, run, true));
    object.objects("tasks", tasks);
    object.set("shape", run.tasks.iter().filter_map(node).collect::<Vec<Value>>());
    object.objects("taskEvents", run_events(state, run));
    object.set("workflowConfig", workflow_config(&run.version.definition.content));
    Some(object)
}

/// The parameters of a list of runs.
struct ListQuery {
    filter: RunFilter,
    page: Page,
    include_payloads: bool,
    /// Rows are tasks instead of runs, and a status is that of a task.
    only_tasks: bool,
    /// Selects tasks whose latest attempt was assigned to this worker.
    worker: Option<WorkerId>,
}

impl ListQuery {
    fn parse(query: Option<&str>) -> Result<Self, ApiError> {
        let mut parsed = Self {
            filter: RunFilter::default(),
            page: Page::default().last_page(LastPage::Next),
            include_payloads: false,
            only_tasks: false,
            worker: None,
        };
        for (key, value) in query::pairs(query) {
            let filter = &mut parsed.filter;
            match key.as_str() {
                "offset" | "limit" => parsed.page.set(&key, &value)?,
                "statuses" => filter.statuses.push(parse_status(&value)?),
                "additional_metadata_operator" => filter.all_pairs = requires_all_pairs(&value)?,
                "include_payloads" => parsed.include_payloads = query::parse(&key, &value)?,
                "only_tasks" => parsed.only_tasks = query::parse(&key, &value)?,
                "worker_id" => parsed.worker = Some(query::parse(&key, &value)?),
                other => query::run_filter(filter, other, &value)?,
            }
        }
        if parsed.worker.is_some() && !parsed.only_tasks {
            // A real engine ignores the worker then.
            return Err(ApiError::bad_request("worker_id selects tasks: add only_tasks=true"));
        }
        Ok(parsed)
    }
}

fn requires_all_pairs(operator: &str) -> Result<bool, ApiError> {
    match operator {
        "AND" => Ok(true),
        "OR" => Ok(false),
        other => Err(ApiError::bad_request(format!(
            "invalid additional_metadata_operator `{}`: use AND or OR",
            excerpt(other)
        ))),
    }
}

async fn list_runs(
    AxumState(driver): AxumState<Arc<Driver>>,
    RawQuery(query): RawQuery,
) -> Result<ListResponse, ApiError> {
    let ListQuery { mut filter, page, include_payloads, only_tasks, worker } = ListQuery::parse(query.as_deref())?;
    let ids: Vec<RunId> = driver
        .with(|state, _| {
            if !only_tasks {
                return state.select(&filter).collect();
            }
            let statuses = std::mem::take(&mut filter.statuses);
            let matches = |id: &RunId| {
                state.task(*id).filter(|task| task.is_created()).is_some_and(|task| {
                    (statuses.is_empty() || statuses.contains(&task.phase.rest_status()))
                        && worker.is_none_or(|worker| task.latest_worker() == Some(worker))
                })
            };
            let runs = state.select(&filter).filter_map(|run| state.run(run));
            runs.flat_map(|(_, run)| run.tasks.iter().copied().filter(matches)).collect()
        })
        .await?;
    let row = if only_tasks { task_row } else { list_row };
    let list =
        ListResponse::new(&driver, &page, ids, move |driver, state, _, id| row(driver, state, *id, include_payloads));
    Ok(list.await?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::state::Timestamp;

    #[test]
    fn list_query_of_the_sdks_is_parsed() {
        let query = ListQuery::parse(Some(
            "offset=2&limit=5&since=2026-01-02T03%3A04%3A05.678901Z&statuses=QUEUED&statuses=FAILED\
             &additional_metadata=a%3Ab&only_tasks=false&include_payloads=true",
        ))
        .unwrap();
        assert_eq!((query.page.range(100), query.include_payloads), (2..7, true));
        assert_eq!(query.filter.since, Some(Timestamp(1_767_323_045_678)));
        assert_eq!(query.filter.statuses.len(), 2);
        assert!(query.filter.metadata.matches_all(r#"{"a":"b"}"#) && !query.filter.metadata.matches_any("{}"));
    }

    #[test]
    fn invalid_parameter_is_named() {
        for (query, part) in [
            ("limit=x", "limit"),
            ("since=yesterday", "since"),
            ("statuses=done", "done"),
            ("additional_metadata=x", "x"),
            ("additional_metadata_operator=and", "use AND or OR"),
            ("worker_id=1&only_tasks=true", "worker_id"),
            ("worker_id=707d0855-80ab-4e1f-a156-f1c4546cbf52", "only_tasks=true"),
            ("tenant=1", "tenant"),
        ] {
            assert!(ListQuery::parse(Some(query)).is_err_and(|e| e.message().contains(part)), "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_parsed_or_refused(query in "[a-z%&=+é0-9]{0,40}") {
            let _ = ListQuery::parse(Some(&query));
        }
    }
}
