//! Numbers of tasks and runs.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State as AxumState},
    routing::get,
};
use serde_json::{Value, json};

use super::{
    request::{check_tenant, query},
    response::JsonResponse,
};
use crate::{
    engine::{
        driver::Driver,
        state::{RunFilter, Task},
    },
    hatchet::wire::RunStatus,
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tenants/{tenant}/task-metrics", get(tasks_by_status))
        .route("/api/v1/tenants/{tenant}/embedded-counts", get(totals))
}

async fn tasks_by_status(
    AxumState(driver): AxumState<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> JsonResponse {
    check_tenant(&driver, &tenant)?;
    let mut filter = RunFilter::default();
    query::pairs(query.as_deref()).try_for_each(|(key, value)| query::run_filter(&mut filter, &key, &value))?;
    let counts: HashMap<RunStatus, usize> = driver
        .with(|state, _| {
            let mut counts = HashMap::new();
            let runs = state.select(&filter).filter_map(|id| state.run(id));
            let tasks = runs.flat_map(|(_, run)| &run.tasks).filter_map(|id| state.task(*id));
            tasks.filter(|task| Task::is_created(task)).for_each(|task| {
                *counts.entry(task.phase.rest_status()).or_default() += 1;
            });
            counts
        })
        .await?;
    let all = [RunStatus::Cancelled, RunStatus::Completed, RunStatus::Failed, RunStatus::Queued, RunStatus::Running];
    let rows = all.map(|status| {
        let count = counts.get(&status).copied().unwrap_or_default();
        let mut row = json!({ "status": status.as_str(), "count": count });
        if status == RunStatus::Running {
            row["runningDetailCount"] = json!({ "evicted": 0, "onWorker": count });
        }
        row
    });
    Ok(Json(Value::from(rows.to_vec())))
}

/// Monotonic counters, from which the dashboard computes rates. This route is not part of Hatchet's API.
async fn totals(AxumState(driver): AxumState<Arc<Driver>>, Path(tenant): Path<String>) -> JsonResponse {
    check_tenant(&driver, &tenant)?;
    let (at, [made, assigned, ended]) = driver.with(|state, now| (now, state.totals())).await?;
    Ok(Json(json!({ "atMillis": at.display.0, "runsMade": made, "tasksAssigned": assigned, "runsEnded": ended })))
}
