//! Stopping a worker.

use std::{sync::Arc, time::Duration};

use hatchet_quickstart::hatchet::{
    client::{Client, RunRef},
    task::{CancelReason, Context, Stub, Task, TaskError},
    wire::RunStatus,
    worker::{LinkState, Worker, WorkerOptions},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tonic::Status;

use super::{Stand, options, within};
use crate::fake::{Fake, Finished};
use crate::support::named;

type Json = serde_json::Map<String, Value>;

/// A task that tells its start and ends when it is let go.
fn waiting(begun: &Arc<Notify>, go: &Arc<Notify>) -> Task<Json, Value> {
    let (begun, go) = (begun.clone(), go.clone());
    Stub::new("waiting").task(move |_: Json, _| {
        let (begun, go) = (begun.clone(), go.clone());
        async move {
            begun.notify_one();
            go.notified().await;
            Ok(json!({ "done": true }))
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_finished_and_nothing_more_is_taken() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let long = WorkerOptions { grace: Duration::from_secs(60), ..options() };
    let Stand { client, worker, engine: _engine } = Stand::with(long, &[], [waiting(&begun, &go)]).await;
    let trigger = async || client.run_no_wait(&named("waiting"), &json!({})).await.unwrap();
    let running: RunRef = trigger().await;
    begun.notified().await;
    let mut state = worker.state();
    let stopped = tokio::spawn(worker.stop());
    within("it drains", state.wait_for(|state| *state == LinkState::Draining)).await.unwrap();
    // From the pause on nothing is assigned; the pause is seen in the list of workers.
    let rest = client.rest().unwrap();
    within("it is paused", async {
        while rest.workers().await.unwrap().iter().any(|worker| worker.status == "ACTIVE") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let late = trigger().await;
    go.notify_one();
    let drained = within("the worker stops", stopped).await.unwrap().unwrap();
    assert!(drained.cut.is_empty() && drained.left.is_empty(), "{drained:?}");
    assert_eq!(running.details().await.unwrap().status, RunStatus::Completed);
    assert_eq!(late.details().await.unwrap().status, RunStatus::Queued);
    assert_eq!(*state.borrow(), LinkState::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_rest_the_stream_is_closed_instead() {
    let fake = Fake::start().await;
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let long = WorkerOptions { grace: Duration::from_secs(60), ..options() };
    let worker =
        Worker::new(&Client::new(fake.config()).unwrap()).options(long).register(waiting(&begun, &go)).start().unwrap();
    fake.until_listening().await;
    let run = fake.assign("waiting", "{}").await;
    begun.notified().await;
    let (id, stream) = fake.script(|script| script.streams[0].clone());
    let stopped = tokio::spawn(worker.stop());
    within("the stream is closed", stream.closed()).await;
    go.notify_one();
    assert_eq!(fake.finished(run).await, Finished::Completed(r#"{"done":true}"#.to_owned()));
    within("the worker stops", stopped).await.unwrap().unwrap();
    assert_eq!(fake.script(|script| script.unsubscribed.clone()), [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outlives_the_grace_is_cut_and_may_be_retried() {
    let fake = Fake::start().await;
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let begun = Arc::new(Notify::new());
    let telling = begun.clone();
    let polite = Stub::new("polite").task(move |_: Json, ctx: Context| {
        let (begun, reasons) = (telling.clone(), sender.clone());
        async move {
            begun.notify_one();
            let reason = ctx.cancelled().await;
            reasons.send(reason).unwrap();
            Err::<Json, _>(TaskError::cancelled(reason))
        }
    });
    let worker = Worker::new(&Client::new(fake.config()).unwrap()).options(options()).register(polite).start().unwrap();
    fake.until_listening().await;
    let run = fake.assign("polite", "{}").await;
    begun.notified().await;
    let drained = within("the worker stops", worker.stop()).await.unwrap();
    assert_eq!(drained.cut, [format!("polite ({run})")]);
    assert!(drained.left.is_empty(), "{drained:?}");
    assert_eq!(reasons.recv().await, Some(CancelReason::Shutdown));
    let Finished::Failed { error, may_retry } = fake.finished(run).await else { panic!("it was cut") };
    assert!(error.starts_with("Shutdown: ") && may_retry, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ignores_even_that_is_named_and_left() {
    let fake = Fake::start().await;
    let begun = Arc::new(Notify::new());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (telling, released) = (begun.clone(), std::sync::Mutex::new(released));
    let deaf = Stub::new("deaf").blocking_task(move |_: Json, _| {
        telling.notify_one();
        // Until the test drops its end.
        let _ = released.lock().unwrap().recv();
        Ok(json!({}))
    });
    let worker = Worker::new(&Client::new(fake.config()).unwrap()).options(options()).register(deaf).start().unwrap();
    fake.until_listening().await;
    let run = fake.assign("deaf", "{}").await;
    begun.notified().await;
    let drained = within("the worker stops all the same", worker.stop()).await.unwrap();
    assert_eq!(drained.left, [format!("deaf ({run})")]);
    assert!(drained.unreported.is_empty(), "its body runs: {drained:?}");
    assert_eq!(fake.script(|script| script.finished(run)), []);
    drop(release);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcome_that_the_engine_does_not_take_is_named_as_unreported() {
    let fake = Fake::start().await;
    fake.script(|script| script.end_failures.extend(vec![Status::unavailable("away"); 10_000]));
    let quick = Stub::new("quick").task(|input: Json, _| async { Ok(input) });
    let worker = Worker::new(&Client::new(fake.config()).unwrap()).options(options()).register(quick).start().unwrap();
    fake.until_listening().await;
    let run = fake.assign("quick", "{}").await;
    fake.until("its report is refused", |script| (script.refused_ends > 0).then_some(())).await;
    let drained = within("the worker stops", worker.stop()).await.unwrap();
    assert_eq!(drained.unreported, [format!("quick ({run})")]);
    assert!(drained.cut.is_empty() && drained.left.is_empty(), "nothing was cancelled, and nothing runs: {drained:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_stops_at_once_and_says_goodbye() {
    let fake = Fake::start().await;
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let long = WorkerOptions { grace: Duration::from_secs(600), ..options() };
    let worker =
        Worker::new(&Client::new(fake.config()).unwrap()).options(long).register(waiting(&begun, &go)).start().unwrap();
    fake.until_listening().await;
    within("the worker stops", worker.stop()).await.unwrap();
    assert_eq!(fake.script(|script| script.unsubscribed.len()), 1);
}
