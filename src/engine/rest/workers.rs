//! Workers and the tenant.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Answer, ApiError, id, meta, own_tenant,
    page::Page,
    query, rfc3339,
    view::{Listing, View},
};
use crate::{
    engine::{
        driver::Driver,
        state::{ClockReading, State, WorkerStatus, model::Worker},
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
        "metadata": meta(driver.tenant, driver.now().display),
        "name": "embedded", "slug": "embedded", "version": "V1", "environment": "development",
        "alertMemberEmails": false, "analyticsOptOut": true,
    })))
}

async fn list(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<Listing, ApiError> {
    own_tenant(&driver, &tenant)?;
    let mut page = Page::of(DEFAULT_WORKERS);
    for (key, value) in query::pairs(text.as_deref().unwrap_or_default()) {
        if !page.read(&key, &value).map_err(ApiError::bad_request)? {
            return Err(ApiError::bad_request(query::unknown(&key)));
        }
    }
    let (ids, served) = driver
        .with(|state, _| {
            let mut all: Vec<(WorkerId, &Worker)> = state.workers().collect();
            // The most recent first; the id keeps the order of those of one moment from page to page.
            all.sort_by_key(|(id, worker)| (std::cmp::Reverse(worker.registered), *id));
            (all.into_iter().map(|(id, _)| id).collect::<Vec<WorkerId>>(), Served::by(state))
        })
        .await?;
    Ok(Listing::new(&driver, &page, ids, move |_, state, now, id| {
        state.worker(*id).map(|worker| View::of(view(state, *id, worker, now, served.workflows(worker))))
    })
    .await?)
}

/// The workflows that have a task of an action, by action. A list of workers is made with one look at all workflows,
/// in place of one for each worker.
struct Served(HashMap<Arc<str>, Vec<(Uuid, Arc<str>)>>);

impl Served {
    fn by(state: &State) -> Self {
        let mut by_action: HashMap<Arc<str>, Vec<(Uuid, Arc<str>)>> = HashMap::new();
        for (name, workflow) in state.workflows() {
            for task in &workflow.version.tasks {
                by_action.entry(task.action.clone()).or_default().push((workflow.id, name.clone()));
            }
        }
        Self(by_action)
    }

    /// Those of a worker, by name and each once.
    fn workflows(&self, worker: &Worker) -> Vec<Value> {
        let served = worker.actions.iter().filter_map(|action| self.0.get(action)).flatten();
        let by_name: BTreeMap<&str, Uuid> = served.map(|(id, name)| (&**name, *id)).collect();
        by_name.into_iter().map(|(name, id)| json!({ "id": id.to_string(), "name": name })).collect()
    }
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
    let Json(change) = change.map_err(|e| ApiError::bad_request(e.body_text()))?;
    driver
        .with(|state, now| {
            if let Some(paused) = change.is_paused {
                state.pause(id, paused, now).map_err(|_| ApiError::not_found())?;
            }
            found(state, id, now)
        })
        .await?
}

fn found(state: &State, id: WorkerId, now: ClockReading) -> Answer {
    let worker = state.worker(id).ok_or_else(ApiError::not_found)?;
    Ok(Json(view(state, id, worker, now, Served::by(state).workflows(worker))))
}

fn view(state: &State, id: WorkerId, worker: &Worker, now: ClockReading, registered: Vec<Value>) -> Value {
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
