//! An attempt outlives its execution timeout behind a link that swallows everything: engine and worker each end it by
//! themselves, and neither hears the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

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

/// A task whose first attempt goes on until it is told to stop, which it passes on; the next ones end at once.
fn stuck(
    retries: u32,
    begun: mpsc::UnboundedSender<Option<CancelReason>>,
    executed: Arc<AtomicUsize>,
) -> Task<Value, Value> {
    Stub::new("stuck")
        .task(move |_: Value, ctx: Context| {
            let (begun, executed) = (begun.clone(), executed.clone());
            async move {
                executed.fetch_add(1, Ordering::SeqCst);
                if ctx.retry_count() == 0 {
                    begun.send(None)?;
                    begun.send(Some(ctx.cancelled().await))?;
                }
                Ok(json!({ "attempt": ctx.retry_count() }))
            }
        })
        .execution_timeout(Duration::from_secs(2))
        .retries(retries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn execution_timeout_in_black_hole_ends_attempt_once() {
    let mut row = Row::of("execution timeout passes while the link is a black hole");
    // A real engine loses what it assigns to a stream that is gone, and finds out by the next timeouts.
    for retries in [0, 10] {
        let engine = TestEngine::start().await;
        let (proxy, config) = engine.proxied().await;
        let (sender, mut told) = mpsc::unbounded_channel();
        let executed = Arc::new(AtomicUsize::new(0));
        let behind = worker(&config, [stuck(retries, sender, executed.clone())]).await;
        let run = trigger(&engine.client(), "stuck", &json!({})).await;
        assert_eq!(within(30, "the body begins", told.recv()).await, Some(None));
        proxy.black_hole();
        let reason = within(30, "the worker ends the attempt", told.recv()).await;
        assert_eq!(reason, Some(Some(CancelReason::TimedOut)));
        // Longer than the engine is asked where the run stands before it is asked again. The length of an outage is the
        // fault itself, and no wait for something.
        tokio::time::sleep(Duration::from_secs(6)).await;
        proxy.heal();
        if retries == 0 {
            let outcome = within(60, "the run ends", run.outcome()).await.unwrap();
            assert_eq!(outcome.status, RunStatus::Failed, "{outcome:?}");
            assert!(!outcome.error.as_ref().unwrap().contains("the worker did"), "{outcome:?}");
            row.say(format!("without retries it fails: {:?}", outcome.error.unwrap_or_default()));
        } else {
            let outcome = completed(&run).await;
            let attempt = outcome.output::<Value>().unwrap()["attempt"].as_u64().unwrap();
            assert!(attempt > 0 && executed.load(Ordering::SeqCst) == 2, "{outcome:?}, {executed:?}");
            row.say(format!("with retries it completes, at attempt {}", attempt + 1));
        }
        // The worker stops when it has nothing more to say; and a word that comes late changes nothing.
        within(60, "the worker stops", behind.stop()).await.unwrap();
        let after = run.outcome().await.unwrap();
        assert_eq!(after.status, if retries == 0 { RunStatus::Failed } else { RunStatus::Completed });
        assert!(!after.error.unwrap_or_default().contains("the worker did"), "the engine's word stands");
    }
}
