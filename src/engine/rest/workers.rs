//! Workers and the tenant.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Refused, id, meta, own_tenant, page::Page, query, rfc3339};
use crate::{
    engine::{
        driver::Driver,
        state::{Now, State, WorkerStatus, model::Worker},
    },
    hatchet::wire::WorkerId,
};

/// Workers of a list where no limit is given: the real engine's.
const DEFAULT_WORKERS: usize = 10_000;

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}", get(tenant))
        .route("/api/v1/tenants/{tenant}/worker", get(list))
        .route("/api/v1/workers/{worker}", get(one).patch(pause))
}

async fn tenant(Shared(driver): Shared<Arc<Driver>>, Path(tenant): Path<String>) -> Answer {
    own_tenant(&driver, &tenant)?;
    // SDKs warn about anything but V1.
    Ok(Json(json!({
        "metadata": meta(driver.tenant, driver.now().shown),
        "name": "embedded", "slug": "embedded", "version": "V1", "environment": "development",
        "alertMemberEmails": false, "analyticsOptOut": true,
    })))
}

async fn list(Shared(driver): Shared<Arc<Driver>>, Path(tenant): Path<String>, RawQuery(text): RawQuery) -> Answer {
    own_tenant(&driver, &tenant)?;
    let mut page = Page::of(DEFAULT_WORKERS);
    for (key, value) in query::pairs(text.as_deref().unwrap_or_default()) {
        if !page.read(&key, &value).map_err(Refused::bad)? {
            return Err(Refused::bad(query::unknown(&key)));
        }
    }
    Ok(driver
        .with(|state, now| {
            let mut all: Vec<(WorkerId, &Worker)> = state.workers().collect();
            // The most recent first; the id keeps the order of those of one moment from page to page.
            all.sort_by_key(|(id, worker)| (std::cmp::Reverse(worker.registered), *id));
            page.answer(all.into_iter().map(|(id, worker)| view(state, id, worker, now)))
        })
        .await?)
}

async fn one(Shared(driver): Shared<Arc<Driver>>, Path(worker): Path<String>) -> Answer {
    let id: WorkerId = id(&worker, "worker")?;
    driver.with(|state, now| found(state, id, now)).await?
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    is_paused: Option<bool>,
}

async fn pause(
    Shared(driver): Shared<Arc<Driver>>,
    Path(worker): Path<String>,
    change: Result<Json<Change>, axum::extract::rejection::JsonRejection>,
) -> Answer {
    let id: WorkerId = id(&worker, "worker")?;
    let Json(change) = change.map_err(|e| Refused::bad(e.body_text()))?;
    driver
        .with(|state, now| {
            if let Some(paused) = change.is_paused {
                state.pause(id, paused, now).map_err(|_| Refused::not_found())?;
            }
            found(state, id, now)
        })
        .await?
}

fn found(state: &State, id: WorkerId, now: Now) -> Answer {
    let worker = state.worker(id).ok_or_else(Refused::not_found)?;
    Ok(Json(view(state, id, worker, now)))
}

fn view(state: &State, id: WorkerId, worker: &Worker, now: Now) -> Value {
    let slots: Map<String, Value> = worker
        .slots
        .iter()
        .map(|slot| (slot.kind.to_string(), json!({ "available": slot.free(), "limit": slot.limit })))
        .collect();
    let labels: Vec<Value> = worker
        .labels
        .iter()
        .map(|(key, label)| {
            let value = label.str_value.clone().or(label.int_value.map(|n| n.to_string()));
            json!({ "metadata": meta(id, worker.registered), "key": key, "value": value })
        })
        .collect();
    let registered: Vec<Value> = state
        .workflows()
        .filter(|(_, workflow)| workflow.version.tasks.iter().any(|task| worker.serves(&task.action)))
        .map(|(name, workflow)| json!({ "id": workflow.id.to_string(), "name": **name }))
        .collect();
    let status = match state.worker_status(worker, now) {
        WorkerStatus::Active => "ACTIVE",
        WorkerStatus::Inactive => "INACTIVE",
        WorkerStatus::Paused => "PAUSED",
    };
    let mut view = json!({
        "metadata": meta(id, worker.registered),
        "name": worker.name,
        "type": "SELFHOSTED",
        "status": status,
        "actions": worker.actions.iter().map(|action| &**action).collect::<Vec<_>>(),
        "slotConfig": slots,
        "labels": labels,
        "registeredWorkflows": registered,
    });
    if let Some(at) = worker.heartbeat {
        view["lastHeartbeatAt"] = rfc3339(at).into();
    }
    if let Some(at) = worker.listened {
        view["lastListenerEstablished"] = rfc3339(at).into();
    }
    if let Some(info) = &worker.runtime {
        view["runtimeInfo"] = json!({
            "sdkVersion": info.sdk_version, "languageVersion": info.language_version, "os": info.os,
            "runtimeExtra": info.extra,
        });
    }
    view
}
