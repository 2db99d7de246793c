//! Tasks: one, its log, cancelling and replaying.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State as Shared, rejection::JsonRejection},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refused, id, own_tenant, rfc3339, runs, shown};
use crate::{
    engine::{
        driver::Driver,
        grpc::{metadata_pair, status_word},
        state::{Moment, Selection, State},
    },
    hatchet::wire::RunId,
};

/// Most runs that one filter chooses: the real engine's.
const MAX_CHOSEN: usize = 20_000;

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tasks/{task}", get(one))
        .route("/api/v1/stable/tasks/{task}/logs", get(logs))
        .route("/api/v1/stable/tenants/{tenant}/tasks/cancel", post(cancel))
        .route("/api/v1/stable/tenants/{tenant}/tasks/replay", post(replay))
}

async fn one(Shared(driver): Shared<Arc<Driver>>, Path(task): Path<String>) -> Answer {
    let id: RunId = id(&task, "task")?;
    driver.with(|state, _| runs::task_view(&driver, state, id, true).map(Json).ok_or_else(Refused::not_found))
}

#[derive(Deserialize)]
struct Lines {
    limit: Option<usize>,
    since: Option<String>,
    until: Option<String>,
    search: Option<String>,
    order_by_direction: Option<String>,
    attempt: Option<i32>,
}

async fn logs(Shared(driver): Shared<Arc<Driver>>, Path(task): Path<String>, Query(wanted): Query<Lines>) -> Answer {
    let id: RunId = id(&task, "task")?;
    let time = |text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => runs::moment(text).map(Some).ok_or_else(|| Refused::bad(format!("`{text}` is not a time"))),
    };
    let (since, until) = (time(&wanted.since)?, time(&wanted.until)?);
    driver.with(|state, _| {
        let task = state.task(id).ok_or_else(Refused::not_found)?;
        let name = state.spec(id).map(|spec| spec.name.to_string());
        let mut rows: Vec<Value> = task
            .logs
            .iter()
            .filter(|line| since.is_none_or(|at| line.at >= at) && until.is_none_or(|at| line.at <= at))
            .filter(|line| wanted.search.as_deref().is_none_or(|text| line.message.contains(text)))
            .filter(|line| wanted.attempt.is_none_or(|n| n == line.attempt + 1))
            .map(|line| {
                json!({
                    "createdAt": rfc3339(line.at), "message": line.message, "level": line.level,
                    "metadata": shown(&line.metadata), "retryCount": line.attempt, "attempt": line.attempt + 1,
                    "taskExternalId": id.to_string(), "taskDisplayName": name,
                })
            })
            .collect();
        if wanted.order_by_direction.as_deref() == Some("DESC") {
            rows.reverse();
        }
        rows.truncate(wanted.limit.unwrap_or(usize::MAX));
        Ok(Json(json!({ "rows": rows })))
    })
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
}

async fn replay(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    chosen: Result<Json<Chosen>, JsonRejection>,
) -> Answer {
    each(&driver, &tenant, chosen, State::replay)
}

fn each(
    driver: &Driver,
    tenant: &str,
    chosen: Result<Json<Chosen>, JsonRejection>,
    act: impl Fn(&mut State, RunId, Moment) -> bool,
) -> Answer {
    own_tenant(driver, tenant)?;
    let Json(chosen) = chosen.map_err(|e| Refused::bad(e.body_text()))?;
    let selection = chosen.filter.map(selection).transpose().map_err(Refused::bad)?;
    if selection.is_some() && chosen.external_ids.as_ref().is_some_and(|ids| !ids.is_empty()) {
        return Err(Refused::bad("cannot provide both external ids and filter"));
    }
    let ids: Vec<String> = driver.with(|state, now| {
        let ids = match &selection {
            Some(selection) => state.select(selection).take(MAX_CHOSEN).collect(),
            None => chosen.external_ids.unwrap_or_default(),
        };
        ids.into_iter().filter(|id| act(state, *id, now)).map(|id| id.to_string()).collect()
    });
    Ok(Json(json!({ "ids": ids })))
}

fn selection(filter: Filter) -> Result<Selection, String> {
    let time = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => runs::moment(&text).map(Some).ok_or_else(|| format!("`{text}` is not a time")),
    };
    let statuses = filter.statuses.unwrap_or_default();
    let metadata = filter.additional_metadata.unwrap_or_default();
    Ok(Selection {
        since: time(filter.since)?,
        until: time(filter.until)?,
        statuses: statuses.iter().map(|word| status_word(word)).collect::<Result<_, _>>()?,
        workflows: filter.workflow_ids.unwrap_or_default(),
        metadata: metadata.iter().map(|pair| metadata_pair(pair)).collect::<Result<_, _>>()?,
        parent: None,
    })
}
