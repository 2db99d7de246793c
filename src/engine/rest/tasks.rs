//! Tasks: details, logs, cancelling and replaying.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{RawQuery, State as AxumState},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ApiError,
    request::{Body, PathParam, body, query},
    response::{
        JsonResponse,
        json_object::JsonObject,
        rfc3339,
        run::{TaskView, display_name, task_object},
    },
};
use crate::{
    engine::{
        driver::Driver,
        state::{ClockReading, LogLine, RunFilter, State, Timestamp},
        validate::filter::{parse_metadata_pair, parse_status},
    },
    hatchet::wire::RunId,
};

/// Largest number of runs that a filter selects, as in a real engine.
const MAX_SELECTED: usize = 20_000;

/// Hatchet's API requires `since`; a filter that selects every run is probably a mistake.
const MISSING_SINCE: &str = "the filter has no `since`: add the time of the oldest run, such as 2026-01-31T00:00:00Z";

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tasks/{task}", get(get_task))
        .route("/api/v1/stable/tasks/{task}/logs", get(list_logs))
        .route("/api/v1/stable/tenants/{tenant}/tasks/cancel", post(cancel))
        .route("/api/v1/stable/tenants/{tenant}/tasks/replay", post(replay))
}

async fn get_task(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<RunId>,
) -> Result<JsonObject, ApiError> {
    driver.with(|state, _| task_object(&driver, state, id, TaskView::Alone).ok_or_else(ApiError::not_found)).await?
}

/// The parameters of a list of log lines.
#[derive(Default)]
struct LogQuery {
    limit: Option<usize>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    search: String,
    levels: Vec<String>,
    newest_first: bool,
    attempt: Option<i32>,
}

impl LogQuery {
    fn parse(query: Option<&str>) -> Result<Self, ApiError> {
        let mut parsed = Self::default();
        for (key, value) in query::pairs(query) {
            match key.as_str() {
                "limit" => parsed.limit = Some(query::parse(&key, &value)?),
                "since" => parsed.since = Some(query::time(&key, &value)?),
                "until" => parsed.until = Some(query::time(&key, &value)?),
                "search" => parsed.search = value,
                "levels" => parsed.levels.push(value),
                "order_by_direction" => parsed.newest_first = value == "DESC",
                "attempt" => parsed.attempt = Some(query::parse(&key, &value)?),
                other => return Err(query::unknown(other)),
            }
        }
        Ok(parsed)
    }

    fn matches(&self, line: &LogLine) -> bool {
        // Both are exclusive, as in a real engine.
        self.since.is_none_or(|since| line.at > since)
            && self.until.is_none_or(|until| line.at < until)
            && line.message.contains(&self.search)
            && (self.levels.is_empty() || self.levels.iter().any(|level| level == line.level))
            && self.attempt.is_none_or(|n| n == line.attempt + 1)
    }
}

async fn list_logs(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<RunId>,
    RawQuery(query): RawQuery,
) -> JsonResponse {
    let query = LogQuery::parse(query.as_deref())?;
    driver
        .with(|state, _| {
            state.task(id).ok_or_else(ApiError::not_found)?;
            let (_, run) = state.run(id).ok_or_else(ApiError::not_found)?;
            let name = state.spec(id).map(|spec| display_name(&spec.definition.name, run));
            let row = |line: &LogLine| {
                let metadata: Value = serde_json::from_str(&line.metadata).unwrap_or_else(|_| json!({}));
                json!({
                    "createdAt": rfc3339(line.at), "message": line.message, "level": line.level,
                    "metadata": metadata, "retryCount": line.attempt, "attempt": line.attempt + 1,
                    "taskExternalId": id.to_string(), "taskDisplayName": name,
                })
            };
            let limit = query.limit.unwrap_or(usize::MAX);
            let lines = state.lines(id).filter(|line| query.matches(line));
            let rows: Vec<Value> = if query.newest_first {
                lines.rev().take(limit).map(row).collect()
            } else {
                lines.take(limit).map(row).collect()
            };
            Ok(Json(json!({ "rows": rows })))
        })
        .await?
}

/// Selects runs and tasks by their ids or by a filter.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    external_ids: Option<Vec<RunId>>,
    filter: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    since: Option<String>,
    until: Option<String>,
    statuses: Option<Vec<String>>,
    workflow_ids: Option<Vec<uuid::Uuid>>,
    additional_metadata: Option<Vec<String>>,
}

async fn cancel(AxumState(driver): AxumState<Arc<Driver>>, selection: Body<Selection>) -> JsonResponse {
    apply_to_each(&driver, selection, |state, id, now| {
        state.cancel(id, now);
        true
    })
    .await
}

async fn replay(AxumState(driver): AxumState<Arc<Driver>>, selection: Body<Selection>) -> JsonResponse {
    apply_to_each(&driver, selection, State::replay).await
}

/// Applies an operation to the selected runs. Responds with the ids for which it returned `true`.
async fn apply_to_each(
    driver: &Driver,
    selection: Body<Selection>,
    operation: impl Fn(&mut State, RunId, ClockReading) -> bool,
) -> JsonResponse {
    let Selection { external_ids, filter } = body(selection)?;
    let filter = filter.map(run_filter).transpose()?;
    let external_ids = external_ids.unwrap_or_default();
    if filter.is_some() && !external_ids.is_empty() {
        return Err(ApiError::bad_request("cannot provide both external ids and filter"));
    }
    let ids: Vec<String> = driver
        .with(|state, now| {
            let ids = match &filter {
                Some(filter) => state.select(filter).take(MAX_SELECTED).collect(),
                None => external_ids,
            };
            ids.into_iter().filter(|id| operation(state, *id, now)).map(|id| id.to_string()).collect()
        })
        .await?;
    Ok(Json(json!({ "ids": ids })))
}

fn run_filter(filter: Filter) -> Result<RunFilter, ApiError> {
    // A real engine takes a missing `since` for a time in the year 1, finds nothing and responds with OK.
    let since = filter.since.ok_or_else(|| ApiError::bad_request(MISSING_SINCE))?;
    let statuses = filter.statuses.unwrap_or_default();
    let metadata = filter.additional_metadata.unwrap_or_default();
    Ok(RunFilter {
        since: Some(query::time("since", &since)?),
        until: filter.until.map(|text| query::time("until", &text)).transpose()?,
        statuses: statuses.iter().map(|name| parse_status(name)).collect::<Result<_, _>>()?,
        workflows: filter.workflow_ids.unwrap_or_default(),
        metadata: metadata.iter().map(|pair| parse_metadata_pair(pair)).collect::<Result<_, _>>()?,
        ..RunFilter::default()
    })
}
