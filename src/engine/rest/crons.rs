//! Crons: runs that a cron expression starts.

use std::{cmp::Reverse, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as AxumState},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    ApiError,
    request::{
        Body, body, check_tenant,
        page::Page,
        parse_id,
        template::{TemplateBody, TemplateFilter},
    },
    response::{JsonResponse, json_object::JsonObject, list::ListResponse, resource_metadata, template::with_template},
};
use crate::engine::{
    cron::CronRule,
    driver::Driver,
    state::{Capacity, Cron, CronError, State},
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}/workflows/crons", get(list))
        .route(
            "/api/v1/tenants/{tenant}/workflows/crons/{id}",
            get(get_cron).patch(update).delete(delete).post(trigger),
        )
        .route("/api/v1/tenants/{tenant}/workflows/{workflow}/crons", post(create))
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
    Path((tenant, workflow)): Path<(String, String)>,
    new: Body<NewCron>,
) -> Result<JsonObject, ApiError> {
    check_tenant(&driver, &tenant)?;
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

async fn list(
    AxumState(driver): AxumState<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<ListResponse, ApiError> {
    check_tenant(&driver, &tenant)?;
    let (mut filter, mut name) = (TemplateFilter::default(), None);
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
            crons.sort_by_key(|(_, cron)| Reverse(cron.created));
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
    Path((tenant, id)): Path<(String, String)>,
) -> Result<JsonObject, ApiError> {
    check_tenant(&driver, &tenant)?;
    let id = parse_id(&id, "cron")?;
    driver.with(|state, _| respond(&driver, state, id)).await?
}

#[derive(Deserialize)]
struct CronUpdate {
    enabled: Option<bool>,
}

async fn update(
    AxumState(driver): AxumState<Arc<Driver>>,
    Path((tenant, id)): Path<(String, String)>,
    update: Body<CronUpdate>,
) -> Result<StatusCode, ApiError> {
    check_tenant(&driver, &tenant)?;
    let id = parse_id(&id, "cron")?;
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
    Path((tenant, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    check_tenant(&driver, &tenant)?;
    let id = parse_id(&id, "cron")?;
    match driver.with(|state, _| state.remove_cron(id)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found()),
    }
}

/// Triggers the run of a cron immediately.
async fn trigger(
    AxumState(driver): AxumState<Arc<Driver>>,
    Path((tenant, id)): Path<(String, String)>,
) -> JsonResponse {
    check_tenant(&driver, &tenant)?;
    let id = parse_id(&id, "cron")?;
    let run = driver
        .add(Capacity::Runs, |state, now| match state.cron(id) {
            None => Err(ApiError::not_found()),
            Some(_) => state.trigger_cron(id, now).ok_or_else(|| {
                ApiError::bad_request("the run was refused: its idempotency key is claimed or cannot be computed")
            }),
        })
        .await??;
    Ok(Json(json!({ "externalId": run.to_string() })))
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
