//! Workflows.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as AxumState},
    routing::get,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ApiError,
    request::{check_tenant, page::Page, parse_id, query},
    response::{JsonResponse, json_object::JsonObject, list::ListResponse, resource_metadata},
};
use crate::engine::{driver::Driver, state::Version};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}/workflows", get(list))
        .route("/api/v1/workflows/{workflow}", get(get_workflow))
        .route("/api/v1/tenants/{tenant}/workflows/{workflow}/worker-count", get(worker_count))
}

async fn list(
    AxumState(driver): AxumState<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<ListResponse, ApiError> {
    check_tenant(&driver, &tenant)?;
    let mut name_part = String::new();
    let page = Page::default().parse(query.as_deref(), |key, value| {
        if key != "name" {
            return Err(query::unknown(key));
        }
        name_part = value.to_lowercase();
        Ok(())
    })?;
    let ids: Vec<Uuid> = driver
        .with(|state, _| {
            let matches = |name: &str| name.to_lowercase().contains(&name_part);
            state.workflows().filter(|(name, _)| matches(name)).map(|(_, version)| version.workflow_id).collect()
        })
        .await?;
    let members = json!({ "metadata": resource_metadata(driver.tenant, driver.now().display) });
    let list = ListResponse::with_members(&driver, &page, members, ids, |driver, state, _, id| {
        state.workflow(*id).map(|version| JsonObject::from_value(fields(driver, version)))
    });
    Ok(list.await?)
}

async fn get_workflow(AxumState(driver): AxumState<Arc<Driver>>, Path(workflow): Path<String>) -> JsonResponse {
    let id: Uuid = parse_id(&workflow, "workflow")?;
    driver
        .with(|state, _| {
            let version = state.workflow(id).ok_or_else(ApiError::not_found)?;
            Ok(Json(fields(&driver, version)))
        })
        .await?
}

/// Free slots and all slots of the workers that can be assigned this workflow's tasks at the moment.
async fn worker_count(
    AxumState(driver): AxumState<Arc<Driver>>,
    Path((tenant, workflow)): Path<(String, String)>,
) -> JsonResponse {
    check_tenant(&driver, &tenant)?;
    let id: Uuid = parse_id(&workflow, "workflow")?;
    driver
        .with(|state, now| {
            let version = state.workflow(id).ok_or_else(ApiError::not_found)?;
            let (free, max) = state.slots_for(version, now);
            // The field's name is that of a real engine.
            Ok(Json(json!({ "freeSlotCount": free, "maxSlotCount": max, "workflowRunId": workflow })))
        })
        .await?
}

fn fields(driver: &Driver, version: &Version) -> Value {
    let content = version.definition.content.message();
    json!({
        "metadata": resource_metadata(version.workflow_id, version.workflow_created),
        "name": *version.definition.name,
        "tenantId": driver.tenant.to_string(),
        "description": content.description,
        "isPaused": false,
        "versions": [{
            "metadata": resource_metadata(version.id, version.created), "version": content.version,
            "order": version.order, "workflowId": version.workflow_id.to_string(),
        }],
    })
}
