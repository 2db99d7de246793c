//! Crons: runs that a cron expression starts.

use std::{iter::successors, sync::Arc};

use axum::{
    Json, Router,
    extract::{RawQuery, State as AxumState},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    ApiError,
    request::{
        Body, PathParam, body,
        page::{Order, OrderField, Page},
        query,
        template::{TemplateBody, TemplateFilter},
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
    cron::CronRule,
    driver::Driver,
    state::{Capacity, Cron, CronError, State, Timestamp},
};

/// Number of times of an expression in a response.
const PREVIEWED_TIMES: usize = 3;

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}/workflows/crons", get(list))
        .route(
            "/api/v1/tenants/{tenant}/workflows/crons/{cron}",
            get(get_cron).patch(update).delete(delete).post(trigger),
        )
        .route("/api/v1/tenants/{tenant}/workflows/{workflow}/crons", post(create))
        .route("/api/v1/tenants/{tenant}/embedded-cron-times", get(times))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewCron {
    cron_name: String,
    cron_expression: String,
    #[serde(flatten)]
    template: TemplateBody,
}

async fn create(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(workflow): PathParam<String>,
    new: Body<NewCron>,
) -> Result<JsonObject, ApiError> {
    let NewCron { cron_name, cron_expression, template } = body(new)?;
    if cron_name.is_empty() {
        return Err(ApiError::bad_request("cron name is required"));
    }
    let rule = CronRule::parse(&cron_expression).map_err(ApiError::bad_request)?;
    let template = template.template(&driver, &workflow)?;
    driver
        .add(Capacity::Runs, |state, now| {
            let id = state.add_cron(template, rule, cron_name, now).map_err(|error| match error {
                CronError::UnknownWorkflow => ApiError::bad_request("workflow not found"),
                CronError::Duplicate => {
                    ApiError::bad_request("cron trigger with that name-expression pair already exists")
                }
            })?;
            respond(&driver, state, id)
        })
        .await?
}

async fn list(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> Result<ListResponse, ApiError> {
    let (mut filter, mut name) = (TemplateFilter::default(), None);
    let order = Order::parse(query.as_deref(), [OrderField::CreatedAt, OrderField::Name])?;
    let page = Page::default().parse(query.as_deref(), |key, value| {
        if key != "cronName" {
            return filter.parse(key, value);
        }
        name = Some(value);
        Ok(())
    })?;
    let ids = driver
        .with(|state, _| {
            let matches = |cron: &Cron| {
                filter.matches(state, &cron.template) && name.as_ref().is_none_or(|name| *name == cron.name)
            };
            let mut crons: Vec<(Uuid, &Cron)> = state.crons().filter(|(_, cron)| matches(cron)).collect();
            // As in a real engine, the name is that of the workflow.
            let is_by_name = order.field == OrderField::Name;
            let compare = |a: &Cron, b: &Cron| match is_by_name {
                true => a.template.workflow.cmp(&b.template.workflow),
                false => a.created.cmp(&b.created),
            };
            crons.sort_by(|(a_id, a), (b_id, b)| order.apply(compare(a, b)).then(a_id.cmp(b_id)));
            crons.into_iter().map(|(id, _)| id).collect::<Vec<Uuid>>()
        })
        .await?;
    let list = ListResponse::new(&driver, &page, ids, |driver, state, _, id| {
        state.cron(*id).map(|cron| object(driver, state, *id, cron))
    });
    Ok(list.await?)
}

async fn get_cron(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
) -> Result<JsonObject, ApiError> {
    driver.with(|state, _| respond(&driver, state, id)).await?
}

#[derive(Deserialize)]
struct CronUpdate {
    enabled: Option<bool>,
}

async fn update(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
    update: Body<CronUpdate>,
) -> Result<StatusCode, ApiError> {
    let update = body(update)?;
    driver
        .with(|state, now| {
            let exists = match update.enabled {
                Some(enabled) => state.enable_cron(id, enabled, now),
                None => state.cron(id).is_some(),
            };
            if exists { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found()) }
        })
        .await?
}

async fn delete(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
) -> Result<StatusCode, ApiError> {
    match driver.with(|state, _| state.remove_cron(id)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found()),
    }
}

/// Triggers the run of a cron immediately.
async fn trigger(AxumState(driver): AxumState<Arc<Driver>>, PathParam(id): PathParam<Uuid>) -> JsonResponse {
    driver
        .add(Capacity::Runs, |state, now| match state.cron(id) {
            None => Err(ApiError::not_found()),
            Some(_) => triggered_run(state.trigger_cron(id, now)),
        })
        .await?
}

/// The time of the next run of each cron in the query, by its id, and the next times of the expression in the query. The
/// dashboard shows them. This route is not part of Hatchet's API.
async fn times(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> JsonResponse {
    let (mut ids, mut rule) = (Vec::<Uuid>::new(), None);
    for (key, value) in query::pairs(query.as_deref()) {
        match key.as_str() {
            "cron" => ids.push(query::parse(&key, &value)?),
            "expression" => rule = Some(CronRule::parse(&value).map_err(ApiError::bad_request)?),
            other => return Err(query::unknown(other)),
        }
    }
    let next: Map<String, Value> = driver
        .with(|state, _| {
            let next = |id: &Uuid| Some((id.to_string(), rfc3339(state.cron(*id)?.next()?).into()));
            ids.iter().filter_map(next).collect()
        })
        .await?;
    let mut response = json!({ "next": next });
    if let Some(rule) = rule {
        let first = rule.next_after(driver.now().wall.0);
        let times = successors(first, |previous| rule.next_after(*previous)).take(PREVIEWED_TIMES);
        response["times"] = times.map(|time| rfc3339(Timestamp(time))).collect();
    }
    Ok(Json(response))
}

fn respond(driver: &Driver, state: &State, id: Uuid) -> Result<JsonObject, ApiError> {
    let cron = state.cron(id).ok_or_else(ApiError::not_found)?;
    Ok(object(driver, state, id, cron))
}

fn object(driver: &Driver, state: &State, id: Uuid, cron: &Cron) -> JsonObject {
    let fields = json!({
        "metadata": resource_metadata(id, cron.created),
        "tenantId": driver.tenant.to_string(),
        "cron": cron.rule.text(),
        "name": cron.name,
        "enabled": cron.enabled,
        "method": if cron.declared { "DEFAULT" } else { "API" },
    });
    with_template(fields, state, &cron.template)
}
