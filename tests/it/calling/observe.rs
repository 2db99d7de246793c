//! Log lines of `tracing` events, the trace context, and the hooks of a worker.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hatchet_quickstart::{
    hatchet::{
        client::ErrorKind,
        task::{AttemptOutcome, ErasedWorkflow, LogLayer},
        worker::Worker,
    },
    prelude::*,
};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{Json, Library, json_object, within};
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracing_events_reach_the_log_with_fields_and_attempt() {
    let mut library = Library::for_failures().await;
    let stub = library.stub("logged");
    let task = stub.task(|_: Json, ctx: Context| {
        let body = async move {
            tracing::info!(attempt_seen = ctx.attempt_number(), customer = "Ada", "starts");
            if ctx.retry_count() == 0 {
                tracing::error!("fails");
                return Err(TaskError::new("the first attempt fails"));
            }
            Ok(Json::new())
        };
        body.with_subscriber(tracing_subscriber::registry().with(LogLayer::new()))
    });
    library.work([task.retries(1)]).await;
    let run = library.client.run_no_wait(&stub, &Json::new()).await.unwrap();
    within("the run finishes", run.result()).await.unwrap();
    let rest = library.client.rest().unwrap();
    let lines = eventually("all lines are stored", async || match rest.log_lines(run.id(), None).await {
        Ok(lines) => (lines.len() == 3).then_some(lines),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    })
    .await;
    let mut lines: Vec<_> = lines
        .into_iter()
        .map(|line| (line.attempt, line.level, line.message, serde_json::Value::Object(line.fields)))
        .collect();
    lines.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let line = |attempt, level: &str, message: &str, fields| (attempt, level.to_owned(), message.to_owned(), fields);
    assert_eq!(
        lines,
        [
            line(1, "ERROR", "fails", json!({})),
            line(1, "INFO", "starts", json!({ "attempt_seen": 1, "customer": "Ada" })),
            line(2, "INFO", "starts", json!({ "attempt_seen": 2, "customer": "Ada" })),
        ]
    );
    library.stop().await;
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_context_reaches_events_schedules_and_crons_of_a_body() {
    let mut library = Library::start().await;
    let (parent, later) = (library.stub("parent"), library.stub("later"));
    let key = library.target.name("traced");
    let (client, target, event) = (library.client.clone(), later.clone(), key.clone());
    let parent_task = parent.task(move |input: Json, _| {
        let (client, later, key) = (client.clone(), target.clone(), event.clone());
        async move {
            client.push_event(&key, &input).await?;
            client.schedule(&later, &input).after(Duration::ZERO).await?;
            client.schedule(&later, &input).after(Duration::ZERO).metadata("traceparent", OTHER).await?;
            let cron = client.cron(&later, "yearly", "@yearly", &input).await?;
            let stored = cron.get().await?;
            cron.delete().await?;
            Ok(json_object(json!({ "cron": stored.additional_metadata["traceparent"] })))
        }
    });
    let (sender, mut traces) = mpsc::unbounded_channel();
    let later_task = later.task(move |_: Json, ctx: Context| {
        let _ = sender.send(ctx.traceparent().map(str::to_owned));
        async { Ok(Json::new()) }
    });
    library.work([ErasedWorkflow::from(parent_task), later_task.on_event(&key).into()]).await;
    let call = library.client.run(&parent, &Json::new()).metadata("traceparent", TRACE);
    let output = within("the parent finishes", call).await.unwrap();
    assert_eq!(output, json_object(json!({ "cron": TRACE })));
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(within("a run starts", traces.recv()).await.unwrap().unwrap());
    }
    seen.sort();
    assert_eq!(seen, [TRACE, TRACE, OTHER]);
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_context_reaches_children_and_runs_of_a_body() {
    let mut library = Library::start().await;
    let (parent, child) = (library.stub("parent"), library.stub("child"));
    let (client, task) = (library.client.clone(), child.clone());
    let parent_task = parent.task(move |_: Json, ctx: Context| {
        let (client, child) = (client.clone(), task.clone());
        async move {
            let child_output = ctx.run(&child, &Json::new()).await?;
            let run_output = client.run(&child, &Json::new()).await?;
            Ok(json_object(json!({ "child": child_output["trace"], "run": run_output["trace"] })))
        }
    });
    let child_task =
        child.task(|_: Json, ctx: Context| async move { Ok(json_object(json!({ "trace": ctx.traceparent() }))) });
    library.work([parent_task, child_task]).await;
    let call = library.client.run(&parent, &Json::new()).metadata("traceparent", TRACE);
    let output = within("the parent finishes", call).await.unwrap();
    assert_eq!(output, json_object(json!({ "child": TRACE, "run": TRACE })));
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_see_each_attempt_with_its_outcome() {
    let library = Library::for_failures().await;
    let (task, blocking) = (library.stub("hooked"), library.stub("hooked-blocking"));
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (before, after) = (seen.clone(), seen.clone());
    let body = |_: Json, ctx: Context| async move {
        match ctx.retry_count() {
            0 => Err(TaskError::new("first")),
            1 => panic!("second"),
            _ => Ok(Json::new()),
        }
    };
    let worker = Worker::new(&library.client)
        .name(library.target.name("worker"))
        .register(task.task(body).retries(2))
        .register(blocking.blocking_task(|_: Json, _| Err::<Json, _>(TaskError::fatal("no"))))
        .before_attempt(move |ctx| before.lock().unwrap().push(format!("before {}", ctx.attempt_number())))
        .after_attempt(move |report| {
            let outcome = match report.outcome {
                AttemptOutcome::Failed { error, may_retry, .. } => format!("failed {may_retry} {error}"),
                other => format!("{other:?}"),
            };
            assert!(report.duration.as_secs() < 60);
            after.lock().unwrap().push(format!("after {} {outcome}", report.ctx.attempt_number()));
        });
    let mut worker = worker.start().unwrap();
    within("the worker listens", worker.listening()).await.unwrap();
    within("the run finishes", library.client.run(&task, &Json::new())).await.unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "before 1",
            "after 1 failed true TaskError: first",
            "before 2",
            "after 2 Panicked",
            "before 3",
            "after 3 Completed",
        ]
    );
    seen.lock().unwrap().clear();
    within("the run finishes", library.client.run(&blocking, &Json::new())).await.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), ["before 1", "after 1 failed false TaskError: no"]);
    within("the worker stops", worker.stop()).await.unwrap();
}
