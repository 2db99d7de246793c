//! Compares the recovery of this worker with workers of the official SDKs, behind one proxy and with the same faults.
//!
//! `make interop` installs the Python and TypeScript SDKs. `HATCHET_CHAOS_PEER` may name the command of another worker
//! with a task `count`, such as one built on the Go SDK. Runs in the full form only.

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

/// Interval at which new runs are triggered until one has completed. A single run could lose its assignment, which
/// would not measure the connection.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// Tolerance between two medians of few measurements: two intervals of [`PROBE_EVERY`].
const TOLERANCE: Duration = Duration::from_millis(500);

struct Peer {
    name: &'static str,
    client: Client,
    times: Vec<Duration>,
    _process: Option<Program>,
}

/// Returns the commands of the installed workers.
fn commands() -> Vec<(&'static str, Command)> {
    let mut found = Vec::new();
    let python = installed("venv/bin/python");
    if python.exists() {
        let mut command = Command::new(python);
        command.arg(scripts().join("python/count.py")).env("PYTHONDONTWRITEBYTECODE", "1");
        found.push(("Python", command));
    }
    let modules = installed("node/node_modules");
    if modules.join("@hatchet-dev/typescript-sdk").exists() {
        let mut command = Command::new("node");
        command.arg(scripts().join("typescript/count.cjs")).env("NODE_PATH", modules);
        found.push(("TypeScript", command));
    }
    if let Some(other) = std::env::var_os("HATCHET_CHAOS_PEER") {
        found.push(("HATCHET_CHAOS_PEER", Command::new(other)));
    }
    found
}

/// Adds a namespace for this worker to the settings.
fn with_namespace(config: &ClientConfig, name: &str) -> ClientConfig {
    let namespace = format!("{}{}_", config.namespace, name.to_lowercase().replace('_', "-"));
    ClientConfig { namespace, ..config.clone() }
}

/// Time from `since` until a run that was triggered afterwards has completed.
async fn recovery(client: &Client, since: Instant) -> Duration {
    let (mut ticks, mut outcomes) = (tokio::time::interval(PROBE_EVERY), FuturesUnordered::new());
    let mut runs = Vec::new();
    let elapsed = loop {
        tokio::select! {
            _ = ticks.tick() => match client.run_no_wait(&named("count"), &Count::default()).await {
                Ok(run) => {
                    runs.push(run.clone());
                    outcomes.push(async move { run.outcome().await });
                }
                // The worker has not registered its task yet.
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
            },
            Some(outcome) = outcomes.next() => if outcome.is_ok_and(|outcome| outcome.status == RunStatus::Completed) {
                break since.elapsed();
            },
        }
    };
    // Lost attempts must not occupy slots until their timeout.
    join_all(runs.iter().map(|run| run.cancel())).await;
    elapsed
}

async fn recoveries(peers: &[Peer], since: Instant) -> Vec<Duration> {
    within(180, "every worker receives runs again", join_all(peers.iter().map(|peer| recovery(&peer.client, since))))
        .await
}

async fn side_by_side(fault: &str, times: usize, inject: fn(&Proxy), length: Duration) {
    if !long() {
        return println!("skipped: {fault}, compared with the official SDKs (make chaos runs it)");
    }
    let commands = commands();
    if commands.is_empty() {
        return println!("skipped: {fault}, compared with the official SDKs: `make interop` installs them");
    }
    let mut row = Row::new(format!("{fault}, compared with the official SDKs"));
    let engine = TestEngine::start().await;
    let (proxy, through) = engine.proxied().await;
    let running = worker(&with_namespace(&through, "rust"), [Ledger::default().task(Duration::from_secs(15))]).await;
    let mut peers = vec![Peer { name: "Rust", client: client(&engine, "rust"), times: Vec::new(), _process: None }];
    for (name, mut command) in commands {
        command
            .envs(settings(&with_namespace(&through, name)))
            // The Go SDK adds the underscore even if it is present.
            .env("HATCHET_CLIENT_NAMESPACE", with_namespace(&through, name).namespace.trim_end_matches('_'))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Some(Program::start(&mut command));
        peers.push(Peer { name, client: client(&engine, name), times: Vec::new(), _process: process });
    }
    recoveries(&peers, Instant::now()).await;
    for _ in 0..times {
        inject(&proxy);
        // The duration is the fault itself, not a wait for a condition.
        tokio::time::sleep(length).await;
        let since = Instant::now();
        proxy.restore();
        let times = recoveries(&peers, since).await;
        peers.iter_mut().zip(times).for_each(|(peer, elapsed)| peer.times.push(elapsed));
    }
    let medians: Vec<Duration> = peers.iter().filter_map(|peer| row.times(peer.name, &peer.times, None)).collect();
    let (ours, best) = (medians[0], medians[1..].iter().min().copied().unwrap_or_default());
    assert!(ours <= best + TOLERANCE, "this worker took {ours:?}, the fastest official SDK {best:?}");
    running.stop().await.unwrap();
}

fn client(engine: &TestEngine, name: &str) -> Client {
    Client::new(with_namespace(&engine.config, name)).unwrap()
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
