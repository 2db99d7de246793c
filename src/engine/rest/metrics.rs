//! How many and how fast.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as Shared},
    routing::get,
};
use serde_json::{Value, json};

use super::{Answer, ApiError, own_tenant, query};
use crate::{
    engine::{
        driver::Driver,
        state::{RunFilter, model::Task},
        validate::payload::metadata_pair,
    },
    hatchet::wire::RunStatus,
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tenants/{tenant}/task-metrics", get(tasks))
        .route("/api/v1/tenants/{tenant}/embedded-counts", get(totals))
}

/// Tasks by status.
async fn tasks(Shared(driver): Shared<Arc<Driver>>, Path(tenant): Path<String>, RawQuery(text): RawQuery) -> Answer {
    own_tenant(&driver, &tenant)?;
    let wanted = wanted(text.as_deref().unwrap_or_default()).map_err(ApiError::bad_request)?;
    let counts: HashMap<RunStatus, usize> = driver
        .with(|state, _| {
            let mut counts = HashMap::new();
            let runs = state.select(&wanted).filter_map(|id| state.run(id));
            let tasks = runs.flat_map(|(_, run)| &run.tasks).filter_map(|id| state.task(*id));
            tasks.filter(|task| Task::is_made(task)).for_each(|task| {
                *counts.entry(task.phase.status()).or_default() += 1;
            });
            counts
        })
        .await?;
    let all = [RunStatus::Cancelled, RunStatus::Completed, RunStatus::Failed, RunStatus::Queued, RunStatus::Running];
    let rows = all.map(|status| {
        let count = counts.get(&status).copied().unwrap_or_default();
        let mut row = json!({ "status": status.word(), "count": count });
        if status == RunStatus::Running {
            row["runningDetailCount"] = json!({ "evicted": 0, "onWorker": count });
        }
        row
    });
    Ok(Json(Value::from(rows.to_vec())))
}

fn wanted(text: &str) -> Result<RunFilter, String> {
    let mut by = RunFilter::default();
    for (key, value) in query::pairs(text) {
        match key.as_str() {
            "since" => by.since = Some(query::time(&key, &value)?),
            "until" => by.until = Some(query::time(&key, &value)?),
            "workflow_ids" => by.workflows.push(query::read(&key, &value)?),
            "parent_task_external_id" => by.parent = Some(query::read(&key, &value)?),
            "triggering_event_external_id" => by.event = Some(query::read(&key, &value)?),
            "additional_metadata" => by.metadata.add(metadata_pair(&value)?),
            other => return Err(query::unknown(other)),
        }
    }
    Ok(by)
}

/// What only grows, for rates: not a route of Hatchet's, but the page's.
async fn totals(Shared(driver): Shared<Arc<Driver>>, Path(tenant): Path<String>) -> Answer {
    own_tenant(&driver, &tenant)?;
    let (at, [made, assigned, ended]) = driver.with(|state, now| (now, state.totals())).await?;
    Ok(Json(json!({ "atMillis": at.display.0, "runsMade": made, "tasksAssigned": assigned, "runsEnded": ended })))
}
