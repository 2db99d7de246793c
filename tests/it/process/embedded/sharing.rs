//! Several processes that share an engine.

use crate::process::{Program, Workspace};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

#[test]
fn second_worker_joins_and_outlives_the_first() {
    let workspace = Workspace::new();
    let first = workspace.worker(&["--embedded", "--name", "first"]);
    let second = workspace.worker(&["--embedded", "--name", "second"]);
    let address = workspace.handshake().grpc_address;
    second.err.wait_for(&format!("joins the engine of another process at {address}"));
    first.stop().expect(0);
    second.err.wait_for("lost the connection to the engine");
    let engine = workspace.engine();
    let output = workspace.runner(&[&HELLO[..], &["--timeout", "30s"]].concat()).expect(0);
    assert_eq!(output.json()["message"], "Hello, World!");
    second.err.wait_for("connected to the engine again, after");
    second.stop().expect(0);
    engine.stop().expect(0);
}

#[test]
fn run_of_an_ephemeral_engine_is_exit_6_after_restart() {
    let workspace = Workspace::new();
    let ephemeral = || {
        let worker = workspace.worker(&["--embedded", "--embedded-ephemeral"]);
        worker.err.wait_for("without persistence");
        worker
    };
    let worker = ephemeral();
    let run = workspace.trigger(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":60}"#]);
    let runner = workspace.start_runner(&["--run-id", &run]);
    runner.err.until("the runner follows the run", |line| line.contains("RUNNING") || line.contains("QUEUED"));
    worker.kill();
    assert!(!workspace.path(".hatchet/engine.db").exists());
    let worker = ephemeral();
    let output = runner.wait().expect_stderr("the engine no longer knows run");
    assert_eq!(output.code, Some(6), "{output:?}");
    worker.stop().expect(0);
}

#[cfg(feature = "durable")]
#[test]
fn run_of_a_killed_worker_restarts_with_its_engine() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded"]);
    let run = workspace.trigger(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":1.5}"#]);
    worker.kill();
    let worker = workspace.worker(&["--embedded"]);
    // The run restarts before the 30 s after which a worker counts as lost.
    workspace.runner(&["--run-id", &run, "--timeout", "20s"]).expect(0);
    worker.stop().expect(0);
}

#[test]
fn worker_follows_an_engine_with_a_new_identity() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let worker = workspace.worker(&["--embedded"]);
    let before = workspace.handshake();
    engine.kill();
    worker.err.wait_for("lost the connection to the engine");
    // The new engine has another key and tenant and no data; another process uses the old port.
    std::fs::remove_file(workspace.path(".hatchet/engine.json")).unwrap();
    for file in ["engine.db", "engine.db-wal", "engine.db-shm"] {
        // A build without the feature `durable` has no database.
        let _ = std::fs::remove_file(workspace.path(".hatchet").join(file));
    }
    let _old_port = std::net::TcpListener::bind(&before.grpc_address).unwrap();
    let engine = workspace.engine();
    let after = workspace.handshake();
    assert!(after.grpc_address != before.grpc_address && after.token != before.token);
    worker.err.wait_for(&format!("connecting to {}", after.grpc_address));
    // The two slot pools register in any order; the task of the next run belongs to the one without the suffix `-cpu`.
    worker.err.until("the registration", |line| line.contains("registered again") && !line.contains("-cpu"));
    let output = workspace.runner(&[&HELLO[..], &["--timeout", "30s"]].concat()).expect(0);
    assert_eq!(output.json()["message"], "Hello, World!");
    // The worker is paused at the new address.
    let output = worker.stop().expect(0);
    assert!(!output.stderr.iter().any(|line| line.contains("cannot be paused")), "{output:?}");
    engine.stop().expect(0);
}

#[test]
fn unregistered_task_is_exit_8_and_offline_task_waits() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let parts = ["has no workflow of this name", "Start a worker that registers externally-triggered-task"];
    workspace.runner(&HELLO).expect_error(8, &parts);
    let namespace = [&HELLO[..], &["--namespace", "team"]].concat();
    workspace.runner(&namespace).expect_error(8, &["registers team_externally-triggered-task"]);
    // The task is registered, but no worker is online for it.
    workspace.worker(&["--embedded"]).stop().expect(0);
    let runner = workspace.start_runner(&HELLO);
    let note = runner.err.wait_for("still queued after 3s");
    for part in ["no worker for externally-triggered-task is online", "make run-worker", "worker --tasks"] {
        assert!(note.contains(part), "{note}");
    }
    let worker = workspace.worker(&["--embedded"]);
    assert_eq!(runner.wait().expect(0).json()["message"], "Hello, World!");
    worker.stop().expect(0);
    engine.stop().expect(0);
}

#[test]
fn busy_worker_is_reported_for_a_queued_run() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded", "--slots", "1", "--grace", "0"]);
    workspace.trigger(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":30}"#]);
    let runner = workspace.start_runner(&HELLO);
    let note = runner.err.wait_for("still queued after 3s");
    assert!(note.contains("all slots") && note.contains("are taken"), "{note}");
    drop(runner);
    worker.stop().expect(0);
}

/// Starts a worker that uses the address in its token, as with a real Hatchet.
fn start_by_token(workspace: &Workspace, args: &[&str]) -> Program {
    let mut command = workspace.worker_command(args);
    command.env("HATCHET_CLIENT_TLS_STRATEGY", "none");
    Program::start(&mut command)
}

#[test]
fn worker_waits_for_engine_if_requested() {
    let workspace = Workspace::new();
    workspace.engine().kill();
    workspace.write(".env", &format!("HATCHET_CLIENT_TOKEN={}\n", workspace.handshake().token));
    let address = workspace.handshake().grpc_address;
    start_by_token(&workspace, &[])
        .wait()
        .expect_error(5, &["no server responds at", &address, "HATCHET_CLIENT_HOST_PORT"]);
    let waiting = start_by_token(&workspace, &["--wait-for-engine", "30"]);
    waiting.err.wait_for("waiting for the engine: no server responds at");
    let timed_out = start_by_token(&workspace, &["--wait-for-engine", "100ms"]);
    timed_out.wait().expect_error(5, &["no server responds at", &address]);
    let engine = workspace.engine();
    waiting.err.until("the banner", |line| line.starts_with("  tasks "));
    workspace.runner(&HELLO).expect(0);
    waiting.stop().expect(0);
    engine.stop().expect(0);
}

#[test]
fn signal_ends_the_wait_for_an_engine() {
    let workspace = Workspace::new();
    workspace.engine().kill();
    workspace.write(".env", &format!("HATCHET_CLIENT_TOKEN={}\n", workspace.handshake().token));
    let waiting = start_by_token(&workspace, &["--wait-for-engine", "1h"]);
    waiting.err.wait_for("waiting for the engine");
    waiting.stop().expect(0);
}

#[test]
fn runner_waits_for_killed_engine() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded"]);
    let runners = ["--output=human", "--stream"].map(|flag| {
        let args = ["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":600}"#, flag];
        let runner = workspace.start_runner(&args);
        if flag == "--stream" {
            runner.out.wait_for("RUNNING")
        } else {
            runner.err.wait_for("RUNNING")
        };
        runner
    });
    worker.kill();
    for runner in runners {
        runner.err.wait_for("waiting for the engine, which does not respond");
        runner.signal("INT");
        runner.wait().expect(130);
    }
}
