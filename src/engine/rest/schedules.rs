//! Scheduled runs: runs that start at a given time.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{RawQuery, State as AxumState},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ApiError,
    request::{
        Body, PathParam, body,
        page::{Order, OrderField, Page},
        query,
        template::{TemplateBody, TemplateFilter, TemplateFilterBody},
    },
    response::{
        JsonResponse,
        json_object::JsonObject,
        list::ListResponse,
        resource_metadata, rfc3339,
        template::{triggered_run, with_template},
    },
};
use crate::engine::{
    driver::Driver,
    state::{Capacity, ScheduledRun, State, Timestamp},
};

/// The status of every schedule in a list. The runs that schedules have started are in the lists of runs instead.
const STATUS: &str = "SCHEDULED";

/// The creation time of a run that does not exist, as in a real engine: Go's zero time.
const NO_RUN_CREATED: &str = "0001-01-01T00:00:00Z";

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}/workflows/scheduled", get(list))
        .route(
            "/api/v1/tenants/{tenant}/workflows/scheduled/{scheduled_run}",
            get(get_schedule).patch(update).delete(delete).post(trigger),
        )
        .route("/api/v1/tenants/{tenant}/workflows/scheduled/bulk-delete", post(delete_many))
        .route("/api/v1/tenants/{tenant}/workflows/scheduled/bulk-update", post(update_many))
        .route("/api/v1/tenants/{tenant}/workflows/{workflow}/scheduled", post(create))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSchedule {
    trigger_at: String,
    #[serde(flatten)]
    template: TemplateBody,
}

async fn create(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(workflow): PathParam<String>,
    new: Body<NewSchedule>,
) -> Result<JsonObject, ApiError> {
    let NewSchedule { trigger_at, template } = body(new)?;
    let at = query::time("triggerAt", &trigger_at)?;
    let template = template.template(&driver, &workflow)?;
    driver
        .add(Capacity::Runs, |state, now| {
            let ids = state.schedule(&template, &[at], now).map_err(|_| ApiError::bad_request("workflow not found"))?;
            ids.first().map_or(Err(ApiError::not_found()), |id| respond(&driver, state, *id))
        })
        .await?
}

async fn list(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> Result<ListResponse, ApiError> {
    let (mut filter, mut statuses) = (TemplateFilter::default(), Vec::<String>::new());
    let order = Order::parse(query.as_deref(), [OrderField::TriggerAt, OrderField::CreatedAt])?;
    let page = Page::default().parse(query.as_deref(), |key, value| {
        if key != "statuses" {
            return filter.parse(key, value);
        }
        statuses.push(value);
        Ok(())
    })?;
    let includes_schedules = statuses.is_empty() || statuses.iter().any(|status| status == STATUS);
    let ids = driver
        .with(|state, _| {
            let matches = |run: &ScheduledRun| includes_schedules && filter.matches(state, &run.template);
            let mut runs: Vec<(Uuid, &ScheduledRun)> = state.schedules().filter(|(_, run)| matches(run)).collect();
            let is_by_creation = order.field == OrderField::CreatedAt;
            let key = |run: &ScheduledRun| if is_by_creation { run.created } else { run.at };
            runs.sort_by(|(a_id, a), (b_id, b)| order.apply(key(a).cmp(&key(b))).then(a_id.cmp(b_id)));
            runs.into_iter().map(|(id, _)| id).collect::<Vec<Uuid>>()
        })
        .await?;
    let list = ListResponse::new(&driver, &page, ids, |driver, state, _, id| {
        state.scheduled(*id).map(|run| object(driver, state, *id, run))
    });
    Ok(list.await?)
}

async fn get_schedule(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
) -> Result<JsonObject, ApiError> {
    driver.with(|state, _| respond(&driver, state, id)).await?
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScheduleUpdate {
    trigger_at: String,
}

async fn update(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
    update: Body<ScheduleUpdate>,
) -> Result<JsonObject, ApiError> {
    let at = query::time("triggerAt", &body(update)?.trigger_at)?;
    driver
        .with(|state, _| {
            if !state.reschedule(id, at) {
                return Err(ApiError::not_found());
            }
            respond(&driver, state, id)
        })
        .await?
}

async fn delete(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
) -> Result<StatusCode, ApiError> {
    match driver.with(|state, _| state.unschedule(id)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found()),
    }
}

/// Triggers the run of a schedule immediately. As in a real engine, the schedule is deleted unless its run is refused.
async fn trigger(AxumState(driver): AxumState<Arc<Driver>>, PathParam(id): PathParam<Uuid>) -> JsonResponse {
    driver
        .add(Capacity::Runs, |state, now| match state.scheduled(id) {
            None => Err(ApiError::not_found()),
            Some(_) => triggered_run(state.trigger_schedule(id, now)),
        })
        .await?
}

/// Selects schedules by their ids or by a filter.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    scheduled_workflow_run_ids: Option<Vec<Uuid>>,
    filter: Option<TemplateFilterBody>,
}

async fn delete_many(AxumState(driver): AxumState<Arc<Driver>>, selection: Body<Selection>) -> JsonResponse {
    let Selection { scheduled_workflow_run_ids, filter } = body(selection)?;
    let filter = filter.map(TemplateFilter::try_from).transpose()?;
    let ids = scheduled_workflow_run_ids.unwrap_or_default();
    if ids.is_empty() == filter.is_none() {
        return Err(ApiError::bad_request("provide either scheduledWorkflowRunIds or a filter"));
    }
    let (deleted, errors) = driver
        .with(|state, _| {
            let ids = match filter {
                Some(filter) => {
                    let runs = state.schedules().filter(|(_, run)| filter.matches(state, &run.template));
                    runs.map(|(id, _)| id).collect()
                }
                None => ids,
            };
            apply_to_each(ids, "Failed to delete scheduled workflow.", |id| state.unschedule(id))
        })
        .await?;
    Ok(Json(json!({ "deletedIds": deleted, "errors": errors })))
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

async fn update_many(AxumState(driver): AxumState<Arc<Driver>>, updates: Body<Updates>) -> JsonResponse {
    let Updates { updates } = body(updates)?;
    let ids: Vec<Uuid> = updates.iter().map(|update| update.id).collect();
    let mut times: HashMap<Uuid, Timestamp> = HashMap::new();
    for update in updates {
        let at = query::time("triggerAt", &update.trigger_at)?;
        // Of two updates of one schedule, the first counts.
        times.entry(update.id).or_insert(at);
    }
    let (updated, errors) = driver
        .with(|state, _| {
            apply_to_each(ids, "Scheduled workflow not found.", |id| {
                times.get(&id).is_some_and(|at| state.reschedule(id, *at))
            })
        })
        .await?;
    Ok(Json(json!({ "updatedIds": updated, "errors": errors })))
}

/// The ids for which the operation returned `true`, and an error for each of the others.
fn apply_to_each(ids: Vec<Uuid>, error: &str, mut operation: impl FnMut(Uuid) -> bool) -> (Vec<String>, Vec<Value>) {
    let (mut done, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        match operation(id) {
            true => done.push(id.to_string()),
            false => errors.push(json!({ "id": id.to_string(), "error": error })),
        }
    }
    (done, errors)
}

fn respond(driver: &Driver, state: &State, id: Uuid) -> Result<JsonObject, ApiError> {
    let run = state.scheduled(id).ok_or_else(ApiError::not_found)?;
    Ok(object(driver, state, id, run))
}

fn object(driver: &Driver, state: &State, id: Uuid, run: &ScheduledRun) -> JsonObject {
    let fields = json!({
        "metadata": resource_metadata(id, run.created),
        "tenantId": driver.tenant.to_string(),
        "triggerAt": rfc3339(run.at),
        "method": "API",
        "workflowRunCreatedAt": NO_RUN_CREATED,
        "workflowRunName": "",
    });
    with_template(fields, state, &run.template)
}
