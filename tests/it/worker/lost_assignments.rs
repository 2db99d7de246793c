//! Assignments that were lost with a connection are found over REST.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
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
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::{fixture::options, within};
use crate::fake::{Fake, Finished, cancel_action, start_action};

fn echo() -> Task<Value, Value> {
    Stub::new("echo").task(|input: Value, ctx: Context| async move {
        Ok(json!({ "input": input, "retry": ctx.retry_count(), "metadata": ctx.additional_metadata() }))
    })
}

/// A REST API whose list of running tasks is scripted.
struct Rest {
    url: String,
    lists: Arc<AtomicUsize>,
    /// Opens the second list.
    confirm: Arc<Notify>,
    _serving: AbortOnDropHandle<()>,
}

/// Serves `rows(list)` as the list number `list`, counted from 0, `tasks(run)` as the tasks of a run, and
/// `events(task, worker)` as the history of a task.
async fn rest(
    rows: impl Fn(usize) -> Vec<Value> + Clone + Send + Sync + 'static,
    tasks: impl Fn(RunId) -> Vec<Value> + Clone + Send + Sync + 'static,
    events: impl Fn(RunId, &str) -> Vec<Value> + Clone + Send + Sync + 'static,
) -> Rest {
    let lists = Arc::new(AtomicUsize::new(0));
    let (count, confirm, worker) = (lists.clone(), Arc::new(Notify::new()), Arc::new(OnceLock::new()));
    let (confirmed, listing) = (confirm.clone(), worker.clone());
    let list = move |Query(query): Query<HashMap<String, String>>| async move {
        assert_eq!((&*query["only_tasks"], &*query["statuses"]), ("true", "RUNNING"), "{query:?}");
        assert_eq!(listing.get_or_init(|| query["worker_id"].clone()), &query["worker_id"]);
        let number = count.fetch_add(1, Ordering::SeqCst);
        if number == 1 {
            confirmed.notified().await;
        }
        Json(json!({ "rows": rows(number) }))
    };
    let tasks = move |Path(run): Path<RunId>| async move { Json(json!({ "run": {}, "tasks": tasks(run) })) };
    let events = move |Path(task): Path<RunId>| async move {
        Json(json!({ "rows": events(task, worker.get().expect("a list is read first")) }))
    };
    let app = Router::new()
        .route("/api/v1/stable/tenants/{tenant}/workflow-runs", get(list))
        .route("/api/v1/stable/workflow-runs/{run}", get(tasks))
        .route("/api/v1/stable/tasks/{task}/task-events", get(events));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Rest { url, lists, confirm, _serving: AbortOnDropHandle::new(serving) }
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

fn event(kind: &str, retry_count: i32, worker: &str) -> Value {
    json!({ "eventType": kind, "timestamp": "2026-12-01T00:39:11Z", "retryCount": retry_count, "workerId": worker })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_assignment_is_started_after_a_reconnect() {
    let runs: [RunId; 15] = std::array::from_fn(|_| RunId::random());
    let [lost, child, received, finished, started, only_first, only_second, retried, ended, without_input, ..] = runs;
    let [.., replayed, not_sent, sent_to_other, cancelled, superseded] = runs;
    let start = || json!("2026-12-01T00:39:12Z");
    let retry_count = move |run| match run {
        _ if run == lost => 2,
        _ if run == child || run == replayed => 1,
        _ => 0,
    };
    let rows = move |list| {
        let absent = [only_second, only_first].get(list).copied();
        let listed = |run: &RunId| list < 2 && Some(*run) != absent || [lost, received, finished].contains(run);
        let row = |run| {
            let row = row(run, retry_count(run));
            if run == started { with(row, "startedAt", start()) } else { row }
        };
        runs.into_iter().filter(listed).map(row).collect()
    };
    let tasks = move |run| {
        // The number exceeds the range of f64 and i64.
        let input = json!({ "input": { "n": 18_446_744_073_709_551_615_u64 }, "parents": {} });
        let with_parent = json!({ "input": {}, "parents": { "order-items": { "n": 1 } } });
        let parent = |output| {
            with(with(row(RunId::random(), 0), "displayName", json!("order-items-1796085552593")), "output", output)
        };
        let own = row(run, retry_count(run));
        match run {
            _ if run == retried => vec![with(row(run, 1), "input", input)],
            _ if run == ended => vec![with(with(own, "input", input), "status", json!("FAILED"))],
            _ if run == without_input => vec![own],
            _ if run == child => vec![parent(json!({ "n": 1 })), with(own, "input", with_parent)],
            _ if run == replayed => vec![parent(json!({ "n": 2 })), with(own, "input", with_parent)],
            _ => vec![with(own, "input", input)],
        }
    };
    let events = move |run, worker: &str| match run {
        _ if run == not_sent => vec![event("ASSIGNED", 0, worker), event("SENT_TO_WORKER", 1, worker)],
        _ if run == sent_to_other => vec![event("SENT_TO_WORKER", 0, &RunId::random().to_string())],
        _ => vec![event("SENT_TO_WORKER", retry_count(run), worker), event("ASSIGNED", retry_count(run), worker)],
    };
    let rest = rest(rows, tasks, events).await;
    let fake = Fake::start().await;
    let client = Client::new(ClientConfig { server_url: Some(rest.url.clone()), ..fake.config() }).unwrap();
    let release = Arc::new(Notify::new());
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
    let lists = async |count| {
        within("a list is read", async {
            while rest.lists.load(Ordering::SeqCst) < count {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    lists(2).await;
    fake.send(cancel_action(cancelled, "echo:echo")).await;
    fake.send(start_action(superseded, "echo:echo", r#"{"input":{}}"#, 1)).await;
    fake.finished(superseded).await;
    rest.confirm.notify_one();
    let Finished::Completed(output) = fake.finished(lost).await else { panic!("the attempt failed") };
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        output,
        json!({ "input": { "n": 18_446_744_073_709_551_615_u64 }, "retry": 2, "metadata": { "team": "a" } })
    );
    fake.finished(child).await;
    // The second search begins after the end of the first.
    lists(3).await;
    release.notify_one();
    fake.finished(received).await;
    let ends = |run| fake.script(|script| script.finished(run).len());
    assert_eq!([lost, child, received, finished, superseded].map(ends), [1; 5], "each is executed once");
    let unstarted = [started, only_first, only_second, retried, ended, without_input];
    assert_eq!(unstarted.map(ends), [0; 6]);
    assert_eq!([replayed, not_sent, sent_to_other, cancelled].map(ends), [0; 4]);
    assert_eq!(worker.stats().assignments_recovered, 2);
    within("the worker stops", worker.stop()).await.unwrap();
}
