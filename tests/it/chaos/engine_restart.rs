//! The engine is killed and restarted with the same key, port and data.

use std::time::Instant;

use hatchet_quickstart::hatchet::client::{Client, ClientConfig, Sources};

use super::{
    fixture::{Count, Ledger, completed, trigger, until_listening, worker},
    table::{Row, long, not_on_a_real_engine},
};
use crate::{process::Workspace, support::eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_reconnects_after_engine_restart() {
    let fault = "engine killed and restarted, same key and port";
    if not_on_a_real_engine(fault) {
        return;
    }
    let mut row = Row::new(fault);
    let workspace = Workspace::new();
    let mut engine = workspace.engine();
    let config = ClientConfig::from_handshake(&workspace.handshake(), &Sources::default()).unwrap();
    let ledger = Ledger::default();
    let running = worker(&config, [ledger.task(std::time::Duration::from_secs(900))]).await;
    let client = Client::new(config.clone()).unwrap();
    let mut times = Vec::new();
    let mut in_flight = Vec::new();
    let mut waiting = Vec::new();
    for _ in 0..if long() { 5 } else { 1 } {
        // A run in flight that continues, and whose outcome the new engine accepts.
        let run = trigger(&client, "count", &Count { ms: if long() { 20_000 } else { 3_000 } }).await;
        eventually("the run has started", async || (!ledger.of(&run).is_empty()).then_some(())).await;
        if long() {
            let runner = workspace.start_runner(&["--run-id", &run.id().to_string()]);
            runner.err.until("the runner follows the run", |line| line.contains("RUNNING") || line.contains("QUEUED"));
            waiting.push(runner);
        }
        in_flight.push(run);
        engine.kill();
        until_listening(&running, false).await;
        engine = workspace.engine();
        assert_eq!(workspace.handshake().grpc_address, config.host_port);
        let back = Instant::now();
        until_listening(&running, true).await;
        completed(&trigger(&client, "count", &Count::default()).await).await;
        times.push(back.elapsed());
    }
    row.times("engine back to end of a new run", &times, None);
    for run in &in_flight {
        completed(run).await;
        assert_eq!(ledger.of(run).len(), 1, "the run was executed once");
    }
    for runner in waiting {
        tokio::task::spawn_blocking(move || runner.wait()).await.unwrap().expect(0);
    }
    row.add("runs in flight continued and were executed once");
    running.stop().await.unwrap();
    engine.stop().expect(0);
}
