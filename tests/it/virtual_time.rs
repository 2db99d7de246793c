//! The engine of [`TestEngine`], whose time the tests move forward.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, UNIX_EPOCH},
};

use hatchet_quickstart::{
    hatchet::{client::RunError, testing::TestEngine, wire::RunStatus},
    prelude::*,
};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Order {
    items: u32,
}

const ORDER: Stub<Order, Order> = Stub::new("order");
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Far less than the virtual time of each test, and far more than a test needs on a busy machine.
const REAL_TIME: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_retries_with_backoff_take_no_real_time() {
    let started = Instant::now();
    let mut engine = TestEngine::start().await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = attempts.clone();
    let task = ORDER.task(move |order: Order, ctx: Context| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { if ctx.retry_count() < 3 { Err(TaskError::new("not yet")) } else { Ok(order) } }
    });
    // Delays of 30, 900 and 3,600 s.
    engine.work([task.retries(3).backoff(30.0, HOUR)]).await;
    let run = engine.client().run_no_wait(&ORDER, &Order { items: 2 }).await.unwrap();
    engine.settle().await;
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    engine.advance(MINUTE).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    engine.advance(14 * MINUTE).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 2, "the second delay has not elapsed");
    engine.advance(2 * MINUTE).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    engine.advance(HOUR).await;
    assert_eq!(run.result().await.unwrap(), Order { items: 2 });
    assert!(started.elapsed() < REAL_TIME, "{:?}", started.elapsed());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delay_chosen_by_an_error_replaces_the_backoff() {
    let started = Instant::now();
    let mut engine = TestEngine::start().await;
    let task = ORDER.task(|order: Order, ctx: Context| async move {
        match ctx.retry_count() {
            0 => Err(TaskError::retry_after("the API is at its limit", 2 * HOUR)),
            _ => Ok(order),
        }
    });
    engine.work([task.retries(1).backoff(2.0, MINUTE)]).await;
    let run = engine.client().run_no_wait(&ORDER, &Order { items: 3 }).await.unwrap();
    engine.advance(HOUR + 50 * MINUTE).await;
    assert_eq!(run.status().await.unwrap(), RunStatus::Queued);
    engine.advance(11 * MINUTE).await;
    assert_eq!(run.result().await.unwrap(), Order { items: 3 });
    assert!(started.elapsed() < REAL_TIME, "{:?}", started.elapsed());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn execution_timeout_of_an_hour_ends_a_waiting_body() {
    let started = Instant::now();
    let mut engine = TestEngine::start().await;
    let task = ORDER.task(|_: Order, ctx: Context| async move { Err(TaskError::cancelled(ctx.cancelled().await)) });
    engine.work([task.execution_timeout(HOUR)]).await;
    let run = engine.client().run_no_wait(&ORDER, &Order::default()).await.unwrap();
    engine.advance(59 * MINUTE).await;
    assert_eq!(run.status().await.unwrap(), RunStatus::Running);
    engine.advance(2 * MINUTE).await;
    let error = run.result().await.unwrap_err();
    assert!(matches!(&error, RunError::Failed(failure) if failure.text().contains("exceeded timeout")), "{error}");
    assert!(started.elapsed() < REAL_TIME, "{:?}", started.elapsed());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cron_and_schedule_start_runs_at_their_times() {
    let started = Instant::now();
    let mut engine = TestEngine::start().await;
    engine.work([ORDER.task(|order: Order, _| async { Ok(order) })]).await;
    let client = engine.client().clone();
    // Half an hour from the times of the cron, which are not the subject of the test.
    let since_epoch = engine.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    engine.advance(Duration::from_secs(3_600 - since_epoch % 3_600) + 30 * MINUTE).await;
    client.cron(&ORDER, "hourly", "@hourly", &Order { items: 1 }).await.unwrap();
    let time = engine.now() + 150 * MINUTE;
    client.schedule(&ORDER, &Order { items: 7 }).at(time).await.unwrap();
    assert!(engine.triggered(&ORDER).is_empty());
    engine.advance(2 * HOUR).await;
    assert_eq!(engine.triggered(&ORDER), [Order { items: 1 }, Order { items: 1 }]);
    engine.advance(HOUR).await;
    assert_eq!(engine.triggered(&ORDER).len(), 4);
    engine.assert_triggered(&ORDER, |order| order.items == 7);
    assert!(started.elapsed() < REAL_TIME, "{:?}", started.elapsed());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "no run of order satisfies the condition")]
async fn missing_trigger_fails_the_assertion() {
    let engine = TestEngine::start().await;
    engine.assert_triggered(&ORDER, |order| order.items == 7);
}
