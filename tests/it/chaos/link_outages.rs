//! The link is down, drops all bytes, or is slow.

use std::time::{Duration, Instant};

use futures_util::{
    StreamExt as _,
    future::{join, join_all},
};
use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig},
    task::{Context, Stub},
    wire::{RunId, proto::v1},
};
use serde_json::{Value, json};

use super::{
    fixture::{Count, Ledger, TestEngine, completed, trigger, trigger_many, until_listening, within, worker},
    link_faults::UnderLoad,
    proxy::Proxy,
    table::{Row, long},
};
use crate::{fake::Fake, support::one_of_three};

/// Breaks the link for `length`, `times` times, and measures the time from the end of each outage to the end of a new
/// run.
async fn outages(fault: &str, times: usize, length: Duration, bound: Duration, break_link: fn(&Proxy)) {
    let mut row = Row::new(format!("{fault} for {:.0?}, under load", length));
    let mut case = UnderLoad::start().await;
    let mut times_to_recover = Vec::new();
    for _ in 0..times {
        until_listening(&case.worker, true).await;
        break_link(&case.proxy);
        // The outage is the fault itself, not a wait for a condition.
        tokio::time::sleep(length).await;
        let restored = Instant::now();
        case.proxy.restore();
        times_to_recover.push(case.probe(restored).await);
    }
    case.finish(&mut row, times).await;
    row.times("end of the fault to end of a new run", &times_to_recover, Some(bound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_after_link_is_down() {
    let (times, seconds) = if long() { (5, 10) } else { (1, 1) };
    outages("link down", times, Duration::from_secs(seconds), Duration::from_secs(2), Proxy::down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_after_black_hole() {
    // Longer than heartbeat interval plus timeout, so that the worker detects the fault.
    let (times, seconds) = if long() { (3, 20) } else { (1, 8) };
    outages("black hole", times, Duration::from_secs(seconds), Duration::from_secs(3), Proxy::black_hole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_complete_over_link_with_latency() {
    let mut row = Row::new("link of 2 x 150 ms");
    let engine = TestEngine::start().await;
    let (proxy, config) = engine.proxied().await;
    let ledger = Ledger::default();
    let running = worker(&config, [ledger.task(Duration::from_secs(60))]).await;
    proxy.delay(Duration::from_millis(150));
    let client = engine.client();
    let started = Instant::now();
    let runs = trigger_many(&client, "count", &Count { ms: 10 }, 100).await;
    // Concurrently, because a real engine needs 0.3 s to return a finished run.
    join_all(runs.iter().map(completed)).await;
    let concurrent = started.elapsed();
    let started = Instant::now();
    completed(&trigger(&client, "count", &Count::default()).await).await;
    row.add(format!("one run {:.2?}, 100 concurrent runs {concurrent:.2?}", started.elapsed()));
    // In sequence they would take at least 15 s.
    assert!(concurrent < Duration::from_secs(12), "{concurrent:?}");
    assert!(ledger.all().values().all(|executions| executions.len() == 1));
    running.stop().await.unwrap();
}

/// Incompressible text of about `bytes` bytes.
fn incompressible(bytes: usize) -> String {
    (0..bytes.div_ceil(32)).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect()
}

/// Asserts that received bytes keep a connection alive: that a transfer causes no reconnect. A machine that is too busy
/// to forward bytes for 2 s is a fault of the link, so one of three transfers counts. Returns its duration.
async fn keeps_connection(transfer: impl AsyncFn() -> u64) -> Duration {
    one_of_three("a transfer without a reconnect", async || {
        let started = Instant::now();
        match transfer().await {
            0 => Ok(started.elapsed()),
            reconnects => Err(reconnects),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_input_and_output_pass_a_slow_link() {
    let mut row = Row::new("1.5 MB over a link of 250 kB/s");
    let text = incompressible(1_500_000);
    let elapsed = keeps_connection(async || {
        let engine = TestEngine::start().await;
        let (proxy, slow) = engine.proxied().await;
        // Input and output are one message each, which delays the responses to heartbeats.
        let echo = Stub::new("echo").task(|input: Value, ctx: Context| async move {
            Ok(json!({ "text": input["text"], "attempt": ctx.retry_count() }))
        });
        let running = worker(&slow, [echo]).await;
        proxy.rate(250_000);
        let outcome = completed(&trigger(&engine.client(), "echo", &json!({ "text": text })).await).await;
        let reconnects = running.stats().reconnects;
        assert!(reconnects > 0 || outcome.output::<Value>().unwrap()["attempt"] == 0, "{outcome:?}");
        running.stop().await.unwrap();
        reconnects
    });
    row.add(format!("to the worker and back: {:.1?}", elapsed.await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_outcome_passes_a_slow_link() {
    let mut row = Row::new("outcome of 3.9 MB over a link of 250 kB/s");
    let text = incompressible(3_900_000);
    let elapsed = keeps_connection(async || {
        let engine = TestEngine::start().await;
        let (proxy, slow) = engine.proxied().await;
        let output = text.clone();
        let produce = Stub::new("produce").task(move |_: Value, _: Context| {
            let output = output.clone();
            async move { Ok(json!({ "text": output })) }
        });
        let running = worker(&slow, [produce]).await;
        proxy.rate(250_000);
        // The call takes longer than its time limit. A call that was cancelled and repeated at the limit would never
        // succeed.
        let outcome = completed(&trigger(&engine.client(), "produce", &json!({})).await).await;
        assert_eq!(outcome.output::<Value>().unwrap()["text"], text);
        let reconnects = running.stats().reconnects;
        running.stop().await.unwrap();
        reconnects
    });
    row.add(format!("from the worker: {:.1?}", elapsed.await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_result_is_requested_once_over_slow_link() {
    let mut row = Row::new("result of 1.7 MB over a link of 250 kB/s");
    let output = json!({ "text": incompressible(1_700_000) }).to_string();
    let elapsed = one_of_three("a slow call is not repeated", async || {
        // The subscriptions of this scripted engine send nothing, so each wait depends on its polls.
        let (fake, run) = (Fake::start().await, RunId::random());
        fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Completed, Some(&output)));
        let slow = async || {
            let proxy = Proxy::to(fake.address).await;
            proxy.rate(250_000);
            let config = ClientConfig { host_port: proxy.address.to_string(), ..fake.config() };
            (Client::new(config).unwrap(), proxy)
        };
        let ((single_client, _single_proxy), (many_client, _many_proxy)) = (slow().await, slow().await);
        let started = Instant::now();
        let waiting = single_client.run_ref::<Value>(run);
        let mut waits = many_client.outcomes([many_client.run_ref::<Value>(run)]);
        let among_many = within(60, "the wait for many ends", waits.next());
        let (single, among_many) = join(completed(&waiting), among_many).await;
        for outcome in [single, among_many.unwrap().1.unwrap()] {
            assert_eq!(outcome.output.as_ref(), Some(&output));
        }
        match fake.script(|script| script.details_calls) {
            2 => Ok(started.elapsed()),
            calls => Err(calls),
        }
    });
    row.add(format!("waiting for one run and for many: {:.1?}", elapsed.await));
}
