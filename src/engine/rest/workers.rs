//! Workers and the tenant.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{RawQuery, State as AxumState},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    ApiError,
    request::{Body, PathParam, body, page::Page, query},
    response::{JsonResponse, json_object::JsonObject, list::ListResponse, resource_metadata, rfc3339},
};
use crate::{
    engine::{
        driver::Driver,
        persistence::records::Runtime,
        state::{ClockReading, State, Worker, WorkerStatus},
        validate::registration::language_name,
    },
    hatchet::wire::WorkerId,
};

/// Number of rows of a list of workers if the query has no limit, as in a real engine.
const DEFAULT_LIMIT: usize = 10_000;

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}", get(get_tenant))
        .route("/api/v1/tenants/{tenant}/worker", get(list))
        .route("/api/v1/workers/{worker}", get(get_worker).patch(update_worker))
}

async fn get_tenant(AxumState(driver): AxumState<Arc<Driver>>) -> JsonResponse {
    // SDKs warn about any version but V1.
    Ok(Json(json!({
        "metadata": resource_metadata(driver.tenant, driver.now().display),
        "name": "embedded", "slug": "embedded", "version": "V1", "environment": "development",
        "alertMemberEmails": false, "analyticsOptOut": true,
    })))
}

async fn list(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> Result<ListResponse, ApiError> {
    let page = Page::with_limit(DEFAULT_LIMIT).parse(query.as_deref(), |key, _| Err(query::unknown(key)))?;
    let (ids, workflows) = driver
        .with(|state, _| {
            let mut workers: Vec<(WorkerId, &Worker)> = state.workers().collect();
            // The newest first. The id orders workers that registered at the same time, so that pages do not overlap.
            workers.sort_by_key(|(id, worker)| (Reverse(worker.registered), *id));
            (workers.into_iter().map(|(id, _)| id).collect::<Vec<WorkerId>>(), WorkflowsByAction::new(state))
        })
        .await?;
    let list = ListResponse::new(&driver, &page, ids, move |_, state, now, id| {
        let worker = state.worker(*id)?;
        Some(JsonObject::from_value(fields(state, *id, worker, now, workflows.of(worker))))
    });
    Ok(list.await?)
}

/// The workflows with a task of an action, by action. A list of workers computes this once instead of searching all
/// workflows for each worker.
struct WorkflowsByAction(HashMap<Arc<str>, Vec<(Uuid, Arc<str>)>>);

impl WorkflowsByAction {
    fn new(state: &State) -> Self {
        let mut by_action: HashMap<Arc<str>, Vec<(Uuid, Arc<str>)>> = HashMap::new();
        for (name, version) in state.workflows() {
            for task in &version.definition.tasks {
                by_action.entry(task.action.clone()).or_default().push((version.workflow_id, name.clone()));
            }
        }
        Self(by_action)
    }

    /// The workflows of a worker's actions, by name and each once.
    fn of(&self, worker: &Worker) -> Vec<Value> {
        let workflows = worker.actions.iter().filter_map(|action| self.0.get(action)).flatten();
        let by_name: BTreeMap<&str, Uuid> = workflows.map(|(id, name)| (&**name, *id)).collect();
        by_name.into_iter().map(|(name, id)| json!({ "id": id.to_string(), "name": name })).collect()
    }
}

async fn get_worker(AxumState(driver): AxumState<Arc<Driver>>, PathParam(id): PathParam<WorkerId>) -> JsonResponse {
    driver.with(|state, now| respond(state, id, now)).await?
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorkerUpdate {
    is_paused: Option<bool>,
}

async fn update_worker(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<WorkerId>,
    update: Body<WorkerUpdate>,
) -> JsonResponse {
    let update = body(update)?;
    driver
        .with(|state, now| {
            if let Some(paused) = update.is_paused {
                state.pause(id, paused, now).map_err(|_| ApiError::not_found())?;
            }
            respond(state, id, now)
        })
        .await?
}

fn respond(state: &State, id: WorkerId, now: ClockReading) -> JsonResponse {
    let worker = state.worker(id).ok_or_else(ApiError::not_found)?;
    let mut fields = fields(state, id, worker, now, WorkflowsByAction::new(state).of(worker));
    // A real engine no longer fills this list, which SDKs expect.
    fields["recentStepRuns"] = json!([]);
    Ok(Json(fields))
}

fn fields(state: &State, id: WorkerId, worker: &Worker, now: ClockReading, workflows: Vec<Value>) -> Value {
    let slots: Map<String, Value> = worker
        .slots
        .iter()
        .map(|slot| (slot.kind.to_string(), json!({ "available": slot.free(), "limit": slot.limit })))
        .collect();
    let labels: Vec<Value> = worker
        .labels
        .iter()
        .map(|(key, label)| {
            let value = label.text.clone().or(label.number.map(|n| n.to_string()));
            json!({ "metadata": resource_metadata(id, worker.registered), "key": key, "value": value })
        })
        .collect();
    let status = match state.worker_status(worker, now) {
        WorkerStatus::Active => "ACTIVE",
        WorkerStatus::Inactive => "INACTIVE",
        WorkerStatus::Paused => "PAUSED",
    };
    let mut fields = json!({
        "metadata": resource_metadata(id, worker.registered),
        "name": worker.name,
        "type": "SELFHOSTED",
        "status": status,
        "actions": worker.actions.iter().map(|action| &**action).collect::<Vec<_>>(),
        "slotConfig": slots,
        "labels": labels,
        "registeredWorkflows": workflows,
    });
    if let Some(heartbeat) = worker.heartbeat {
        fields["lastHeartbeatAt"] = rfc3339(heartbeat).into();
    }
    if let Some(listened) = worker.listened {
        fields["lastListenerEstablished"] = rfc3339(listened).into();
    }
    fields["runtimeInfo"] = runtime_info(worker.runtime.as_ref());
    fields
}

/// The runtime that a worker has reported. As in a real engine, missing texts are empty.
fn runtime_info(runtime: Option<&Runtime>) -> Value {
    let text =
        |field: fn(&Runtime) -> &Option<String>| runtime.and_then(|runtime| field(runtime).as_deref()).unwrap_or("");
    let mut info = json!({
        "sdkVersion": text(|runtime| &runtime.sdk_version),
        "languageVersion": text(|runtime| &runtime.language_version),
        "os": text(|runtime| &runtime.os),
        "runtimeExtra": text(|runtime| &runtime.extra),
    });
    if let Some(language) = runtime.and_then(|runtime| runtime.language).and_then(language_name) {
        info["language"] = language.into();
    }
    info
}
