//! The link is down, swallows everything, or is slow.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hatchet_quickstart::hatchet::{
    client::Client,
    task::{Context, Task},
};
use serde_json::{Value, json};

use super::{
    cuts::UnderLoad,
    proxy::Proxy,
    site::{Count, Ledger, Site, completed, many, trigger, until_listening, worker},
    table::{Row, long},
};

/// A link that is broken for `length`, `times` times: how long after its end a new run takes.
async fn outages(fault: &str, times: usize, length: Duration, bound: Duration, begin: fn(&Proxy)) {
    let mut row = Row::of(format!("{fault} for {:.0?}, under load", length));
    let mut case = UnderLoad::start().await;
    let mut took = Vec::new();
    for _ in 0..times {
        until_listening(&case.worker, true).await;
        begin(&case.proxy);
        // The length of an outage is the fault itself, and no wait for something.
        tokio::time::sleep(length).await;
        let healed = Instant::now();
        case.proxy.heal();
        took.extend(case.probe(healed).await);
    }
    case.finish(&mut row, times).await;
    row.times("healed to end of a new run", &took, Some(bound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_is_down() {
    let (times, seconds) = if long() { (5, 10) } else { (1, 1) };
    outages("link down", times, Duration::from_secs(seconds), Duration::from_secs(2), Proxy::down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_is_a_black_hole() {
    // Longer than heartbeat interval and timeout together, so that the worker has noticed.
    let (times, seconds) = if long() { (3, 20) } else { (1, 8) };
    outages("black hole", times, Duration::from_secs(seconds), Duration::from_secs(3), Proxy::black_hole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_is_slow() {
    let mut row = Row::of("link of 2 x 150 ms");
    let site = Site::start().await;
    let (proxy, config) = site.proxied().await;
    let ledger = Ledger::default();
    let running = worker(&config, [ledger.task(Duration::from_secs(60))]).await;
    proxy.delay(Duration::from_millis(150));
    let client = site.client();
    let begun = Instant::now();
    let runs = many(&client, "count", &Count { ms: 10 }, 100).await;
    // At once: to look at a run that has ended takes a real engine a third of a second.
    join_all(runs.iter().map(completed)).await;
    let together = begun.elapsed();
    let begun = Instant::now();
    completed(&trigger(&client, "count", &Count::default()).await).await;
    row.say(format!("one run {:.2?}, 100 runs together {together:.2?}", begun.elapsed()));
    // One after the other they would take 15 s at the least.
    assert!(together < Duration::from_secs(12), "{together:?}");
    assert!(ledger.all().values().all(|executions| executions.len() == 1));
    running.stop().await.unwrap();
}

/// What does not shrink, in about so many bytes.
fn noise(bytes: usize) -> String {
    (0..bytes.div_ceil(32)).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_message_takes_its_time_on_a_slow_link() {
    let mut row = Row::of("1.5 MB over a link of 250 kB/s");
    let site = Site::start().await;
    let (proxy, slow) = site.proxied().await;
    let text = noise(1_500_000);
    // Input and output go in one piece, while the heartbeats between are answered late.
    let take = Task::new_async("take", |input: Value, ctx: Context| async move {
        Ok(json!({ "text": input["text"], "attempt": ctx.retry_count() }))
    });
    let behind = worker(&slow, [take]).await;
    proxy.rate(250_000);
    let client = site.client();
    let begun = Instant::now();
    let outcome = completed(&trigger(&client, "take", &json!({ "text": text })).await).await;
    assert_eq!(outcome.output::<Value>().unwrap()["attempt"], 0);
    assert_eq!(behind.stats().reconnects, 0, "what arrives is a sign of life");
    row.say(format!("to the worker and back: {:.1?}", begun.elapsed()));
    behind.stop().await.unwrap();
    // And an output reaches one who waits behind such a link.
    let output = text.clone();
    let give = Task::new_async("give", move |_: Value, _: Context| {
        let output = output.clone();
        async move { Ok(json!({ "text": output })) }
    });
    let direct = worker(&site.config, [give]).await;
    let run = trigger(&client, "give", &json!({})).await;
    let waiting = Client::new(slow).unwrap().run(run.id());
    let begun = Instant::now();
    let outcome = completed(&waiting).await;
    assert_eq!(outcome.output::<Value>().unwrap()["text"], text);
    row.say(format!("to the one who waits: {:.1?}", begun.elapsed()));
    direct.stop().await.unwrap();
}
