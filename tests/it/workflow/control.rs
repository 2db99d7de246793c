//! Requests of a body about its own attempt.

use std::time::Duration;

use hatchet_quickstart::{hatchet::worker::WorkerOptions, prelude::*};

use super::fixture::{Fixture, N, worker};
use crate::support::{Target, within_timeout};

#[tokio::test]
async fn refreshed_timeout_lets_the_attempt_finish() {
    let target = Target::for_failures().await;
    let stub = Stub::<N, N>::from_name(target.name("refresh"));
    let task = stub.task(|input, ctx| async move {
        if input.n > 0 {
            ctx.refresh_timeout(Duration::from_secs(20)).await?;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(input)
    });
    let task = task.execution_timeout(Duration::from_secs(2));
    let blocking = Stub::<N, N>::from_name(target.name("refresh-blocking"));
    let on_thread = blocking.blocking_task(|input, ctx| {
        ctx.refresh_timeout_blocking(Duration::from_secs(20))?;
        std::thread::sleep(Duration::from_secs(5));
        Ok(input)
    });
    let on_thread = on_thread.execution_timeout(Duration::from_secs(2));
    let fixture = Fixture::start(target, vec![task.into(), on_thread.into()]).await;
    let run = async |stub: &Stub<N, N>, n| {
        within_timeout("the run finishes", async { fixture.client.run(stub, &N { n }).await }).await
    };
    let (refreshed, on_thread, timed_out) = tokio::join!(run(&stub, 1), run(&blocking, 1), run(&stub, 0));
    assert_eq!(refreshed.unwrap().n, 1);
    assert_eq!(on_thread.unwrap().n, 1);
    assert!(matches!(timed_out, Err(RunError::Failed(_))), "{timed_out:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn body_cancels_its_own_run() {
    let target = Target::start().await;
    let stub = Stub::<N, N>::from_name(target.name("cancel"));
    let task = stub.task(|_, ctx| async move {
        ctx.cancel().await?;
        Err(TaskError::cancelled(ctx.cancelled().await))
    });
    let blocking = Stub::<N, N>::from_name(target.name("cancel-blocking"));
    let on_thread = blocking.blocking_task(|_, ctx| {
        ctx.cancel_blocking()?;
        loop {
            ctx.check_cancelled()?;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let fixture = Fixture::start(target, vec![task.into(), on_thread.into()]).await;
    for stub in [&stub, &blocking] {
        let result = within_timeout("the run finishes", async { fixture.client.run(stub, &N { n: 1 }).await }).await;
        assert!(matches!(result, Err(RunError::Cancelled { .. })), "{result:?}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn released_slot_is_used_while_the_body_continues() {
    let target = Target::start().await;
    let client = target.client();
    let stub = Stub::<N, N>::from_name(target.name("release"));
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let finish = std::sync::Arc::new(tokio::sync::Notify::new());
    let wait = finish.clone();
    let task = stub.task(move |input: N, ctx| {
        let (started, wait) = (started.clone(), wait.clone());
        async move {
            let _ = started.send(input.n);
            if input.n == 1 {
                ctx.release_slot().await?;
                wait.notified().await;
            }
            Ok(input)
        }
    });
    let options = WorkerOptions { slots: 1, ..WorkerOptions::default() };
    let worker = worker(&target, options, vec![task.into()]).await;
    let first = client.run_no_wait(&stub, &N { n: 1 }).await.unwrap();
    assert_eq!(within_timeout("the first body starts", starts.recv()).await, Some(1));
    let second = client.run_no_wait(&stub, &N { n: 2 }).await.unwrap();
    // A real engine (v0.104.7) uses the slot only after the first run has finished.
    if target.is_embedded() {
        assert_eq!(within_timeout("the second run finishes", second.result()).await.unwrap().n, 2);
        assert!(!first.details().await.unwrap().done);
    }
    finish.notify_one();
    assert_eq!(within_timeout("the first run finishes", first.result()).await.unwrap().n, 1);
    assert_eq!(within_timeout("the second run finishes", second.result()).await.unwrap().n, 2);
    worker.stop().await.unwrap();
}
