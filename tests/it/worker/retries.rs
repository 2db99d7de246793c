//! Retries, cancellation and timeouts of attempts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use hatchet_quickstart::hatchet::{
    client::RunError,
    task::{CancelReason, Context, Stub, TaskError},
    wire::RunStatus,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::{
    Fixture,
    fixture::{outcome, within},
};

type Json = serde_json::Map<String, Value>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retryable_failure_is_retried_with_increasing_attempt_numbers() {
    let (sender, mut attempts) = mpsc::unbounded_channel();
    let task = Stub::new("third-time").blocking_task(move |_: Json, ctx: Context| {
        sender.send((ctx.attempt_number(), ctx.retry_count())).unwrap();
        if ctx.attempt_number() < 3 {
            let _: i32 = "no number".parse()?;
        }
        Ok(json!({ "attempt": ctx.attempt_number() }))
    });
    let fixture = Fixture::start([task.retries(5)]).await;
    let outcome = fixture.run("third-time", json!({})).await;
    assert_eq!(outcome.output::<Value>().unwrap(), json!({ "attempt": 3 }));
    let mut seen = Vec::new();
    attempts.recv_many(&mut seen, 10).await;
    while let Ok(more) = attempts.try_recv() {
        seen.push(more);
    }
    assert_eq!(seen, [(1, 0), (2, 1), (3, 2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_fails_with_the_last_error_after_its_retries() {
    let count = Arc::new(AtomicU32::new(0));
    let seen = count.clone();
    let task = Stub::new("never").task(move |_: Json, ctx: Context| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move { Err::<Json, _>(TaskError::new(format!("failure {}", ctx.attempt_number()))) }
    });
    let fixture = Fixture::start([task.retries(2)]).await;
    let outcome = fixture.run("never", json!({})).await;
    assert_eq!((outcome.status, count.load(Ordering::SeqCst)), (RunStatus::Failed, 3));
    assert!(outcome.error.unwrap().contains("failure 3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fatal_failure_is_not_retried() {
    let count = Arc::new(AtomicU32::new(0));
    let seen = count.clone();
    let task = Stub::new("fatal").cpu_task(move |_: Json, _| {
        seen.fetch_add(1, Ordering::SeqCst);
        Err::<Json, _>(TaskError::fatal(anyhow::anyhow!("permanent")))
    });
    let fixture = Fixture::start([task.retries(5)]).await;
    let outcome = fixture.run("fatal", json!({})).await;
    assert_eq!((outcome.status, count.load(Ordering::SeqCst)), (RunStatus::Failed, 1));
    assert!(outcome.error.unwrap().contains("permanent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_is_retried() {
    let task = Stub::new("once").task(|_: Json, ctx: Context| async move {
        assert!(ctx.attempt_number() > 1, "the first attempt");
        Ok(json!({}))
    });
    let fixture = Fixture::start([task.retries(1)]).await;
    assert_eq!(fixture.run("once", json!({})).await.status, RunStatus::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_after_cancellation_is_ignored() {
    let started = Arc::new(Notify::new());
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let signal = started.clone();
    let cooperative = Stub::new("cooperative").task(move |_: Json, ctx: Context| {
        let (started, reasons) = (signal.clone(), sender.clone());
        async move {
            started.notify_one();
            reasons.send(ctx.cancelled().await).unwrap();
            // The body completes, but the run has already finished.
            Ok(json!({ "late": true }))
        }
    });
    let fixture = Fixture::start([cooperative.retries(3)]).await;
    let run = fixture.trigger("cooperative", json!({})).await;
    started.notified().await;
    let waiting = tokio::spawn({
        let run = run.clone();
        async move { outcome(&run).await }
    });
    run.cancel().await.unwrap();
    let first_outcome = within("the wait returns", waiting).await.unwrap();
    assert_eq!((first_outcome.status, &first_outcome.output), (RunStatus::Cancelled, &None));
    assert!(matches!(first_outcome.output::<Value>(), Err(RunError::Cancelled { run: id, .. }) if id == run.id()));
    assert_eq!(within("the body is cancelled", reasons.recv()).await, Some(CancelReason::Requested));
    // A later query returns the same status.
    assert_eq!(outcome(&fixture.client.run_ref::<Value>(run.id())).await.status, RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_body_that_ignores_cancellation_is_dropped() {
    /// Signals its drop.
    struct Guard(mpsc::UnboundedSender<()>);

    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    let started = Arc::new(Notify::new());
    let (sender, mut dropped) = mpsc::unbounded_channel();
    let signal = started.clone();
    let stubborn = Stub::new("stubborn").task(move |_: Json, _| {
        let (started, guard) = (signal.clone(), Guard(sender.clone()));
        async move {
            let _guard = guard;
            started.notify_one();
            std::future::pending::<Result<Json, TaskError>>().await
        }
    });
    let quick = Stub::new("quick").task(|_: Json, _| async { Ok(json!({})) });
    let options = hatchet_quickstart::hatchet::worker::WorkerOptions { slots: 1, ..super::options() };
    let fixture = Fixture::with(options, &[], [stubborn.erase(), quick.erase()]).await;
    let run = fixture.trigger("stubborn", json!({})).await;
    started.notified().await;
    run.cancel().await.unwrap();
    within("the body is dropped", dropped.recv()).await.unwrap();
    // The only slot has been released.
    assert_eq!(fixture.run("quick", json!({})).await.status, RunStatus::Completed);
    assert_eq!(outcome(&run).await.status, RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timed_out_attempt_is_cancelled() {
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let slow = Stub::new("slow").task(move |_: Json, ctx: Context| {
        let reasons = sender.clone();
        async move {
            reasons.send(ctx.cancelled().await).unwrap();
            Err::<Json, _>(TaskError::cancelled(CancelReason::TimedOut))
        }
    });
    let fixture = Fixture::start([slow.execution_timeout(Duration::from_secs(1))]).await;
    let outcome = fixture.run("slow", json!({})).await;
    assert_eq!(outcome.status, RunStatus::Failed, "{outcome:?}");
    within("the body is cancelled", reasons.recv()).await.unwrap();
}
