//! The connection of a waiting client breaks right after the trigger.

use std::time::{Duration, Instant};

use hatchet_quickstart::hatchet::client::Client;

use super::{
    fixture::{Count, Ledger, TestEngine, completed, trigger, worker},
    proxy::Proxy,
    table::{Row, long},
};

/// Delays between the completion of a run and the arrival of its result, with a fault right after the trigger.
async fn delays(times: usize, run_ms: u64, inject: fn(&Proxy)) -> Vec<Duration> {
    let engine = TestEngine::start().await;
    let ledger = Ledger::default();
    let running = worker(&engine.config, [ledger.task(Duration::from_secs(60))]).await;
    let mut delays = Vec::new();
    for _ in 0..times {
        let (proxy, config) = engine.proxied().await;
        let client = Client::new(config).unwrap();
        let run = trigger(&client, "count", &Count { ms: run_ms }).await;
        let waiting = tokio::spawn({
            let run = run.clone();
            async move { drop(completed(&run).await) }
        });
        inject(&proxy);
        waiting.await.unwrap();
        let arrived = Instant::now();
        let finished = ledger.of(&run)[0].finished.unwrap();
        delays.push(arrived.saturating_duration_since(finished));
    }
    running.stop().await.unwrap();
    delays
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_arrives_after_connection_reset() {
    let mut row = Row::new("waiting runner's connection reset right after the trigger");
    let delays = delays(if long() { 20 } else { 3 }, 700, Proxy::reset).await;
    if long() {
        assert!(delays.iter().all(|delay| *delay < Duration::from_secs(2)), "{delays:?}");
    }
    row.times("completion to result", &delays, Some(Duration::from_secs(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_arrives_after_silent_connection_loss() {
    let mut row = Row::new("waiting runner's connection silently dead right after the trigger");
    // Connections that have lost bytes stay dead; new connections work.
    let inject = |proxy: &Proxy| {
        proxy.black_hole();
        restore_after(proxy, 600);
    };
    let delays = delays(if long() { 10 } else { 1 }, 1_000, inject).await;
    row.times("completion to result", &delays, Some(Duration::from_secs(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_arrives_after_silent_loss_at_run_end() {
    let mut row = Row::new("waiting runner's connection silently dead at the run's end");
    let inject = |proxy: &Proxy| {
        let (hole, restore) = (proxy.black_hole_later(), proxy.restore_later());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(13_900)).await;
            hole();
            // The event of the end is lost, so the connection stays dead.
            tokio::time::sleep(Duration::from_millis(300)).await;
            restore();
        });
    };
    // By then the poll interval has reached its maximum.
    let delays = delays(if long() { 5 } else { 1 }, if long() { 14_000 } else { 1_000 }, inject).await;
    row.times("completion to result", &delays, Some(Duration::from_secs(2)));
}

fn restore_after(proxy: &Proxy, millis: u64) {
    let restore = proxy.restore_later();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        restore();
    });
}
