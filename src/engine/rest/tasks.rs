//! Tasks: one, its log, cancelling and replaying.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared, rejection::JsonRejection},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiError, id, own_tenant, query, rfc3339, runs, shown, view::View};
use crate::{
    engine::{
        driver::Driver,
        state::{ClockReading, RunFilter, State, Timestamp, model::LogLine},
        validate::payload::{metadata_pair, status_word},
    },
    hatchet::wire::RunId,
};

/// Most runs that one filter chooses: the real engine's.
const MAX_CHOSEN: usize = 20_000;

/// Hatchet's API requires it, and a filter that chooses every run there is would be a slip.
const NO_SINCE: &str = "the filter has no `since`: name the time from which on runs are meant, as \
                        2026-01-31T00:00:00Z";

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tasks/{task}", get(one))
        .route("/api/v1/stable/tasks/{task}/logs", get(logs))
        .route("/api/v1/stable/tenants/{tenant}/tasks/cancel", post(cancel))
        .route("/api/v1/stable/tenants/{tenant}/tasks/replay", post(replay))
}

async fn one(Shared(driver): Shared<Arc<Driver>>, Path(task): Path<String>) -> Result<View, ApiError> {
    let id: RunId = id(&task, "task")?;
    driver.with(|state, _| runs::task_view(&driver, state, id, true).ok_or_else(ApiError::not_found)).await?
}

/// What a reader of a log asks for.
#[derive(Default)]
struct Lines {
    limit: Option<usize>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    search: String,
    levels: Vec<String>,
    newest_first: bool,
    attempt: Option<i32>,
}

impl Lines {
    fn read(text: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (key, value) in query::pairs(text) {
            match key.as_str() {
                "limit" => wanted.limit = Some(query::read(&key, &value)?),
                "since" => wanted.since = Some(query::time(&key, &value)?),
                "until" => wanted.until = Some(query::time(&key, &value)?),
                "search" => wanted.search = value,
                "levels" => wanted.levels.push(value),
                "order_by_direction" => wanted.newest_first = value == "DESC",
                "attempt" => wanted.attempt = Some(query::read(&key, &value)?),
                other => return Err(query::unknown(other)),
            }
        }
        Ok(wanted)
    }

    fn fits(&self, line: &LogLine) -> bool {
        self.since.is_none_or(|at| line.at >= at)
            && self.until.is_none_or(|at| line.at <= at)
            && line.message.contains(&self.search)
            && (self.levels.is_empty() || self.levels.iter().any(|level| level == line.level))
            && self.attempt.is_none_or(|n| n == line.attempt + 1)
    }
}

async fn logs(Shared(driver): Shared<Arc<Driver>>, Path(task): Path<String>, RawQuery(text): RawQuery) -> Answer {
    let id: RunId = id(&task, "task")?;
    let wanted = Lines::read(text.as_deref().unwrap_or_default()).map_err(ApiError::bad_request)?;
    driver
        .with(|state, _| {
            state.task(id).ok_or_else(ApiError::not_found)?;
            let name = state.spec(id).map(|spec| spec.name.to_string());
            let view = |line: &LogLine| {
                json!({
                    "createdAt": rfc3339(line.at), "message": line.message, "level": line.level,
                    "metadata": shown(&line.metadata), "retryCount": line.attempt, "attempt": line.attempt + 1,
                    "taskExternalId": id.to_string(), "taskDisplayName": name,
                })
            };
            let limit = wanted.limit.unwrap_or(usize::MAX);
            let lines = state.lines(id).filter(|line| wanted.fits(line));
            let rows: Vec<Value> = if wanted.newest_first {
                lines.rev().take(limit).map(view).collect()
            } else {
                lines.take(limit).map(view).collect()
            };
            Ok(Json(json!({ "rows": rows })))
        })
        .await?
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chosen {
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

async fn cancel(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    chosen: Result<Json<Chosen>, JsonRejection>,
) -> Answer {
    each(&driver, &tenant, chosen, |state, id, now| {
        state.cancel(id, now);
        true
    })
    .await
}

async fn replay(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    chosen: Result<Json<Chosen>, JsonRejection>,
) -> Answer {
    each(&driver, &tenant, chosen, State::replay).await
}

async fn each(
    driver: &Driver,
    tenant: &str,
    chosen: Result<Json<Chosen>, JsonRejection>,
    act: impl Fn(&mut State, RunId, ClockReading) -> bool,
) -> Answer {
    own_tenant(driver, tenant)?;
    let Json(chosen) = chosen.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let selection = chosen.filter.map(selection).transpose().map_err(ApiError::bad_request)?;
    if selection.is_some() && chosen.external_ids.as_ref().is_some_and(|ids| !ids.is_empty()) {
        return Err(ApiError::bad_request("cannot provide both external ids and filter"));
    }
    let ids: Vec<String> = driver
        .with(|state, now| {
            let ids = match &selection {
                Some(selection) => state.select(selection).take(MAX_CHOSEN).collect(),
                None => chosen.external_ids.unwrap_or_default(),
            };
            ids.into_iter().filter(|id| act(state, *id, now)).map(|id| id.to_string()).collect()
        })
        .await?;
    Ok(Json(json!({ "ids": ids })))
}

fn selection(filter: Filter) -> Result<RunFilter, String> {
    // A real engine takes the filter for one of the year 1, finds nothing and says OK: see the head of `engine`.
    let since = filter.since.ok_or(NO_SINCE)?;
    let statuses = filter.statuses.unwrap_or_default();
    let metadata = filter.additional_metadata.unwrap_or_default();
    Ok(RunFilter {
        since: Some(query::time("since", &since)?),
        until: filter.until.map(|text| query::time("until", &text)).transpose()?,
        statuses: statuses.iter().map(|word| status_word(word)).collect::<Result<_, _>>()?,
        workflows: filter.workflow_ids.unwrap_or_default(),
        metadata: metadata.iter().map(|pair| metadata_pair(pair)).collect::<Result<_, _>>()?,
        all_pairs: false,
        parent: None,
        event: None,
    })
}
