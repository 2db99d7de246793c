//! Runs that start by cron expressions.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared, rejection::JsonRejection},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    ApiError, id, meta, own_tenant,
    page::Page,
    planned, query,
    view::{Listing, View},
};
use crate::engine::{
    cron::CronRule,
    driver::Driver,
    state::{Capacity, Cron, CronError, State},
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}/workflows/crons", get(list))
        .route("/api/v1/tenants/{tenant}/workflows/crons/{id}", get(one).patch(change).delete(remove))
        .route("/api/v1/tenants/{tenant}/workflows/{workflow}/crons", post(create))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    cron_name: String,
    cron_expression: String,
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
    if wanted.cron_name.is_empty() {
        return Err(ApiError::bad_request("cron name is required"));
    }
    let rule = CronRule::parse(&wanted.cron_expression).map_err(ApiError::bad_request)?;
    let plan = wanted.run.plan(&driver, &workflow)?;
    driver
        .add(Capacity::Runs, |state, now| {
            let id = state.add_cron(plan, rule, wanted.cron_name, now).map_err(|refusal| match refusal {
                CronError::UnknownWorkflow => ApiError::bad_request("workflow not found"),
                CronError::Duplicate => {
                    ApiError::bad_request("cron trigger with that name-expression pair already exists")
                }
            })?;
            found(&driver, state, id)
        })
        .await?
}

async fn list(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<Listing, ApiError> {
    own_tenant(&driver, &tenant)?;
    let (mut page, mut by, mut name) = (Page::default(), planned::Filter::default(), None);
    for (key, value) in query::pairs(text.as_deref().unwrap_or_default()) {
        match key.as_str() {
            "cronName" => name = Some(value),
            _ if page.read(&key, &value).map_err(ApiError::bad_request)? => {}
            _ if by.read(&key, &value).map_err(ApiError::bad_request)? => {}
            other => return Err(ApiError::bad_request(query::unknown(other))),
        }
    }
    let chosen = driver
        .with(|state, _| {
            let mut all: Vec<(Uuid, &Cron)> = state
                .crons()
                .filter(|(_, cron)| {
                    by.fits(state, &cron.template) && name.as_ref().is_none_or(|name| *name == cron.name)
                })
                .collect();
            all.sort_by_key(|(_, cron)| std::cmp::Reverse(cron.created));
            all.into_iter().map(|(id, _)| id).collect::<Vec<Uuid>>()
        })
        .await?;
    Ok(Listing::new(&driver, &page, chosen, |driver, state, _, id| {
        state.cron(*id).map(|cron| view(driver, state, *id, cron))
    })
    .await?)
}

async fn one(
    Shared(driver): Shared<Arc<Driver>>,
    Path((tenant, it)): Path<(String, String)>,
) -> Result<View, ApiError> {
    own_tenant(&driver, &tenant)?;
    let id = id(&it, "cron")?;
    driver.with(|state, _| found(&driver, state, id)).await?
}

#[derive(Deserialize)]
struct Change {
    enabled: Option<bool>,
}

async fn change(
    Shared(driver): Shared<Arc<Driver>>,
    Path((tenant, it)): Path<(String, String)>,
    change: Result<Json<Change>, JsonRejection>,
) -> Result<View, ApiError> {
    own_tenant(&driver, &tenant)?;
    let id = id(&it, "cron")?;
    let Json(change) = change.map_err(|e| ApiError::bad_request(e.body_text()))?;
    driver
        .with(|state, now| {
            if let Some(enabled) = change.enabled
                && !state.enable_cron(id, enabled, now)
            {
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
    let id = id(&it, "cron")?;
    match driver.with(|state, _| state.remove_cron(id)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found()),
    }
}

fn found(driver: &Driver, state: &State, id: Uuid) -> Result<View, ApiError> {
    let cron = state.cron(id).ok_or_else(ApiError::not_found)?;
    Ok(view(driver, state, id, cron))
}

fn view(driver: &Driver, state: &State, id: Uuid, cron: &Cron) -> View {
    let mut view = json!({
        "metadata": meta(id, cron.created),
        "tenantId": driver.tenant.to_string(),
        "cron": cron.rule.text(),
        "name": cron.name,
        "enabled": cron.enabled,
        "method": if cron.declared { "DEFAULT" } else { "API" },
    });
    planned::add_workflow(&mut view, state, &cron.template);
    let mut view = View::of(view);
    planned::add_payloads(&mut view, &cron.template);
    view
}
