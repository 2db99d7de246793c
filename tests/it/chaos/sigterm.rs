//! A worker receives SIGTERM while it executes tasks.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hatchet_quickstart::hatchet::wire::RunStatus;

use super::{
    child_worker,
    fixture::{TestEngine, trigger, within},
    table::{Row, long},
};
use crate::{
    process::{Program, Workspace},
    support::eventually,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_runs_or_reports_retryable_failures() {
    let mut row = Row::new("SIGTERM while 100 tasks run");
    let grace = Duration::from_secs(if long() { 5 } else { 1 });
    let engine = TestEngine::start().await;
    let workspace = Workspace::new();
    let mut command = workspace.worker_command(&["--slots", "100", "--grace", &format!("{}s", grace.as_secs())]);
    for (name, value) in child_worker::settings(&engine.config) {
        command.env(name, value);
    }
    let program = Program::start(&mut command);
    program.err.until("a worker that listens", |line| line.starts_with("  tasks "));
    let client = engine.client();
    // The runs that finish within the grace period come last, so that they are running when the signal arrives.
    let seconds = (0..100).map(|n| if n < 50 { 600.0 } else { 0.2 + grace.as_secs_f64() / 2.0 });
    let mut runs = Vec::new();
    for seconds in seconds {
        runs.push(trigger(&client, "sync-sleep-task", &serde_json::json!({ "seconds": seconds })).await);
    }
    let all_running = eventually("the last runs have started", async || {
        let last = runs[runs.len() - 1].details().await.unwrap();
        (last.status != RunStatus::Queued).then_some(())
    });
    all_running.await;
    let started = Instant::now();
    program.signal("TERM");
    let output = tokio::task::spawn_blocking(move || program.wait()).await.unwrap().expect(0);
    let elapsed = started.elapsed();
    assert!(elapsed < grace + Duration::from_secs(5), "{elapsed:?}: {output:?}");
    let outcomes = within(30, "all runs have finished", join_all(runs.iter().map(|run| run.outcome()))).await;
    let (mut finished, mut interrupted) = (0, 0);
    for outcome in outcomes.into_iter().map(Result::unwrap) {
        match outcome.status {
            RunStatus::Completed => finished += 1,
            RunStatus::Failed if outcome.error.as_deref().is_some_and(|e| e.starts_with("Shutdown: ")) => {
                interrupted += 1
            }
            _ => panic!("neither finished nor interrupted: {outcome:?}"),
        }
    }
    row.add(format!(
        "exit 0 after {:.1} s of a grace of {grace:?}; {finished} finished, {interrupted} interrupted and reported as retryable",
        elapsed.as_secs_f64()
    ));
}
