//! CPU tasks use every core.

use std::time::{Duration, Instant};

use hatchet_quickstart::hatchet::task::{Context, Stub, Task};
use serde_json::json;

use super::{
    fixture::{Count, Ledger, TestEngine, completed, trigger_many, worker},
    table::{Row, long, not_on_a_real_engine},
};
use crate::fake::{Fake, Script};

/// More concurrent tasks than a test machine has cores.
const TASKS: usize = 16;
const HEARTBEAT_EVERY: Duration = Duration::from_secs(4);

fn busy(ledger: &Ledger) -> Task<Count, serde_json::Value> {
    let ledger = ledger.clone();
    Stub::new("busy")
        .cpu_task(move |input: Count, ctx: Context| {
            let index = ledger.begin(&ctx);
            let started = Instant::now();
            while started.elapsed() < Duration::from_millis(input.ms) {
                std::hint::black_box((0..10_000_u64).map(|n| n.wrapping_mul(n)).sum::<u64>());
            }
            ledger.end(&ctx, index);
            Ok(json!({}))
        })
        .execution_timeout(Duration::from_secs(300))
}

fn seconds() -> u64 {
    if long() { 60 } else { 5 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_are_on_time_while_cores_are_busy() {
    if not_on_a_real_engine("heartbeat delay") {
        return;
    }
    let mut row = Row::new(format!("every core busy for {} s with CPU tasks: heartbeats", seconds()));
    let fake = Fake::start().await;
    let running = worker(&fake.config(), [busy(&Ledger::default())]).await;
    fake.until_listening().await;
    let input = format!(r#"{{"ms":{}}}"#, seconds() * 1000);
    let mut runs = Vec::new();
    // The scripted engine does not count slots; surplus tasks wait in the worker.
    for _ in 0..2 {
        runs.push(fake.assign("busy", &input).await);
    }
    // One wait for each heartbeat, because the time limit of a wait is shorter than the test.
    let is_finished = |script: &Script| runs.iter().all(|run| !script.finished(*run).is_empty());
    while !fake.script(|script| is_finished(script)) {
        let count = fake.script(|script| script.heartbeats.len());
        let progress = |script: &Script| (script.heartbeats.len() > count || is_finished(script)).then_some(());
        fake.until("another heartbeat, or the end of both tasks", progress).await;
    }
    let heartbeats = fake.script(|script| script.heartbeats.clone());
    let delays: Vec<Duration> =
        heartbeats.windows(2).map(|pair| (pair[1] - pair[0]).saturating_sub(HEARTBEAT_EVERY)).collect();
    row.times("heartbeat's delay", &delays, Some(Duration::from_millis(500)));
    let worst = delays.iter().max().copied().unwrap_or_default();
    assert!(!long() || worst < Duration::from_millis(500), "p99 of {} delays is the maximum: {worst:?}", delays.len());
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_run_is_reassigned_while_cores_are_busy() {
    let seconds = if long() { seconds() } else { 1 };
    let mut row = Row::new(format!("every core busy for {seconds} s with CPU tasks: reassignment"));
    let engine = TestEngine::start().await;
    let ledger = Ledger::default();
    let running = worker(&engine.config, [busy(&ledger)]).await;
    // Two run at a time.
    let ms = seconds * 1000 * 2 / TASKS as u64;
    let runs = trigger_many(&engine.client(), "busy", &Count { ms }, TASKS).await;
    for run in runs {
        completed(&run).await;
    }
    let all = ledger.all().clone();
    assert!(all.values().all(|executions| executions.len() == 1 && executions[0].attempt == 0), "{all:?}");
    row.add(format!("{} runs, each executed once at its first attempt", all.len()));
    running.stop().await.unwrap();
}
