//! Engine and worker are suspended together, as on a laptop in sleep.

use std::time::Duration;

use hatchet_quickstart::hatchet::client::{Client, ClientConfig, Sources};

use super::{
    child_worker,
    fixture::{Count, completed, trigger},
    table::{Row, long, not_on_a_real_engine},
};
use crate::{process::Workspace, support::eventually};

/// Duration of the suspension; in the full form longer than a worker's lease.
fn gap() -> Duration {
    Duration::from_secs(if long() { 40 } else { 2 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_engine_and_worker_execute_run_once() {
    let fault = format!("engine and worker suspended together for {:?}", gap());
    if not_on_a_real_engine(&fault) {
        return;
    }
    let mut row = Row::new(fault);
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let config = ClientConfig::from_handshake(&workspace.handshake(), &Sources::default()).unwrap();
    let ledger = workspace.path("ledger");
    let (settings, file) = (config.clone(), ledger.clone());
    let worker = tokio::task::spawn_blocking(move || child_worker::spawn(&settings, &file, 1)).await.unwrap();
    let client = Client::new(config).unwrap();
    let run = trigger(&client, "count", &Count { ms: 5_000 + u64::try_from(gap().as_millis()).unwrap() }).await;
    eventually("the run has started", async || (!child_worker::read(&ledger).is_empty()).then_some(())).await;
    for program in [&engine, &worker] {
        program.signal("STOP");
    }
    // The duration is the fault itself, not a wait for a condition.
    tokio::time::sleep(gap()).await;
    for program in [&engine, &worker] {
        program.signal("CONT");
    }
    completed(&run).await;
    let lines = child_worker::read(&ledger);
    assert_eq!(lines.iter().filter(|line| !line.is_end).count(), 1, "{lines:?}");
    row.add("the run in flight was executed once");
    worker.kill();
    engine.stop().expect(0);
}
