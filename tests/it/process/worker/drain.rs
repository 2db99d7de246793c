//! The shutdown of a worker.

use std::time::Instant;

use tonic::Status;

use crate::fake::Fake;
use crate::process::{Program, Workspace};

/// Starts a runner of a sleep task and waits until the task has started.
fn start_sleep(workspace: &Workspace, seconds: &str) -> Program {
    let input = format!(r#"{{"seconds":{seconds}}}"#);
    let runner = workspace.start_runner(&["--task-name", "sync-sleep-task", "--input-json", &input]);
    runner.err.wait_for("RUNNING");
    runner
}

#[test]
fn signal_lets_running_tasks_finish() {
    let check = |signal: &str| {
        let workspace = Workspace::new();
        let worker = workspace.worker(&["--embedded"]);
        let runner = start_sleep(&workspace, "1");
        worker.signal(signal);
        let stopped = worker.wait().expect(0).expect_stderr("no more work is accepted").expect_stderr("stopped");
        assert!(!stopped.stderr.iter().any(|line| line.contains("cancelled after")), "{stopped:?}");
        // The worker's own engine has reported the outcome before it stopped.
        let output = runner.wait().expect(0);
        assert!(output.json()["slept_seconds"].as_f64().unwrap() >= 1.0, "{output:?}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| check("TERM"));
        check("HUP");
    });
}

#[test]
fn task_that_exceeds_the_grace_period_fails() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let worker = workspace.worker(&["--embedded", "--grace", "300ms"]);
    let runner = start_sleep(&workspace, "600");
    let start = Instant::now();
    worker.stop().expect(0).expect_stderr("cancelled after the grace").expect_stderr("sync-sleep-task");
    assert!(start.elapsed().as_secs() < 20, "the worker does not wait for the sleep");
    runner.wait().expect(1).expect_stderr("Shutdown: the worker was stopped before the task had finished");
    engine.stop().expect(0);
}

#[test]
fn queued_run_goes_to_another_worker() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let first = workspace.worker(&["--embedded", "--slots", "1"]);
    let running = start_sleep(&workspace, "1");
    let queued = workspace.start_runner(&["--task-name", "externally-triggered-task"]);
    queued.err.until("the id", |line| line.starts_with("run "));
    first.stop().expect(0);
    running.wait().expect(0);
    let second = workspace.worker(&["--embedded"]);
    queued.wait().expect(0);
    second.stop().expect(0);
    engine.stop().expect(0);
}

#[test]
fn second_signal_ends_the_worker_immediately() {
    for (first, second) in [("INT", "INT"), ("HUP", "TERM"), ("TERM", "HUP")] {
        let workspace = Workspace::new();
        let worker = workspace.worker(&["--embedded", "--grace", "10m"]);
        let _runner = start_sleep(&workspace, "600");
        worker.signal(first);
        worker.err.wait_for("no more work is accepted");
        // Repeats the signal, since a signal right after the first counts as its duplicate.
        worker.signal_until_ended(second).expect(130).expect_stderr(r#""message":"interrupted again"#);
    }
}

#[test]
fn simultaneous_signals_count_as_one() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded", "--grace", "10m"]);
    let runner = start_sleep(&workspace, "1");
    // GNU timeout sends a signal to the process and to its group.
    // Both are pending when the stopped process continues.
    worker.signals(&["STOP", "TERM", "INT", "CONT"]);
    let stopped = worker.wait().expect(0).expect_stderr("stopped");
    assert!(!stopped.stderr.iter().any(|line| line.contains("interrupted again")), "{stopped:?}");
    runner.wait().expect(0);
}

#[test]
fn idle_worker_and_engine_end_immediately() {
    let check = |signal: &str| {
        let workspace = Workspace::new();
        let worker = workspace.worker(&["--embedded"]);
        worker.signal(signal);
        worker.wait().expect(0);
        let engine = workspace.engine();
        engine.signal(signal);
        engine.wait().expect(0);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| check("INT"));
        scope.spawn(|| check("TERM"));
        check("HUP");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn hangup_is_ignored_under_nohup() {
    let workspace = Workspace::new();
    // `nohup` without its output file.
    let script = format!("trap '' HUP; exec {} --embedded", env!("CARGO_BIN_EXE_worker"));
    let worker = Program::start(&mut workspace.command("sh", &["-c", &script]));
    worker.err.wait_for("listening");
    worker.signal("HUP");
    workspace.runner(&["--task-name", "externally-triggered-task"]).expect(0);
    let stopped = worker.stop().expect(0);
    assert_eq!(
        stopped.stderr.iter().filter(|line| line.contains("no more work is accepted")).count(),
        1,
        "{stopped:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unacknowledged_outcome_is_logged() {
    let (workspace, fake) = (Workspace::new(), Fake::start().await);
    fake.script(|script| script.outcome_failures.extend(vec![Status::unavailable("unavailable"); 10_000]));
    let mut command = workspace.worker_command(&["--grace", "0s", "--tasks", "externally-triggered-task"]);
    command.env("HATCHET_CLIENT_TOKEN", fake.token()).env("HATCHET_CLIENT_TLS_STRATEGY", "none");
    let worker = Program::start(&mut command);
    fake.until_listening().await;
    let run = fake.assign("externally-triggered-task", "{}").await;
    fake.until("the report is refused", |script| (script.refused_outcomes > 0).then_some(())).await;
    let stopped = tokio::task::spawn_blocking(move || worker.stop()).await.unwrap().expect(0);
    let lines: Vec<&String> = stopped.stderr.iter().filter(|line| line.contains(&run.to_string())).collect();
    assert!(
        lines.iter().any(|line| line.contains("finished, but the engine did not acknowledge the outcome")),
        "{lines:?}"
    );
    for part in ["cancelling", "cancelled after the grace", "still running"] {
        assert!(!lines.iter().any(|line| line.contains(part)), "{part}: {lines:?}");
    }
}
