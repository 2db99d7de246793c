//! The same faults for our worker and those of the official SDKs, at the same moments, behind one link.
//!
//! `make interop` installs the Python and TypeScript SDKs. `HATCHET_CHAOS_PEER` may name one more worker, a command
//! that serves a task `count`, such as one built on the Go SDK. Only a long run makes this comparison.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, ErrorKind},
    wire::RunStatus,
};

use super::{
    child_worker::settings,
    fixture::{Count, Ledger, TestEngine, within, worker},
    proxy::Proxy,
    table::{Row, long},
};
use crate::support::named;
use crate::{
    interop::{installed, scripts},
    process::Program,
};

/// How often a new run is tried until one has ended. A run whose assignment was lost says nothing of the link.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// How far apart two medians of so few measurements may be and still count as equal: two probes.
const SAME: Duration = Duration::from_millis(500);

struct Peer {
    name: &'static str,
    client: Client,
    times: Vec<Duration>,
    _process: Option<Program>,
}

/// The commands of those workers that are there.
fn commands() -> Vec<(&'static str, Command)> {
    let mut found = Vec::new();
    let python = installed("venv/bin/python");
    if python.exists() {
        let mut command = Command::new(python);
        command.arg(scripts().join("count.py")).env("PYTHONDONTWRITEBYTECODE", "1");
        found.push(("Python", command));
    }
    let modules = installed("node/node_modules");
    if modules.join("@hatchet-dev/typescript-sdk").exists() {
        let mut command = Command::new("node");
        command.arg(scripts().join("count.cjs")).env("NODE_PATH", modules);
        found.push(("TypeScript", command));
    }
    if let Some(other) = std::env::var_os("HATCHET_CHAOS_PEER") {
        found.push(("HATCHET_CHAOS_PEER", Command::new(other)));
    }
    found
}

/// The same settings in a namespace of this worker's own.
fn apart(config: &ClientConfig, name: &str) -> ClientConfig {
    let namespace = format!("{}{}_", config.namespace, name.to_lowercase().replace('_', "-"));
    ClientConfig { namespace, ..config.clone() }
}

/// How long it takes from `since` until a run that was triggered since has ended.
async fn recovery(client: &Client, since: Instant) -> Duration {
    let (mut tries, mut ends) = (tokio::time::interval(PROBE_EVERY), FuturesUnordered::new());
    let mut runs = Vec::new();
    let took = loop {
        tokio::select! {
            _ = tries.tick() => match client.run_no_wait(&named("count"), &Count::default()).await {
                Ok(run) => {
                    runs.push(run.clone());
                    ends.push(async move { run.outcome().await });
                }
                // A worker that has not declared its task yet.
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
            },
            Some(end) = ends.next() => if end.is_ok_and(|end| end.status == RunStatus::Completed) {
                break since.elapsed();
            },
        }
    };
    // What was lost with the link must not wait for its timeout in a slot.
    join_all(runs.iter().map(|run| run.cancel())).await;
    took
}

async fn recoveries(peers: &[Peer], since: Instant) -> Vec<Duration> {
    within(180, "every worker takes work again", join_all(peers.iter().map(|peer| recovery(&peer.client, since)))).await
}

async fn side_by_side(fault: &str, times: usize, fail: fn(&Proxy), length: Duration) {
    if !long() {
        return println!("skipped: {fault}, beside the official SDKs (make chaos runs it)");
    }
    let commands = commands();
    if commands.is_empty() {
        return println!("skipped: {fault}, beside the official SDKs: `make interop` installs them");
    }
    let mut row = Row::of(format!("{fault}, beside the official SDKs"));
    let engine = TestEngine::start().await;
    let (proxy, through) = engine.proxied().await;
    let ours = worker(&apart(&through, "rust"), [Ledger::default().task(Duration::from_secs(15))]).await;
    let mut peers = vec![Peer { name: "Rust", client: client(&engine, "rust"), times: Vec::new(), _process: None }];
    for (name, mut command) in commands {
        command
            .envs(settings(&apart(&through, name)))
            // The Go SDK adds the underscore even where there is one.
            .env("HATCHET_CLIENT_NAMESPACE", apart(&through, name).namespace.trim_end_matches('_'))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Some(Program::start(&mut command));
        peers.push(Peer { name, client: client(&engine, name), times: Vec::new(), _process: process });
    }
    recoveries(&peers, Instant::now()).await;
    for _ in 0..times {
        fail(&proxy);
        // The length of the fault is the fault itself, and no wait for something.
        tokio::time::sleep(length).await;
        let since = Instant::now();
        proxy.heal();
        let times = recoveries(&peers, since).await;
        peers.iter_mut().zip(times).for_each(|(peer, took)| peer.times.push(took));
    }
    let medians: Vec<Duration> = peers.iter().filter_map(|peer| row.times(peer.name, &peer.times, None)).collect();
    let (own, best) = (medians[0], medians[1..].iter().min().copied().unwrap_or_default());
    assert!(own <= best + SAME, "ours took {own:?}, the best official SDK {best:?}");
    ours.stop().await.unwrap();
}

fn client(engine: &TestEngine, name: &str) -> Client {
    Client::new(apart(&engine.config, name)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_after_reset_matches_best_sdk() {
    side_by_side("connections reset", 5, Proxy::reset, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_after_link_down_matches_best_sdk() {
    side_by_side("link down for 10 s", 3, Proxy::down, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_after_black_hole_matches_best_sdk() {
    side_by_side("black hole for 20 s", 3, Proxy::black_hole, Duration::from_secs(20)).await;
}
