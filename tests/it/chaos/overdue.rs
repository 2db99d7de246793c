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
    task::{CancelReason, Context, Task},
    wire::RunStatus,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    site::{Site, completed, trigger, within, worker},
    table::Row,
};

/// A task whose first attempt goes on until it is told to stop, which it passes on; the next ones end at once.
fn stuck(retries: u32, begun: mpsc::UnboundedSender<Option<CancelReason>>, executed: Arc<AtomicUsize>) -> Task {
    Task::new_async("stuck", move |_: Value, ctx: Context| {
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
async fn the_timeout_passes_in_a_black_hole() {
    let mut row = Row::of("execution timeout passes while the link is a black hole");
    // A real engine loses what it assigns to a stream that is gone, and finds out by the next timeouts.
    for retries in [0, 10] {
        let site = Site::start().await;
        let (proxy, config) = site.proxied().await;
        let (sender, mut told) = mpsc::unbounded_channel();
        let executed = Arc::new(AtomicUsize::new(0));
        let behind = worker(&config, [stuck(retries, sender, executed.clone())]).await;
        let run = trigger(&site.client(), "stuck", &json!({})).await;
        assert_eq!(within(30, "the body begins", told.recv()).await, Some(None));
        proxy.black_hole();
        let reason = within(30, "the worker ends the attempt", told.recv()).await;
        assert_eq!(reason, Some(Some(CancelReason::TimedOut)));
        if retries == 0 {
            let outcome = within(60, "the run ends", run.outcome()).await.unwrap();
            proxy.heal();
            assert_eq!(outcome.status, RunStatus::Failed, "{outcome:?}");
            row.say(format!("without retries it fails: {:?}", outcome.error.unwrap_or_default()));
        } else {
            proxy.heal();
            let outcome = completed(&run).await;
            let attempt = outcome.output::<Value>().unwrap()["attempt"].as_u64().unwrap();
            assert!(attempt > 0 && executed.load(Ordering::SeqCst) == 2, "{outcome:?}, {executed:?}");
            row.say(format!("with retries it completes, at attempt {}", attempt + 1));
        }
        // What the worker still had to say of the old attempt is said by then, and changes nothing.
        within(30, "the worker stops", behind.stop()).await.unwrap();
        let after = run.outcome().await.unwrap().status;
        assert_eq!(after, if retries == 0 { RunStatus::Failed } else { RunStatus::Completed });
    }
}
