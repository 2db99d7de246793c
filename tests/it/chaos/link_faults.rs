//! The worker's link is cut, half-open or silently dead, again and again, under load.

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
    fixture::{Count, Ledger, TestEngine, completed, many, until_listening, within, worker},
    proxy::Proxy,
    table::{Row, long, real},
};
use crate::support::named;
use hatchet_quickstart::hatchet::task::Priority;

/// How often the link's readiness went down.
struct Downs {
    seen: Arc<AtomicUsize>,
    _follower: AbortOnDropHandle<()>,
}

impl Downs {
    fn follow(worker: &RunningWorker) -> Self {
        let (seen, mut state) = (Arc::new(AtomicUsize::new(0)), worker.state());
        let count = seen.clone();
        let follower = tokio::spawn(async move {
            let mut up = true;
            while state.changed().await.is_ok() {
                let now_up = matches!(&*state.borrow_and_update(), WorkerState::Listening(_));
                if up && !now_up {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                up = now_up;
            }
        });
        Self { seen, _follower: AbortOnDropHandle::new(follower) }
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

/// Triggers small runs until it is told to stop, and gives their handles.
async fn load(client: Client, stop: CancellationToken) -> Vec<RunRef> {
    // A real engine on a small machine takes some 50 runs a second.
    let every = Duration::from_millis(if real() { 500 } else { 200 });
    let mut ticks = tokio::time::interval(every);
    let mut runs = Vec::new();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        runs.extend(many(&client, "count", &Count { ms: 30 }, 10).await);
    }
    runs
}

/// A worker behind a link, under load; at the end every run must have completed, by one execution.
pub struct UnderLoad {
    engine: TestEngine,
    pub client: Client,
    pub proxy: Proxy,
    pub worker: RunningWorker,
    ledger: Ledger,
    downs: Downs,
    stop: CancellationToken,
    load: tokio::task::JoinHandle<Vec<RunRef>>,
    probes: Vec<RunRef>,
}

impl UnderLoad {
    /// `broken` is how long the link is at a time. What is executed right before has its timeout left after it, or it
    /// would be executed again whatever the worker does.
    pub async fn start(broken: Duration) -> Self {
        let engine = TestEngine::start().await;
        let (proxy, config) = engine.proxied().await;
        let ledger = Ledger::default();
        let worker = worker(
            &config,
            [ledger.task(if real() { broken + Duration::from_secs(15) } else { Duration::from_secs(60) })],
        )
        .await;
        let (client, stop) = (engine.client(), CancellationToken::new());
        let load = tokio::spawn(load(client.clone(), stop.clone()));
        let downs = Downs::follow(&worker);
        Self { engine, client, proxy, worker, ledger, downs, stop, load, probes: Vec::new() }
    }

    /// How long a new run takes from now on, or none where its first assignment was lost with the link, which only a
    /// real engine lets happen.
    pub async fn probe(&mut self, since: Instant) -> Option<Duration> {
        if real() {
            // It goes on assigning to a stream that is gone, for a moment, and loses what it assigns.
            until_listening(&self.worker, true).await;
        }
        // Before all that has queued up meanwhile: how fast an engine works that off is not the question.
        let run = self.client.run_no_wait(&named("count"), &Count::default()).priority(Priority::High).await.unwrap();
        completed(&run).await;
        let took = since.elapsed();
        let first = self.ledger.of(&run).first().is_some_and(|execution| execution.attempt == 0);
        self.probes.push(run);
        (first || !real()).then_some(took)
    }

    /// Ends the load and says what became of it.
    pub async fn finish(self, row: &mut Row, faults: usize) {
        self.stop.cancel();
        let mut runs = self.load.await.unwrap();
        runs.extend(self.probes);
        // All are old by now, so that one question each is enough.
        stream::iter(&runs).for_each_concurrent(50, async |run| drop(completed(run).await)).await;
        let all = self.ledger.all().clone();
        let repeated: Vec<_> = all.iter().filter(|(_, executions)| executions.len() != 1).collect();
        assert!(repeated.is_empty(), "executed more than once while the worker lived: {repeated:?}");
        assert_eq!(all.len(), runs.len(), "every run was executed");
        let late = all.values().flatten().filter(|execution| execution.attempt > 0).count();
        assert!(self.downs.seen() >= faults, "readiness went down {} times in {faults} faults", self.downs.seen());
        row.say(format!("readiness went down {} times", self.downs.seen()));
        row.say(format!("{} runs, each completed by one execution, {late} of them at a later attempt", runs.len()));
        within(20, "the worker stops", self.worker.stop()).await.unwrap();
        drop(self.engine);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_after_connection_reset() {
    let mut row = Row::of("worker's connection reset, under load");
    let cuts = if !long() {
        5
    } else if real() {
        10
    } else {
        30
    };
    let mut case = UnderLoad::start(Duration::ZERO).await;
    let mut times = Vec::new();
    for _ in 0..cuts {
        until_listening(&case.worker, true).await;
        let cut = Instant::now();
        case.proxy.reset();
        if real() {
            until_listening(&case.worker, false).await;
        }
        times.extend(case.probe(cut).await);
    }
    // A link that is back within 0.1 s may be up again before this test looks.
    case.finish(&mut row, 1).await;
    row.times("reset to end of a new run", &times, Some(Duration::from_millis(300)));
}

/// Whether this is a short run, which says so and leaves it to [`super::link_outages`], whose black hole is as silent.
fn long_only(fault: &str) -> bool {
    if !long() {
        println!("skipped: {fault} (make chaos runs it)");
    }
    !long()
}

/// Breaks the link silently until the worker has noticed, and heals it.
async fn silent_cuts(fault: &str, cuts: usize, cut: fn(&Proxy)) {
    let mut row = Row::of(fault);
    let mut case = UnderLoad::start(Duration::ZERO).await;
    let (mut noticed, mut times) = (Vec::new(), Vec::new());
    for _ in 0..cuts {
        until_listening(&case.worker, true).await;
        let begun = Instant::now();
        cut(&case.proxy);
        until_listening(&case.worker, false).await;
        noticed.push(begun.elapsed());
        let healed = Instant::now();
        case.proxy.heal();
        times.extend(case.probe(healed).await);
    }
    case.finish(&mut row, cuts).await;
    row.times("noticed after", &noticed, Some(Duration::from_secs(7)));
    row.times("healed to end of a new run", &times, Some(Duration::from_secs(3)));
}

fn cuts() -> usize {
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
    silent_cuts("link half-open: worker hears nothing, under load", cuts(), Proxy::deaf_client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_after_losing_sent_bytes() {
    let fault = "link half-open: engine hears nothing, under load";
    if !long_only(fault) {
        silent_cuts(fault, cuts(), Proxy::deaf_engine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_after_silent_connection_loss() {
    let fault = "link silently dead both ways, under load";
    if !long_only(fault) {
        silent_cuts(fault, cuts(), Proxy::black_hole).await;
    }
}
