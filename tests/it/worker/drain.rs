//! Draining a worker.

use std::{sync::Arc, time::Duration};

use hatchet_quickstart::hatchet::{
    client::RunRef,
    task::{CancelReason, Context, Stub, Task, TaskError},
    wire::RunStatus,
    worker::{WorkerOptions, WorkerState},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tonic::Status;

use super::{Fixture, listening_worker, options, until_paused, within};
use crate::fake::{Fake, Finished};
use crate::support::named;

type Json = serde_json::Map<String, Value>;

/// Creates a task that signals its start and ends when it is released.
fn waiting(started: &Arc<Notify>, release: &Arc<Notify>) -> Task<Json, Value> {
    let (started, release) = (started.clone(), release.clone());
    Stub::new("waiting").task(move |_: Json, _| {
        let (started, release) = (started.clone(), release.clone());
        async move {
            started.notify_one();
            release.notified().await;
            Ok(json!({ "done": true }))
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_finishes_running_attempts_and_accepts_no_more() {
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let long_grace = WorkerOptions { grace: Duration::from_secs(60), ..options() };
    let Fixture { client, worker, engine: _engine } =
        Fixture::with(long_grace, &[], [waiting(&started, &release)]).await;
    let trigger = async || client.run_no_wait(&named("waiting"), &json!({})).await.unwrap();
    let running: RunRef = trigger().await;
    started.notified().await;
    let mut state = worker.state();
    let stopped = tokio::spawn(worker.stop());
    within("the worker drains", state.wait_for(|state| *state == WorkerState::Draining)).await.unwrap();
    // The engine assigns nothing to a paused worker. The list of workers shows the pause.
    until_paused(&client).await;
    let late = trigger().await;
    release.notify_one();
    let drained = within("the worker stops", stopped).await.unwrap().unwrap();
    assert!(drained.cancelled.is_empty() && drained.still_running.is_empty(), "{drained:?}");
    assert_eq!(running.details().await.unwrap().status, RunStatus::Completed);
    assert_eq!(late.details().await.unwrap().status, RunStatus::Queued);
    assert_eq!(*state.borrow(), WorkerState::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_closes_the_stream_without_rest() {
    let fake = Fake::start().await;
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let long_grace = WorkerOptions { grace: Duration::from_secs(60), ..options() };
    let worker = listening_worker(&fake, long_grace, [waiting(&started, &release)]).await;
    let run = fake.assign("waiting", "{}").await;
    started.notified().await;
    let (id, stream) = fake.script(|script| script.streams[0].clone());
    let stopped = tokio::spawn(worker.stop());
    within("the stream is closed", stream.closed()).await;
    release.notify_one();
    assert_eq!(fake.finished(run).await, Finished::Completed(r#"{"done":true}"#.to_owned()));
    within("the worker stops", stopped).await.unwrap().unwrap();
    assert_eq!(fake.script(|script| script.unsubscribed.clone()), [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_that_outlives_the_grace_may_be_retried() {
    let fake = Fake::start().await;
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let started = Arc::new(Notify::new());
    let signal = started.clone();
    let cooperative = Stub::new("cooperative").task(move |_: Json, ctx: Context| {
        let (started, reasons) = (signal.clone(), sender.clone());
        async move {
            started.notify_one();
            let reason = ctx.cancelled().await;
            reasons.send(reason).unwrap();
            Err::<Json, _>(TaskError::cancelled(reason))
        }
    });
    let worker = listening_worker(&fake, options(), [cooperative]).await;
    let run = fake.assign("cooperative", "{}").await;
    started.notified().await;
    let drained = within("the worker stops", worker.stop()).await.unwrap();
    assert_eq!(drained.cancelled, [format!("cooperative ({run})")]);
    assert!(drained.still_running.is_empty(), "{drained:?}");
    assert_eq!(reasons.recv().await, Some(CancelReason::Shutdown));
    let Finished::Failed { error, may_retry } = fake.finished(run).await else { panic!("the attempt did not fail") };
    assert!(error.starts_with("Shutdown: ") && may_retry, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_that_ignores_cancellation_is_still_running() {
    let fake = Fake::start().await;
    let started = Arc::new(Notify::new());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (signal, released) = (started.clone(), std::sync::Mutex::new(released));
    let ignoring = Stub::new("ignoring").blocking_task(move |_: Json, _| {
        signal.notify_one();
        // Blocks until the test drops the sender.
        let _ = released.lock().unwrap().recv();
        Ok(json!({}))
    });
    let worker = listening_worker(&fake, options(), [ignoring]).await;
    let run = fake.assign("ignoring", "{}").await;
    started.notified().await;
    let drained = within("the worker stops", worker.stop()).await.unwrap();
    assert_eq!(drained.still_running, [format!("ignoring ({run})")]);
    assert!(drained.unreported.is_empty(), "the outcome of a running body is not due: {drained:?}");
    assert_eq!(fake.script(|script| script.finished(run)), []);
    drop(release);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unacknowledged_outcome_is_unreported() {
    let fake = Fake::start().await;
    fake.script(|script| script.outcome_failures.extend(vec![Status::unavailable("restarting"); 10_000]));
    let quick = Stub::new("quick").task(|input: Json, _| async { Ok(input) });
    let worker = listening_worker(&fake, options(), [quick]).await;
    let run = fake.assign("quick", "{}").await;
    fake.until("the report is refused", |script| (script.refused_outcomes > 0).then_some(())).await;
    let drained = within("the worker stops", worker.stop()).await.unwrap();
    assert_eq!(drained.unreported, [format!("quick ({run})")]);
    assert!(
        drained.cancelled.is_empty() && drained.still_running.is_empty(),
        "an attempt was cancelled or is running: {drained:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_worker_stops_immediately_and_unregisters() {
    let fake = Fake::start().await;
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let long_grace = WorkerOptions { grace: Duration::from_secs(600), ..options() };
    let worker = listening_worker(&fake, long_grace, [waiting(&started, &release)]).await;
    within("the worker stops", worker.stop()).await.unwrap();
    assert_eq!(fake.script(|script| script.unsubscribed.len()), 1);
}
