//! The link of one who waits for a run breaks right after the trigger.

use std::time::{Duration, Instant};

use hatchet_quickstart::hatchet::client::Client;

use super::{
    fixture::{Count, Ledger, TestEngine, completed, trigger, worker},
    proxy::Proxy,
    table::{Row, long},
};

/// How long after its completion a result arrives, if `break_it` happened right after the trigger.
async fn delays(times: usize, run_ms: u64, break_it: fn(&Proxy)) -> Vec<Duration> {
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
        break_it(&proxy);
        waiting.await.unwrap();
        let arrived = Instant::now();
        let ended = ledger.of(&run)[0].ended.unwrap();
        delays.push(arrived.saturating_duration_since(ended));
    }
    running.stop().await.unwrap();
    delays
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_arrives_after_connection_reset() {
    let mut row = Row::of("waiting runner's connection reset right after the trigger");
    let delays = delays(if long() { 20 } else { 3 }, 700, Proxy::reset).await;
    if long() {
        assert!(delays.iter().all(|delay| *delay < Duration::from_secs(2)), "{delays:?}");
    }
    row.times("completion to result", &delays, Some(Duration::from_secs(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_arrives_after_silent_connection_loss() {
    let mut row = Row::of("waiting runner's connection silently dead right after the trigger");
    // What has been lost by then stays lost; new connections pass.
    let break_it = |proxy: &Proxy| {
        proxy.black_hole();
        heal_after(proxy, 600);
    };
    let delays = delays(if long() { 10 } else { 1 }, 1_000, break_it).await;
    row.times("completion to result", &delays, Some(Duration::from_secs(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_arrives_after_silent_loss_at_run_end() {
    let mut row = Row::of("waiting runner's connection silently dead at the run's end");
    let break_it = |proxy: &Proxy| {
        let (hole, heal) = (proxy.hole_maker(), proxy.healer());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(13_900)).await;
            hole();
            // The news of the end is lost in it, and with that the connection.
            tokio::time::sleep(Duration::from_millis(300)).await;
            heal();
        });
    };
    // By then poll and questions are at their slowest.
    let delays = delays(if long() { 5 } else { 1 }, if long() { 14_000 } else { 1_000 }, break_it).await;
    row.times("completion to result", &delays, Some(Duration::from_secs(2)));
}

fn heal_after(proxy: &Proxy, millis: u64) {
    let heal = proxy.healer();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        heal();
    });
}
