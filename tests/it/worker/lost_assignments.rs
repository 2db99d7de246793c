//! Assignments that were lost with a connection are found over REST.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Path, Query},
    routing::get,
};
use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig},
    task::{Context, Stub, Task},
    wire::RunId,
    worker::Worker,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::{fixture::options, within};
use crate::fake::{Fake, Finished, start_action};

fn echo() -> Task<Value, Value> {
    Stub::new("echo").task(|input: Value, ctx: Context| async move {
        Ok(json!({ "input": input, "retry": ctx.retry_count(), "metadata": ctx.additional_metadata() }))
    })
}

/// A REST API whose list of running tasks is scripted.
struct Rest {
    url: String,
    lists: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

/// Serves `rows(list)` as the list number `list`, counted from 0, and `details(run)` as the task of a run.
async fn rest(
    rows: impl Fn(usize) -> Vec<Value> + Clone + Send + Sync + 'static,
    details: impl Fn(RunId) -> Value + Clone + Send + Sync + 'static,
) -> Rest {
    let lists = Arc::new(AtomicUsize::new(0));
    let count = lists.clone();
    let list = move |Query(query): Query<HashMap<String, String>>| async move {
        assert_eq!((&*query["only_tasks"], &*query["statuses"]), ("true", "RUNNING"), "{query:?}");
        let number = count.fetch_add(1, Ordering::SeqCst);
        Json(json!({ "rows": rows(number) }))
    };
    let details = move |Path(run): Path<RunId>| async move { Json(json!({ "run": {}, "tasks": [details(run)] })) };
    let app = Router::new()
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs", get(list))
        .route("/api/v1/stable/workflow-runs/{run}", get(details));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Rest { url, lists, _serving: AbortOnDropHandle::new(serving) }
}

/// A task run: an attempt of `echo` that has not started.
fn row(run: RunId, retry_count: i32) -> Value {
    json!({
        "metadata": { "id": run },
        "taskExternalId": run,
        "workflowRunExternalId": run,
        "tenantId": "707d0855-80ab-4e1f-a156-f1c4546cbf52",
        "workflowId": "dd5a9701-02b5-4601-8a52-e300bde40f48",
        "actionId": "echo:echo",
        "stepId": "0ac17bb9-d392-4e55-a1af-f034bea3b590",
        "displayName": "echo-1796085552593",
        "additionalMetadata": { "team": "a" },
        "retryCount": retry_count,
        "status": "RUNNING",
        "input": {},
    })
}

fn with(mut row: Value, key: &str, value: Value) -> Value {
    row[key] = value;
    row
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_assignment_is_started_after_a_reconnect() {
    let runs: [RunId; 9] = std::array::from_fn(|_| RunId::random());
    let [lost, received, finished, started, only_first, only_second, retried, ended, without_input] = runs;
    let start = || json!("2026-12-01T00:39:12Z");
    let rows = move |list| {
        let known = vec![row(lost, 2), row(received, 0), row(finished, 0)];
        let unknown =
            [with(row(started, 0), "startedAt", start()), row(retried, 0), row(ended, 0), row(without_input, 0)];
        let once = [row(only_first, 0), row(only_second, 0)];
        match list {
            0 | 1 => known.into_iter().chain(unknown).chain(once.into_iter().skip(list).take(1)).collect(),
            _ => known,
        }
    };
    let details = move |run| {
        // The number exceeds the range of f64 and i64.
        let input = json!({ "input": { "n": 18_446_744_073_709_551_615_u64 }, "parents": {} });
        match run {
            _ if run == lost => with(row(run, 2), "input", input),
            _ if run == retried => with(row(run, 1), "input", input),
            _ if run == ended => with(with(row(run, 0), "input", input), "status", json!("FAILED")),
            _ if run == without_input => row(run, 0),
            _ => with(row(run, 0), "input", input),
        }
    };
    let rest = rest(rows, details).await;
    let fake = Fake::start().await;
    let client = Client::new(ClientConfig { server_url: Some(rest.url.clone()), ..fake.config() }).unwrap();
    let release = Arc::new(tokio::sync::Notify::new());
    let held = Stub::new("held").task({
        let release = release.clone();
        move |_: Value, _| {
            let release = release.clone();
            async move {
                release.notified().await;
                Ok(json!(null))
            }
        }
    });
    let worker = Worker::new(&client).options(options()).register(echo()).register(held).start().unwrap();
    fake.until_listening().await;
    fake.send(start_action(received, "held:held", r#"{"input":{}}"#, 0)).await;
    fake.send(start_action(finished, "echo:echo", r#"{"input":{}}"#, 0)).await;
    fake.finished(finished).await;
    assert_eq!(rest.lists.load(Ordering::SeqCst), 0, "the first session of a worker searches for nothing");

    fake.break_stream(Status::unavailable("connection lost")).await;
    let Finished::Completed(output) = fake.finished(lost).await else { panic!("the attempt failed") };
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        output,
        json!({ "input": { "n": 18_446_744_073_709_551_615_u64 }, "retry": 2, "metadata": { "team": "a" } })
    );
    within("the second search has started", async {
        while rest.lists.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    release.notify_one();
    fake.finished(received).await;
    let ends = |run| fake.script(|script| script.finished(run).len());
    assert_eq!([lost, received, finished].map(ends), [1; 3], "each is executed once");
    assert_eq!([started, only_first, only_second, retried, ended, without_input].map(ends), [0; 6]);
    assert_eq!(worker.stats().assignments_recovered, 1);
    within("the worker stops", worker.stop()).await.unwrap();
}
