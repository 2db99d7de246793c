//! Several processes on one engine.

use super::{Place, Program};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

#[test]
fn a_second_worker_joins_and_outlives_the_first() {
    let place = Place::new();
    let first = place.worker(&["--embedded", "--name", "first"]);
    let second = place.worker(&["--embedded", "--name", "second"]);
    let address = place.handshake().grpc_address;
    second.err.until_said(&format!("joins the one of another process at {address}"));
    first.stop().expect(0);
    second.err.until_said("lost the connection to the engine");
    let engine = place.engine();
    let ended = place.runner(&[&HELLO[..], &["--timeout", "30s"]].concat()).expect(0);
    assert_eq!(ended.json()["message"], "Hello, World!");
    second.stop().expect(0);
    engine.stop().expect(0);
}

#[test]
fn an_ephemeral_engine_loses_its_runs_and_the_runner_says_so() {
    let place = Place::new();
    let ephemeral = || {
        let worker = place.worker(&["--embedded", "--embedded-ephemeral"]);
        worker.err.until_said("keeps nothing over restarts");
        worker
    };
    let worker = ephemeral();
    let run = place.trigger(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":60}"#]);
    let runner = place.start_runner(&["--run-id", &run]);
    runner.err.until("it follows", |line| line.contains("RUNNING") || line.contains("QUEUED"));
    worker.kill();
    assert!(!place.path(".hatchet/engine.db").exists());
    let worker = ephemeral();
    let ended = runner.wait().expect_said("the engine no longer knows run");
    assert_eq!(ended.code, Some(6), "{ended:?}");
    worker.stop().expect(0);
}

#[cfg(feature = "durable")]
#[test]
fn what_a_worker_ran_in_its_engines_process_runs_again_at_once() {
    let place = Place::new();
    let worker = place.worker(&["--embedded"]);
    let run = place.trigger(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":1.5}"#]);
    worker.kill();
    let worker = place.worker(&["--embedded"]);
    // Within its patience, which a dead worker's 30 s would use up.
    place.runner(&["--run-id", &run, "--timeout", "20s"]).expect(0);
    worker.stop().expect(0);
}

#[test]
fn an_engine_that_comes_back_as_a_stranger_is_followed() {
    let place = Place::new();
    let engine = place.engine();
    let worker = place.worker(&["--embedded"]);
    let before = place.handshake();
    engine.kill();
    worker.err.until_said("lost the connection to the engine");
    // Another key, another tenant, nothing that it knows, and somebody else at the old port.
    std::fs::remove_file(place.path(".hatchet/engine.json")).unwrap();
    for file in ["engine.db", "engine.db-wal", "engine.db-shm"] {
        // A build without the feature has none.
        let _ = std::fs::remove_file(place.path(".hatchet").join(file));
    }
    let _in_the_way = std::net::TcpListener::bind(&before.grpc_address).unwrap();
    let engine = place.engine();
    let now = place.handshake();
    assert!(now.grpc_address != before.grpc_address && now.token != before.token);
    worker.err.until_said(&format!("follows it to {}", now.grpc_address));
    worker.err.until_said("registered again");
    let ended = place.runner(&[&HELLO[..], &["--timeout", "30s"]].concat()).expect(0);
    assert_eq!(ended.json()["message"], "Hello, World!");
    // It is paused there, not at the old address.
    let ended = worker.stop().expect(0);
    assert!(!ended.stderr.iter().any(|line| line.contains("cannot be paused")), "{ended:?}");
    engine.stop().expect(0);
}

#[test]
fn an_engine_without_workers_says_so_and_the_run_waits() {
    let place = Place::new();
    let engine = place.engine();
    let parts = ["knows no workflow of this name", "start a worker that registers externally-triggered-task"];
    place.runner(&HELLO).expect_error(8, &parts);
    // From here on the engine knows the task, and no worker is online for it.
    place.worker(&["--embedded"]).stop().expect(0);
    let runner = place.start_runner(&HELLO);
    let said = runner.err.until_said("still queued after 3 s");
    for part in ["no worker for externally-triggered-task is online", "make run-worker", "worker --tasks"] {
        assert!(said.contains(part), "{said}");
    }
    let worker = place.worker(&["--embedded"]);
    assert_eq!(runner.wait().expect(0).json()["message"], "Hello, World!");
    worker.stop().expect(0);
    engine.stop().expect(0);
}

#[test]
fn a_busy_worker_is_told_from_none() {
    let place = Place::new();
    let worker = place.worker(&["--embedded", "--slots", "1", "--grace", "0s"]);
    place.trigger(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":30}"#]);
    let runner = place.start_runner(&HELLO);
    let said = runner.err.until_said("still queued after 3 s");
    assert!(said.contains("all slots") && said.contains("are taken"), "{said}");
    drop(runner);
    worker.stop().expect(0);
}

/// A worker that finds its engine by a token, as with a real Hatchet.
fn by_token(place: &Place, words: &[&str]) -> Program {
    let mut command = place.worker_command(words);
    command.env("HATCHET_CLIENT_TLS_STRATEGY", "none");
    Program::start(&mut command)
}

#[test]
fn an_engine_that_comes_later_is_waited_for_only_on_request() {
    let place = Place::new();
    place.engine().kill();
    place.write(".env", &format!("HATCHET_CLIENT_TOKEN={}\n", place.handshake().token));
    let address = place.handshake().grpc_address;
    by_token(&place, &[]).wait().expect_error(5, &["nothing answers at", &address, "HATCHET_CLIENT_HOST_PORT"]);
    let patient = by_token(&place, &["--wait-for-engine", "30s"]);
    patient.err.until_said("waits for the engine: nothing answers at");
    let impatient = by_token(&place, &["--wait-for-engine", "100ms"]);
    impatient.wait().expect_error(5, &["nothing answers at", &address]);
    let engine = place.engine();
    patient.err.until("the banner", |line| line.starts_with("  tasks "));
    place.runner(&HELLO).expect(0);
    patient.stop().expect(0);
    engine.stop().expect(0);
}

#[test]
fn a_signal_ends_a_wait_for_an_engine() {
    let place = Place::new();
    place.engine().kill();
    place.write(".env", &format!("HATCHET_CLIENT_TOKEN={}\n", place.handshake().token));
    let patient = by_token(&place, &["--wait-for-engine", "1h"]);
    patient.err.until_said("waits for the engine");
    patient.stop().expect(0);
}

#[test]
fn an_engine_that_dies_under_a_runner_is_waited_for_and_that_is_said() {
    let place = Place::new();
    let worker = place.worker(&["--embedded"]);
    let runners = ["--output=human", "--stream"].map(|flag| {
        let words = ["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":600}"#, flag];
        let runner = place.start_runner(&words);
        if flag == "--stream" {
            runner.out.until_said("RUNNING")
        } else {
            runner.err.until_said("RUNNING")
        };
        runner
    });
    worker.kill();
    for runner in runners {
        runner.err.until_said("waits for the engine, which does not answer");
        runner.signal("INT");
        runner.wait().expect(130);
    }
}
