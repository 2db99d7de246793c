//! The engine is killed and comes back with the same key and port.

use std::time::Instant;

use hatchet_quickstart::hatchet::client::{Client, ClientConfig, Sources};

use super::{
    site::{Count, Ledger, completed, trigger, until_listening, worker},
    table::{Row, long, not_on_a_real_engine},
};
use crate::process::Place;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_comes_back_by_itself() {
    let fault = "engine killed and restarted, same key and port";
    if not_on_a_real_engine(fault) {
        return;
    }
    let mut row = Row::of(fault);
    let place = Place::new();
    let mut engine = place.engine();
    let config = ClientConfig::from_handshake(&place.handshake(), &Sources::default()).unwrap();
    let ledger = Ledger::default();
    let running = worker(&config, [ledger.task(std::time::Duration::from_secs(900))]).await;
    let client = Client::new(config.clone()).unwrap();
    let mut times = Vec::new();
    let mut waiting = Vec::new();
    for _ in 0..if long() { 5 } else { 1 } {
        // One run in flight, which goes on and whose end the new engine does not know.
        let lost = trigger(&client, "count", &Count { ms: 60_000 }).await;
        if long() {
            let runner = place.start_runner(&["--run-id", &lost.id().to_string()]);
            runner.err.until("it follows", |line| line.contains("RUNNING") || line.contains("QUEUED"));
            waiting.push(runner);
        }
        engine.kill();
        until_listening(&running, false).await;
        engine = place.engine();
        assert_eq!(place.handshake().grpc_address, config.host_port);
        let back = Instant::now();
        until_listening(&running, true).await;
        completed(&trigger(&client, "count", &Count::default()).await).await;
        times.push(back.elapsed());
    }
    row.times("engine back to end of a new run", &times, None);
    if long() {
        // The new engine does not know them either, so their ends are refused, which harms nothing.
        for runner in waiting {
            let ended = tokio::task::spawn_blocking(move || runner.wait()).await.unwrap();
            let ended = ended.expect_said("the engine no longer knows run");
            assert_eq!(ended.code, Some(6), "{ended:?}");
        }
        row.say("waiting runners said that their run is gone");
    }
    running.stop().await.unwrap();
    engine.stop().expect(0);
}
