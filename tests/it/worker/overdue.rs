//! Attempts that outlive their execution timeout where the engine does nothing about it.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use hatchet_quickstart::hatchet::{
    task::{Context, ErasedTask, Stub},
    wire::proto::v1,
    worker::{RunningWorker, Worker, WorkerOptions},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{options, within};
use crate::fake::{Fake, Finished};
use hatchet_quickstart::hatchet::client::Client;

type Json = serde_json::Map<String, Value>;

/// Over it as soon as the worker allows.
const TIMEOUT: Duration = Duration::from_millis(1);

async fn worker(fake: &Fake, tasks: impl IntoIterator<Item = impl Into<ErasedTask>>) -> RunningWorker {
    let worker =
        Worker::new(&Client::new(fake.config()).unwrap()).options(options()).register_all(tasks).start().unwrap();
    fake.until_listening().await;
    worker
}

#[track_caller]
fn expect_timed_out(finished: &Finished) {
    let Finished::Failed { error, may_retry } = finished else { panic!("{finished:?}") };
    assert!(*may_retry, "{error}");
    assert!(error.starts_with("TimedOut: the attempt ran longer than its execution timeout of 1ms"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_fails_for_another_try_and_a_deaf_body_is_not_waited_for() {
    let fake = Fake::start().await;
    let asleep = Stub::new("asleep").task(|_: Json, _| async {
        std::future::pending::<()>().await;
        Ok(json!({}))
    });
    let polite = Stub::new("polite").task(|_: Json, ctx: Context| async move {
        ctx.cancelled().await;
        Ok(json!({ "too": "late" }))
    });
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (opened, (ends, mut ended)) = (gate.clone(), mpsc::unbounded_channel());
    let deaf = Stub::new("deaf").blocking_task(move |_: Json, _| {
        drop(opened.1.wait_while(opened.0.lock().unwrap(), |open| !*open).unwrap());
        ends.send(()).unwrap();
        Ok(json!({ "too": "late" }))
    });
    let worker = worker(&fake, [asleep, polite, deaf].map(|task| task.execution_timeout(TIMEOUT))).await;
    let mut runs = Vec::new();
    for name in ["asleep", "polite", "deaf"] {
        runs.push(fake.assign(name, "{}").await);
    }
    for run in &runs {
        expect_timed_out(&fake.finished(*run).await);
    }
    assert_eq!(worker.stats().slots["default"].used, 1, "the deaf one's thread is taken");
    assert_eq!(worker.stats().cancellations_ignored, 1, "and that is counted");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    within("the deaf one ends", ended.recv()).await.unwrap();
    within("the worker stops", worker.stop()).await.unwrap();
    for run in runs {
        assert_eq!(fake.script(|script| script.finished(run).len()), 1, "a late result is not sent");
    }
}

/// Where a body that ignores its cancellation keeps the slot, and the engine's word that an attempt is over is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_without_a_slot_ends_at_its_execution_timeout() {
    let fake = Fake::start().await;
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let opened = gate.clone();
    let deaf = Stub::new("deaf").blocking_task(move |_: Json, _| {
        drop(opened.1.wait_while(opened.0.lock().unwrap(), |open| !*open).unwrap());
        Ok(json!({}))
    });
    let one = WorkerOptions { slots: 1, ..options() };
    let worker = Worker::new(&Client::new(fake.config()).unwrap())
        .options(one)
        .register(deaf.execution_timeout(TIMEOUT))
        .start()
        .unwrap();
    fake.until_listening().await;
    fake.assign("deaf", "{}").await;
    within("the slot is taken", async {
        while worker.stats().slots["default"].used == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let waiting = fake.assign("deaf", "{}").await;
    expect_timed_out(&fake.finished(waiting).await);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    within("the worker stops", worker.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_has_ended_meanwhile_keeps_its_end() {
    let fake = Fake::start().await;
    let (told, mut reasons) = mpsc::unbounded_channel();
    let task = Stub::new("task").task(move |_: Json, ctx: Context| {
        let told = told.clone();
        async move {
            told.send(ctx.cancelled().await).unwrap();
            Ok(json!({}))
        }
    });
    let worker = worker(&fake, [task.execution_timeout(TIMEOUT)]).await;
    let run = fake.assign("task", "{}").await;
    // The word of it was lost.
    fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Cancelled, None));
    within("the body is told", reasons.recv()).await.unwrap();
    within("the worker stops", worker.stop()).await.unwrap();
    assert!(fake.script(|script| script.finished(run)).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_output_is_too_large_to_be_looked_at_keeps_its_end() {
    let fake = Fake::start().await;
    let polite = Stub::new("polite").task(|_: Json, ctx: Context| async move {
        ctx.cancelled().await;
        Ok(json!({}))
    });
    let config = fake.config_with(&[("HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH", "4096")]);
    let worker = Worker::new(&Client::new(config).unwrap())
        .options(options())
        .register(polite.execution_timeout(TIMEOUT))
        .start()
        .unwrap();
    fake.until_listening().await;
    let run = fake.assign("polite", "{}").await;
    let output = json!("x".repeat(8192)).to_string();
    fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Completed, Some(&output)));
    fake.until("the engine is asked", |script| (script.details_asked > 0).then_some(())).await;
    within("nothing is left to be reported", async {
        while worker.stats().reports_waiting > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(fake.script(|script| script.finished(run)).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_of_all_times_are_no_overflow() {
    let fake = Fake::start().await;
    let forever = WorkerOptions {
        grace: Duration::MAX,
        cancel_grace: Duration::MAX,
        wait_for_engine: Duration::MAX,
        ..options()
    };
    let echo = Stub::new("echo")
        .task(|input: Json, _| async { Ok(input) })
        .execution_timeout(Duration::from_secs(2_562_047 * 3600));
    let worker = Worker::new(&Client::new(fake.config()).unwrap()).options(forever).register(echo).start().unwrap();
    fake.until_listening().await;
    let run = fake.assign("echo", "{}").await;
    assert_eq!(fake.finished(run).await, Finished::Completed("{}".to_owned()));
    within("the worker stops", worker.stop()).await.unwrap();
}
