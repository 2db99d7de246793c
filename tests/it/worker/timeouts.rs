//! Attempts that the worker ends at their execution timeout because the engine does not.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use hatchet_quickstart::hatchet::{
    task::{Context, Stub},
    wire::proto::v1,
    worker::{Worker, WorkerOptions},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{listening_worker, options, within};
use crate::fake::{Fake, Finished};
use hatchet_quickstart::hatchet::client::Client;

type Json = serde_json::Map<String, Value>;

/// Exceeded by every body; the worker's margin is added to it.
const TIMEOUT: Duration = Duration::from_millis(1);

#[track_caller]
fn expect_timed_out(finished: &Finished) {
    let Finished::Failed { error, may_retry } = finished else { panic!("{finished:?}") };
    assert!(*may_retry, "{error}");
    assert!(error.starts_with("TimedOut: the attempt ran longer than its execution timeout of 1ms"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeout_is_reported_while_the_body_still_runs() {
    let fake = Fake::start().await;
    let asleep = Stub::new("asleep").task(|_: Json, _| async {
        std::future::pending::<()>().await;
        Ok(json!({}))
    });
    let cooperative = Stub::new("cooperative").task(|_: Json, ctx: Context| async move {
        ctx.cancelled().await;
        Ok(json!({ "too": "late" }))
    });
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (opened, (finish, mut finished)) = (gate.clone(), mpsc::unbounded_channel());
    let ignoring = Stub::new("ignoring").blocking_task(move |_: Json, _| {
        drop(opened.1.wait_while(opened.0.lock().unwrap(), |open| !*open).unwrap());
        finish.send(()).unwrap();
        Ok(json!({ "too": "late" }))
    });
    let worker =
        listening_worker(&fake, options(), [asleep, cooperative, ignoring].map(|task| task.execution_timeout(TIMEOUT)))
            .await;
    let mut runs = Vec::new();
    for name in ["asleep", "cooperative", "ignoring"] {
        runs.push(fake.assign(name, "{}").await);
    }
    for run in &runs {
        expect_timed_out(&fake.finished(*run).await);
    }
    assert_eq!(worker.stats().slots["default"].used, 1, "its thread holds the slot");
    assert_eq!(worker.stats().cancellations_ignored, 1, "the ignored cancellation is counted");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    within("the ignoring body finishes", finished.recv()).await.unwrap();
    within("the worker stops", worker.stop()).await.unwrap();
    for run in runs {
        assert_eq!(fake.script(|script| script.finished(run).len()), 1, "the late output is not reported");
    }
}

/// A body that ignores its cancellation keeps the slot, and the engine's cancellation of the waiting attempt is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_without_a_slot_ends_at_its_execution_timeout() {
    let fake = Fake::start().await;
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let opened = gate.clone();
    let ignoring = Stub::new("ignoring").blocking_task(move |_: Json, _| {
        drop(opened.1.wait_while(opened.0.lock().unwrap(), |open| !*open).unwrap());
        Ok(json!({}))
    });
    let one_slot = WorkerOptions { slots: 1, ..options() };
    let worker = listening_worker(&fake, one_slot, [ignoring.execution_timeout(TIMEOUT)]).await;
    fake.assign("ignoring", "{}").await;
    within("the slot is in use", async {
        while worker.stats().slots["default"].used == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let waiting = fake.assign("ignoring", "{}").await;
    expect_timed_out(&fake.finished(waiting).await);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    within("the worker stops", worker.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeout_is_not_reported_for_a_finished_run() {
    let fake = Fake::start().await;
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let task = Stub::new("task").task(move |_: Json, ctx: Context| {
        let sender = sender.clone();
        async move {
            sender.send(ctx.cancelled().await).unwrap();
            Ok(json!({}))
        }
    });
    let worker = listening_worker(&fake, options(), [task.execution_timeout(TIMEOUT)]).await;
    let run = fake.assign("task", "{}").await;
    // The cancellation itself was lost.
    fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Cancelled, None));
    within("the body is cancelled", reasons.recv()).await.unwrap();
    within("the worker stops", worker.stop()).await.unwrap();
    assert!(fake.script(|script| script.finished(run)).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeout_is_not_reported_for_a_run_with_large_output() {
    let fake = Fake::start().await;
    let cooperative = Stub::new("cooperative").task(|_: Json, ctx: Context| async move {
        ctx.cancelled().await;
        Ok(json!({}))
    });
    let config = fake.config_with(&[("HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH", "4096")]);
    let worker = Worker::new(&Client::new(config).unwrap())
        .options(options())
        .register(cooperative.execution_timeout(TIMEOUT))
        .start()
        .unwrap();
    fake.until_listening().await;
    let run = fake.assign("cooperative", "{}").await;
    let output = json!("x".repeat(8192)).to_string();
    fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Completed, Some(&output)));
    fake.until("the status is requested", |script| (script.details_calls > 0).then_some(())).await;
    within("no report is pending", async {
        while worker.stats().reports_waiting > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(fake.script(|script| script.finished(run)).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maximum_durations_do_not_overflow() {
    let fake = Fake::start().await;
    let endless_timeout = WorkerOptions {
        grace: Duration::MAX,
        cancel_grace: Duration::MAX,
        wait_for_engine: Duration::MAX,
        ..options()
    };
    let echo = Stub::new("echo")
        .task(|input: Json, _| async { Ok(input) })
        .execution_timeout(Duration::from_secs(2_562_047 * 3600));
    let worker = listening_worker(&fake, endless_timeout, [echo]).await;
    let run = fake.assign("echo", "{}").await;
    assert_eq!(fake.finished(run).await, Finished::Completed("{}".to_owned()));
    within("the worker stops", worker.stop()).await.unwrap();
}
