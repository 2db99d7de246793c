//! The worker's connection is repeatedly reset, half-open or silently dead, under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use hatchet_quickstart::hatchet::{
    client::{Client, RunRef},
    worker::{RunningWorker, WorkerState},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    fixture::{Count, Ledger, TestEngine, completed, trigger_many, until_listening, within, worker},
    proxy::Proxy,
    table::{Row, long, real},
};
use crate::support::named;
use hatchet_quickstart::hatchet::task::Priority;

/// Longer than all faults of a test; otherwise the engine would repeat lost attempts independent of the worker.
const EXECUTION_TIMEOUT: Duration = Duration::from_secs(400);

/// Counts the times the worker lost its connection.
struct ConnectionLosses {
    count: Arc<AtomicUsize>,
    _follower: AbortOnDropHandle<()>,
}

impl ConnectionLosses {
    fn follow(worker: &RunningWorker) -> Self {
        let (count, mut state) = (Arc::new(AtomicUsize::new(0)), worker.state());
        let counter = count.clone();
        let follower = tokio::spawn(async move {
            let mut was_listening = true;
            while state.changed().await.is_ok() {
                let is_listening = matches!(&*state.borrow_and_update(), WorkerState::Listening(_));
                if was_listening && !is_listening {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
                was_listening = is_listening;
            }
        });
        Self { count, _follower: AbortOnDropHandle::new(follower) }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// Triggers short runs until `stop` is cancelled, and returns their handles.
async fn load(client: Client, stop: CancellationToken) -> Vec<RunRef> {
    // A real engine on a small machine processes about 50 runs a second. In the short form other tests share the cores.
    let every = Duration::from_millis(if real() || !long() { 500 } else { 200 });
    let mut ticks = tokio::time::interval(every);
    let mut runs = Vec::new();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        runs.extend(trigger_many(&client, "count", &Count { ms: 30 }, 10).await);
    }
    runs
}

/// A worker behind a proxy, under load. [`UnderLoad::finish`] asserts that every run completed by one execution.
pub struct UnderLoad {
    engine: TestEngine,
    pub client: Client,
    pub proxy: Proxy,
    pub worker: RunningWorker,
    ledger: Ledger,
    losses: ConnectionLosses,
    stop: CancellationToken,
    load: tokio::task::JoinHandle<Vec<RunRef>>,
    probes: Vec<RunRef>,
}

impl UnderLoad {
    pub async fn start() -> Self {
        let engine = TestEngine::start().await;
        let (proxy, config) = engine.proxied().await;
        let ledger = Ledger::default();
        let worker = worker(&config, [ledger.task(EXECUTION_TIMEOUT)]).await;
        let (client, stop) = (engine.client(), CancellationToken::new());
        let load = tokio::spawn(load(client.clone(), stop.clone()));
        let losses = ConnectionLosses::follow(&worker);
        Self { engine, client, proxy, worker, ledger, losses, stop, load, probes: Vec::new() }
    }

    /// Time from `since` until a new run has completed.
    pub async fn probe(&mut self, since: Instant) -> Duration {
        if real() {
            // A real engine assigns to a closed stream for a moment. These assignments are recovered later.
            until_listening(&self.worker, true).await;
        }
        // High priority puts it before the runs queued during the fault, whose processing time is not measured here.
        let run = self.client.run_no_wait(&named("count"), &Count::default()).priority(Priority::High).await.unwrap();
        completed(&run).await;
        let elapsed = since.elapsed();
        self.probes.push(run);
        elapsed
    }

    /// Stops the load and asserts the outcome of all runs.
    pub async fn finish(self, row: &mut Row, faults: usize) {
        self.stop.cancel();
        let mut runs = self.load.await.unwrap();
        runs.extend(self.probes);
        // All runs are old by now, so the first query returns the outcome. A lost run would wait for its execution
        // timeout.
        let all_completed = stream::iter(&runs).for_each_concurrent(50, async |run| drop(completed(run).await));
        within(EXECUTION_TIMEOUT.as_secs() / 2, "no run was lost", all_completed).await;
        let all = self.ledger.all().clone();
        let repeated: Vec<_> = all.iter().filter(|(_, executions)| executions.len() != 1).collect();
        assert!(repeated.is_empty(), "executed more than once although the worker was alive: {repeated:?}");
        assert_eq!(all.len(), runs.len(), "every run was executed");
        // An engine that knows of the loss assigns again, with the number of the next attempt.
        let late = all.values().flatten().filter(|execution| execution.attempt > 0).count();
        assert!(
            self.losses.count() >= faults,
            "the worker lost its connection {} times in {faults} faults",
            self.losses.count()
        );
        row.add(format!("the worker lost its connection {} times", self.losses.count()));
        row.add(format!("{} runs, each completed by one execution, {late} of them at a later attempt", runs.len()));
        row.add(format!("{} lost assignments recovered", self.worker.stats().assignments_recovered));
        within(20, "the worker stops", self.worker.stop()).await.unwrap();
        drop(self.engine);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_after_connection_reset() {
    let mut row = Row::new("worker's connection reset, under load");
    let resets = if !long() {
        5
    } else if real() {
        10
    } else {
        30
    };
    let mut case = UnderLoad::start().await;
    let mut times = Vec::new();
    for _ in 0..resets {
        until_listening(&case.worker, true).await;
        let started = Instant::now();
        case.proxy.reset();
        if real() {
            until_listening(&case.worker, false).await;
        }
        times.push(case.probe(started).await);
    }
    // A reconnect within 0.1 s may be complete before this test reads the state.
    case.finish(&mut row, 1).await;
    row.times("reset to end of a new run", &times, Some(Duration::from_millis(300)));
}

/// Returns whether the fault is skipped: the short form relies on the black hole of [`super::link_outages`].
fn skipped_in_short_form(fault: &str) -> bool {
    if !long() {
        println!("skipped: {fault} (make chaos runs it)");
    }
    !long()
}

/// Breaks the connection silently until the worker has detected it, then restores the link.
async fn silent_faults(fault: &str, faults: usize, inject: fn(&Proxy)) {
    let mut row = Row::new(fault);
    let mut case = UnderLoad::start().await;
    let (mut detected, mut times) = (Vec::new(), Vec::new());
    for _ in 0..faults {
        until_listening(&case.worker, true).await;
        let started = Instant::now();
        inject(&case.proxy);
        until_listening(&case.worker, false).await;
        detected.push(started.elapsed());
        let restored = Instant::now();
        case.proxy.restore();
        times.push(case.probe(restored).await);
    }
    case.finish(&mut row, faults).await;
    row.times("detected after", &detected, Some(Duration::from_secs(3)));
    row.times("end of the fault to end of a new run", &times, Some(Duration::from_secs(3)));
}

fn fault_count() -> usize {
    if !long() {
        1
    } else if real() {
        3
    } else {
        7
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_after_losing_received_bytes() {
    silent_faults("link half-open: worker receives nothing, under load", fault_count(), Proxy::drop_received).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_after_losing_sent_bytes() {
    let fault = "link half-open: engine receives nothing, under load";
    if !skipped_in_short_form(fault) {
        silent_faults(fault, fault_count(), Proxy::drop_sent).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_after_silent_connection_loss() {
    let fault = "link silently dead both ways, under load";
    if !skipped_in_short_form(fault) {
        silent_faults(fault, fault_count(), Proxy::black_hole).await;
    }
}
