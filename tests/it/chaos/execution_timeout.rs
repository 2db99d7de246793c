//! An attempt exceeds its execution timeout while the link drops all bytes. Engine and worker each end it without
//! receiving anything from the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join;
use hatchet_quickstart::hatchet::{
    task::{CancelReason, Context, Stub, Task},
    wire::RunStatus,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    fixture::{TestEngine, completed, trigger, within, worker},
    table::Row,
};

/// Creates a task whose first attempt runs until it is cancelled and sends the reason. Later attempts complete
/// immediately.
fn stuck(
    name: &'static str,
    retries: u32,
    events: mpsc::UnboundedSender<Option<CancelReason>>,
    executed: Arc<AtomicUsize>,
) -> Task<Value, Value> {
    Stub::new(name)
        .task(move |_: Value, ctx: Context| {
            let (events, executed) = (events.clone(), executed.clone());
            async move {
                executed.fetch_add(1, Ordering::SeqCst);
                if ctx.retry_count() == 0 {
                    events.send(None)?;
                    events.send(Some(ctx.cancelled().await))?;
                }
                Ok(json!({ "attempt": ctx.retry_count() }))
            }
        })
        .execution_timeout(Duration::from_secs(2))
        .retries(retries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn execution_timeout_in_black_hole_ends_attempt_once() {
    let mut row = Row::new("execution timeout passes while the link is a black hole");
    // A real engine loses assignments to a closed stream and repeats them only after their timeouts.
    // Each case has a task of its own, since on a real engine both cases use the same engine.
    let (without, with) = join(exceed_timeout("stuck", 0), exceed_timeout("stuck-with-retries", 10)).await;
    row.add(without);
    row.add(with);
}

/// Exceeds the execution timeout of a task with this number of retries while the link drops all bytes. Returns a
/// summary of the run's outcome.
async fn exceed_timeout(name: &'static str, retries: u32) -> String {
    let engine = TestEngine::start().await;
    let (proxy, config) = engine.proxied().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    let executed = Arc::new(AtomicUsize::new(0));
    let running = worker(&config, [stuck(name, retries, sender, executed.clone())]).await;
    let run = trigger(&engine.client(), name, &json!({})).await;
    assert_eq!(within(30, "the body starts", events.recv()).await, Some(None));
    proxy.black_hole();
    let reason = within(30, "the worker ends the attempt", events.recv()).await;
    assert_eq!(reason, Some(Some(CancelReason::TimedOut)));
    // Longer than the time limit of the worker's query for the run's status. The outage is the fault itself, not a wait
    // for a condition.
    tokio::time::sleep(Duration::from_secs(6)).await;
    proxy.restore();
    let summary = if retries == 0 {
        let outcome = within(60, "the run finishes", run.outcome()).await.unwrap();
        assert_eq!(outcome.status, RunStatus::Failed, "{outcome:?}");
        assert!(!outcome.error.as_ref().unwrap().contains("the worker did"), "{outcome:?}");
        format!("without retries the run fails: {:?}", outcome.error.unwrap_or_default())
    } else {
        let outcome = completed(&run).await;
        let attempt = outcome.output::<Value>().unwrap()["attempt"].as_u64().unwrap();
        assert!(attempt > 0 && executed.load(Ordering::SeqCst) == 2, "{outcome:?}, {executed:?}");
        format!("with retries the run completes at attempt {}", attempt + 1)
    };
    // The worker stops once it has delivered its reports; a late report changes nothing.
    within(60, "the worker stops", running.stop()).await.unwrap();
    let final_outcome = run.outcome().await.unwrap();
    assert_eq!(final_outcome.status, if retries == 0 { RunStatus::Failed } else { RunStatus::Completed });
    assert!(!final_outcome.error.unwrap_or_default().contains("the worker did"), "the engine's error is unchanged");
    summary
}
