//! Numbers of tasks and runs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{RawQuery, State as AxumState},
    routing::get,
};
use serde_json::{Map, Value, json};

use super::{
    request::query,
    response::{JsonResponse, rfc3339},
};
use crate::{
    engine::{
        driver::Driver,
        state::{Phase, RunFilter, Task, Timestamp},
    },
    hatchet::wire::RunStatus,
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tenants/{tenant}/task-metrics", get(tasks_by_status))
        .route("/api/v1/tenants/{tenant}/embedded-counts", get(totals))
        .route("/api/v1/tenants/{tenant}/step-run-queue-metrics", get(queued_by_queue))
        .route("/api/v1/tenants/{tenant}/task-stats", get(task_stats))
}

async fn tasks_by_status(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> JsonResponse {
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

/// Numbers of queued tasks by action, which names the queue as in a real engine.
async fn queued_by_queue(AxumState(driver): AxumState<Arc<Driver>>) -> JsonResponse {
    let mut queues: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    driver
        .with(|state, _| {
            for open in state.open_tasks().filter(|open| matches!(open.task.phase, Phase::Queued(_))) {
                *queues.entry(open.spec.definition.action.clone()).or_default() += 1;
            }
        })
        .await?;
    Ok(Json(json!({ "queues": queues.into_iter().map(|(name, n)| (name.to_string(), n)).collect::<BTreeMap<_, _>>() })))
}

/// Queued and running tasks by the task's name: their number, the creation of the oldest, and the queues.
async fn task_stats(AxumState(driver): AxumState<Arc<Driver>>) -> JsonResponse {
    let mut stats: BTreeMap<(Arc<str>, &str), Stats> = BTreeMap::new();
    driver
        .with(|state, _| {
            for open in state.open_tasks() {
                let kind = match open.task.phase {
                    Phase::Queued(_) => "queued",
                    Phase::Running(_) => "running",
                    Phase::Waiting(_) | Phase::Unadmitted | Phase::BackOff => continue,
                    Phase::Completed(_) | Phase::Failed(_) | Phase::Cancelled(_) => continue,
                };
                let stats = stats.entry((open.spec.definition.name.clone(), kind)).or_default();
                stats.total += 1;
                stats.oldest = stats.oldest.into_iter().chain([open.run.created]).min();
                if kind == "queued" {
                    *stats.queues.entry(open.spec.definition.action.to_string()).or_default() += 1;
                }
            }
        })
        .await?;
    let mut shown = Map::new();
    for ((name, kind), stats) in stats {
        let mut entry = json!({ "total": stats.total, "oldest": stats.oldest.map(rfc3339) });
        if kind == "queued" {
            entry["queues"] = json!(stats.queues);
        }
        shown.entry(name.to_string()).or_insert_with(|| json!({}))[kind] = entry;
    }
    Ok(Json(Value::Object(shown)))
}

/// The open tasks of one name in one stage.
#[derive(Default)]
struct Stats {
    total: u64,
    oldest: Option<Timestamp>,
    queues: BTreeMap<String, u64>,
}

/// Monotonic counters, from which the dashboard computes rates. This route is not part of Hatchet's API.
async fn totals(AxumState(driver): AxumState<Arc<Driver>>) -> JsonResponse {
    let (now, [made, assigned, ended]) = driver.with(|state, now| (now, state.totals())).await?;
    Ok(Json(json!({ "atMillis": now.display.0, "runsMade": made, "tasksAssigned": assigned, "runsEnded": ended })))
}
