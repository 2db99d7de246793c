//! Runs that are to start at a time.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared, rejection::JsonRejection},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Answer, ApiError, id, meta, own_tenant,
    page::Page,
    planned, query, rfc3339,
    view::{Listing, View},
};
use crate::engine::{
    driver::Driver,
    state::{Capacity, ScheduledRun, State, Timestamp},
};

/// The status of all schedules that there are: the runs that they start are in the lists of runs.
const STATUS: &str = "SCHEDULED";

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}/workflows/scheduled", get(list))
        .route("/api/v1/tenants/{tenant}/workflows/scheduled/{id}", get(one).patch(change).delete(remove))
        .route("/api/v1/tenants/{tenant}/workflows/scheduled/bulk-delete", post(remove_many))
        .route("/api/v1/tenants/{tenant}/workflows/scheduled/bulk-update", post(change_many))
        .route("/api/v1/tenants/{tenant}/workflows/{workflow}/scheduled", post(create))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    trigger_at: String,
    #[serde(flatten)]
    run: planned::Body,
}

async fn create(
    Shared(driver): Shared<Arc<Driver>>,
    Path((tenant, workflow)): Path<(String, String)>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<View, ApiError> {
    own_tenant(&driver, &tenant)?;
    let Json(wanted) = wanted.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let at = query::time("triggerAt", &wanted.trigger_at).map_err(ApiError::bad_request)?;
    let plan = wanted.run.plan(&driver, &workflow)?;
    driver
        .add(Capacity::Runs, |state, now| {
            let ids = state.schedule(&plan, &[at], now).map_err(|_| ApiError::bad_request("workflow not found"))?;
            ids.first().map_or(Err(ApiError::not_found()), |id| found(&driver, state, *id))
        })
        .await?
}

async fn list(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<Listing, ApiError> {
    own_tenant(&driver, &tenant)?;
    let (mut page, mut by) = (Page::default(), planned::Filter::default());
    let mut statuses: Vec<String> = Vec::new();
    for (key, value) in query::pairs(text.as_deref().unwrap_or_default()) {
        match key.as_str() {
            "statuses" => statuses.push(value),
            _ if page.read(&key, &value).map_err(ApiError::bad_request)? => {}
            _ if by.read(&key, &value).map_err(ApiError::bad_request)? => {}
            other => return Err(ApiError::bad_request(query::unknown(other))),
        }
    }
    let chosen = driver
        .with(|state, _| {
            let wanted = statuses.is_empty() || statuses.iter().any(|status| status == STATUS);
            let all = state.schedules().filter(|(_, scheduled)| wanted && by.fits(state, &scheduled.template));
            let mut all: Vec<(Uuid, &ScheduledRun)> = all.collect();
            all.sort_by_key(|(_, scheduled)| std::cmp::Reverse(scheduled.at));
            all.into_iter().map(|(id, _)| id).collect::<Vec<Uuid>>()
        })
        .await?;
    Ok(Listing::new(&driver, &page, chosen, |driver, state, _, id| {
        state.scheduled(*id).map(|scheduled| view(driver, state, *id, scheduled))
    })
    .await?)
}

async fn one(
    Shared(driver): Shared<Arc<Driver>>,
    Path((tenant, it)): Path<(String, String)>,
) -> Result<View, ApiError> {
    own_tenant(&driver, &tenant)?;
    let id = id(&it, "scheduled run")?;
    driver.with(|state, _| found(&driver, state, id)).await?
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    trigger_at: String,
}

async fn change(
    Shared(driver): Shared<Arc<Driver>>,
    Path((tenant, it)): Path<(String, String)>,
    change: Result<Json<Change>, JsonRejection>,
) -> Result<View, ApiError> {
    own_tenant(&driver, &tenant)?;
    let id = id(&it, "scheduled run")?;
    let Json(change) = change.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let at = query::time("triggerAt", &change.trigger_at).map_err(ApiError::bad_request)?;
    driver
        .with(|state, _| {
            if !state.reschedule(id, at) {
                return Err(ApiError::not_found());
            }
            found(&driver, state, id)
        })
        .await?
}

async fn remove(
    Shared(driver): Shared<Arc<Driver>>,
    Path((tenant, it)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    own_tenant(&driver, &tenant)?;
    let id = id(&it, "scheduled run")?;
    match driver.with(|state, _| state.unschedule(id)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Many {
    scheduled_workflow_run_ids: Option<Vec<Uuid>>,
    filter: Option<planned::BodyFilter>,
}

async fn remove_many(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    many: Result<Json<Many>, JsonRejection>,
) -> Answer {
    own_tenant(&driver, &tenant)?;
    let Json(many) = many.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let filter = many.filter.map(planned::Filter::try_from).transpose().map_err(ApiError::bad_request)?;
    let given = many.scheduled_workflow_run_ids.unwrap_or_default();
    if given.is_empty() == filter.is_none() {
        return Err(ApiError::bad_request("give either scheduledWorkflowRunIds or a filter"));
    }
    let done = driver
        .with(|state, _| {
            let ids = match filter {
                Some(by) => {
                    state.schedules().filter(|(_, it)| by.fits(state, &it.template)).map(|(id, _)| id).collect()
                }
                None => given,
            };
            each(ids, |id| state.unschedule(id))
        })
        .await?;
    Ok(Json(json!({ "deletedIds": done.0, "errors": done.1 })))
}

#[derive(Deserialize)]
struct Updates {
    updates: Vec<Update>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    id: Uuid,
    trigger_at: String,
}

async fn change_many(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    updates: Result<Json<Updates>, JsonRejection>,
) -> Answer {
    own_tenant(&driver, &tenant)?;
    let Json(Updates { updates }) = updates.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let time = |it: Update| Ok((it.id, query::time("triggerAt", &it.trigger_at)?));
    let times = updates
        .into_iter()
        .map(time)
        .collect::<Result<Vec<(Uuid, Timestamp)>, String>>()
        .map_err(ApiError::bad_request)?;
    let done = driver
        .with(|state, _| {
            let at = |id: Uuid| times.iter().find(|(of, _)| *of == id).map(|(_, at)| *at).unwrap_or_default();
            each(times.iter().map(|(id, _)| *id).collect(), |id| state.reschedule(id, at(id)))
        })
        .await?;
    Ok(Json(json!({ "updatedIds": done.0, "errors": done.1 })))
}

/// Those that were done, and those that were not found.
fn each(ids: Vec<Uuid>, mut act: impl FnMut(Uuid) -> bool) -> (Vec<String>, Vec<Value>) {
    let (mut done, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        match act(id) {
            true => done.push(id.to_string()),
            false => errors.push(json!({ "id": id.to_string(), "error": "not found" })),
        }
    }
    (done, errors)
}

fn found(driver: &Driver, state: &State, id: Uuid) -> Result<View, ApiError> {
    let scheduled = state.scheduled(id).ok_or_else(ApiError::not_found)?;
    Ok(view(driver, state, id, scheduled))
}

fn view(driver: &Driver, state: &State, id: Uuid, scheduled: &ScheduledRun) -> View {
    let mut view = json!({
        "metadata": meta(id, scheduled.created),
        "tenantId": driver.tenant.to_string(),
        "triggerAt": rfc3339(scheduled.at),
        "method": "API",
    });
    planned::add_workflow(&mut view, state, &scheduled.template);
    let mut view = View::of(view);
    planned::add_payloads(&mut view, &scheduled.template);
    view
}
