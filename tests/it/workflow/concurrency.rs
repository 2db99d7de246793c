//! Limits of concurrent runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hatchet_quickstart::{
    hatchet::{
        task::{Concurrency, Limit},
        wire::RunStatus,
    },
    prelude::*,
};

use super::fixture::{Fixture, Keyed, N, keyed};
use crate::support::{Target, within_timeout};

/// The number of concurrent bodies by key: now, and at most.
#[derive(Clone, Default)]
struct Gauge(Arc<Mutex<BTreeMap<String, (usize, usize)>>>);

impl Gauge {
    /// Counts a body of this key while it sleeps.
    async fn sleep(&self, key: &str) {
        {
            let mut counts = self.0.lock().unwrap();
            let (now, most) = counts.entry(key.to_owned()).or_default();
            *now += 1;
            *most = (*most).max(*now);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.0.lock().unwrap().get_mut(key).unwrap().0 -= 1;
    }

    fn most(&self, key: &str) -> usize {
        self.0.lock().unwrap()[key].1
    }
}

fn sleeping(stub: &Stub<Keyed, N>, gauge: &Gauge) -> Task<Keyed, N> {
    let gauge = gauge.clone();
    stub.task(move |input, _| {
        let gauge = gauge.clone();
        async move {
            gauge.sleep(&input.key).await;
            Ok(N { n: 1 })
        }
    })
}

#[tokio::test]
async fn round_robin_limits_each_key() {
    let target = Target::start().await;
    let (stub, gauge) = (Stub::<Keyed, N>::from_name(target.name("robin")), Gauge::default());
    let task = sleeping(&stub, &gauge).concurrency(Concurrency::per("input.key").max_runs(2));
    let fixture = Fixture::start(target, vec![task.into()]).await;
    let inputs = ["a", "a", "a", "a", "b", "b", "b"].map(keyed);
    let outputs = within_timeout("the runs finish", async { fixture.client.run_many(&stub, inputs).await }).await;
    assert!(outputs.iter().all(Result::is_ok), "{outputs:?}");
    assert!(gauge.most("a") <= 2 && gauge.most("b") <= 2);
    fixture.stop().await;
}

#[tokio::test]
async fn cancel_newest_cancels_runs_over_the_limit() {
    let target = Target::start().await;
    let (stub, gauge) = (Stub::<Keyed, N>::from_name(target.name("newest")), Gauge::default());
    let task = sleeping(&stub, &gauge).concurrency(Concurrency::total(1).on_limit(Limit::CancelNewest));
    let fixture = Fixture::start(target, vec![task.into()]).await;
    let outputs =
        within_timeout("the runs finish", async { fixture.client.run_many(&stub, ["a"; 4].map(keyed)).await }).await;
    let completed = outputs.iter().filter(|output| output.is_ok()).count();
    let cancelled = outputs.iter().filter(|output| matches!(output, Err(RunError::Cancelled { .. }))).count();
    assert!(completed >= 1 && completed + cancelled == 4 && cancelled >= 1, "{outputs:?}");
    assert_eq!(gauge.most("a"), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn cancel_in_progress_replaces_the_running_run() {
    let target = Target::start().await;
    let stub = Stub::<Keyed, N>::from_name(target.name("replace"));
    let task = stub
        .task(|_, ctx| async move {
            tokio::select! {
                _ = ctx.cancelled() => {}
                () = tokio::time::sleep(Duration::from_secs(3)) => {}
            }
            Ok(N { n: 1 })
        })
        .concurrency(Concurrency::per("input.key").on_limit(Limit::CancelInProgress));
    let fixture = Fixture::start(target, vec![task.into()]).await;
    let first = fixture.client.run_no_wait(&stub, &keyed("a")).await.unwrap();
    while first.status().await.unwrap() != RunStatus::Running {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = fixture.client.run_no_wait(&stub, &keyed("a")).await.unwrap();
    let first = within_timeout("the first run finishes", first.outcome()).await.unwrap();
    assert_eq!(first.status, RunStatus::Cancelled, "{first:?}");
    within_timeout("the second run finishes", second.result()).await.unwrap();
    fixture.stop().await;
}

#[tokio::test]
async fn workflow_limit_applies_to_whole_runs() {
    let target = Target::start().await;
    let (stub, gauge) = (Stub::<Keyed, N>::from_name(target.name("whole")).output_of("second"), Gauge::default());
    let flow = stub.workflow(|flow| {
        let body = move |input: Keyed, gauge: Gauge| async move {
            gauge.sleep(&input.key).await;
            Ok(N { n: 1 })
        };
        let counted = gauge.clone();
        let first = flow.task("first", move |input, _| body(input, counted.clone()));
        let counted = gauge.clone();
        flow.parents(&first).task("second", move |input, _, _| body(input, counted.clone()))
    });
    let fixture = Fixture::start(target, vec![flow.concurrency(Concurrency::per("input.key")).into()]).await;
    let outputs =
        within_timeout("the runs finish", async { fixture.client.run_many(&stub, ["a"; 3].map(keyed)).await }).await;
    assert!(outputs.iter().all(Result::is_ok), "{outputs:?}");
    assert_eq!(gauge.most("a"), 1);
    fixture.stop().await;
}
