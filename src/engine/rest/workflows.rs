//! Workflows.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared},
    routing::get,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, ApiError, DEFAULT_ROWS, MAX_ROWS, id, meta, own_tenant, query};
use crate::engine::{driver::Driver, state::model::Workflow};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}/workflows", get(list))
        .route("/api/v1/workflows/{workflow}", get(one))
        .route("/api/v1/tenants/{tenant}/workflows/{workflow}/worker-count", get(worker_count))
}

async fn list(Shared(driver): Shared<Arc<Driver>>, Path(tenant): Path<String>, RawQuery(text): RawQuery) -> Answer {
    own_tenant(&driver, &tenant)?;
    let (mut wanted, mut offset, mut limit) = (String::new(), 0usize, DEFAULT_ROWS);
    for (key, value) in query::pairs(text.as_deref().unwrap_or_default()) {
        match key.as_str() {
            "name" => wanted = value.to_lowercase(),
            "offset" => offset = query::read(&key, &value).map_err(ApiError::bad_request)?,
            "limit" => limit = query::read::<usize>(&key, &value).map_err(ApiError::bad_request)?.clamp(1, MAX_ROWS),
            other => return Err(ApiError::bad_request(query::unknown(other))),
        }
    }
    let ids: Vec<Uuid> = driver
        .with(|state, _| {
            let fits = |name: &str| name.to_lowercase().contains(&wanted);
            state.workflows().filter(|(name, _)| fits(name)).map(|(_, flow)| flow.id).collect()
        })
        .await?;
    let total = ids.len();
    let ids: Vec<Uuid> = ids.into_iter().skip(offset).take(limit).collect();
    let rows: Vec<Value> = driver
        .with(|state, _| {
            let flows = ids.iter().filter_map(|id| state.workflow(*id));
            flows.map(|flow| view(&driver, &flow.version.workflow, flow)).collect()
        })
        .await?;
    Ok(Json(json!({
        "metadata": meta(driver.tenant, driver.now().display), "rows": rows,
        "pagination": super::pagination(offset, limit, total),
    })))
}

async fn one(Shared(driver): Shared<Arc<Driver>>, Path(workflow): Path<String>) -> Answer {
    let id: Uuid = id(&workflow, "workflow")?;
    driver
        .with(|state, _| {
            let flow = state.workflow(id).ok_or_else(ApiError::not_found)?;
            Ok(Json(view(&driver, &flow.version.workflow, flow)))
        })
        .await?
}

/// Free and all slots of the workers that may get this workflow's work now.
async fn worker_count(Shared(driver): Shared<Arc<Driver>>, Path((tenant, workflow)): Path<(String, String)>) -> Answer {
    own_tenant(&driver, &tenant)?;
    let id: Uuid = id(&workflow, "workflow")?;
    driver
        .with(|state, now| {
            let flow = state.workflow(id).ok_or_else(ApiError::not_found)?;
            let (free, max) = state.slots_for(&flow.version, now);
            Ok(Json(json!({ "freeSlotCount": free, "maxSlotCount": max, "workflowRunId": workflow })))
        })
        .await?
}

fn view(driver: &Driver, name: &str, flow: &Workflow) -> Value {
    let version = &flow.version;
    json!({
        "metadata": meta(flow.id, flow.created),
        "name": name,
        "tenantId": driver.tenant.to_string(),
        "description": version.content.description,
        "isPaused": false,
        "versions": [{
            "metadata": meta(version.id, version.created), "version": version.content.version,
            "order": version.order, "workflowId": flow.id.to_string(),
        }],
    })
}
