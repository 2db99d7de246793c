//! Memory of a worker under many tasks with log lines and chunks, and of an engine after a load.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use hatchet_quickstart::hatchet::client::{Client, ClientConfig, Sources};
use serde_json::json;

use super::{
    child_worker,
    fixture::{completed, trigger_many},
    table::{Row, long, not_on_a_real_engine},
};
use crate::process::Workspace;
use crate::support::named;

const BATCH: usize = 500;

/// Resident memory of a process, in KiB.
fn resident(process: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_memory_stays_bounded_under_load() {
    let (tasks, warm) = if long() { (100_000, 10_000) } else { (1_000, 500) };
    let fault = format!("{tasks} tasks with logs and stream chunks");
    if not_on_a_real_engine(&fault) {
        return;
    }
    let mut row = Row::new(fault);
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let config = ClientConfig::from_handshake(&workspace.handshake(), &Sources::default()).unwrap();
    let worker = child_worker::spawn(&config, &workspace.path("ledger"), 100);
    let client = Client::new(config).unwrap();
    let started = Instant::now();
    let (mut at_first, mut most) = (None, 0);
    for done in (BATCH..=tasks).step_by(BATCH) {
        let runs = trigger_many(&client, "chatty", &json!({}), BATCH).await;
        stream::iter(runs).for_each_concurrent(BATCH, async |run| drop(completed(&run).await)).await;
        let Some(now) = resident(worker.id()) else {
            println!("skipped: this system has no /proc");
            return;
        };
        if done == warm {
            at_first = Some(now);
        }
        most = most.max(now);
    }
    let first = at_first.unwrap();
    row.add(format!(
        "{:.1} MiB after {warm}, at most {:.1} MiB; {:.0} tasks/s",
        first as f64 / 1024.0,
        most as f64 / 1024.0,
        tasks as f64 / started.elapsed().as_secs_f64()
    ));
    assert!(!long() || most * 10 <= first * 11, "{first} KiB grew to {most} KiB");
    worker.kill();
    engine.stop().expect(0);
}

/// Queues runs with large payloads and cancels them. The engine stores at most 256 MiB of cancelled runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_memory_falls_after_a_load() {
    const PAYLOAD: usize = 1_000_000;
    let runs = if long() { 900 } else { 20 };
    let fault = format!("{runs} queued runs of {} MB, then cancelled", PAYLOAD / 1_000_000);
    if not_on_a_real_engine(&fault) {
        return;
    }
    let mut row = Row::new(fault);
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded", "--slots", "1", "--tasks", "sync-sleep-task"]);
    let Some(before) = resident(worker.id()) else {
        println!("skipped: this system has no /proc");
        return;
    };
    let client =
        Client::new(ClientConfig::from_handshake(&workspace.handshake(), &Sources::default()).unwrap()).unwrap();
    let input = json!({ "seconds": 600, "padding": "x".repeat(PAYLOAD) });
    let trigger = async |_| {
        client.run_no_wait(&named("sync-sleep-task"), &input).metadata("load", "large").await.unwrap();
    };
    stream::iter(0..runs).for_each_concurrent(4, trigger).await;
    let peak = resident(worker.id()).unwrap();
    workspace.runner(&["--cancel", "--metadata", "load=large"]).expect(0);
    // Stored finished runs, the memory before the load, and a quarter for memory that the allocator cannot release.
    let bound = (before + 256 * 1024) * 5 / 4;
    let deadline = Instant::now() + Duration::from_secs(30);
    let after = loop {
        let now = resident(worker.id()).unwrap();
        if now <= bound || Instant::now() > deadline {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    row.add(format!("{} MiB before, {} MiB at the peak, {} MiB after", before / 1024, peak / 1024, after / 1024));
    assert!(!long() || peak > bound, "the load was too small for a measurement: {peak} KiB");
    assert!(after <= bound, "{after} KiB are still resident, {bound} KiB expected");
    worker.stop().expect(0);
}
