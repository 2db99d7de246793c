//! How a worker ends.

use std::time::Instant;

use tonic::Status;

use super::{Place, Program};
use crate::fake::Fake;

/// Starts a sleep and waits until a worker has it.
fn sleeping(place: &Place, seconds: &str) -> Program {
    let input = format!(r#"{{"seconds":{seconds}}}"#);
    let runner = place.start_runner(&["--task-name", "sync-sleep-task", "--input-json", &input]);
    runner.err.until_said("RUNNING");
    runner
}

#[test]
fn what_runs_is_finished_and_reported() {
    for signal in ["TERM", "HUP"] {
        let place = Place::new();
        let worker = place.worker(&["--embedded"]);
        let runner = sleeping(&place, "1");
        worker.signal(signal);
        let stopped = worker.wait().expect(0).expect_said("takes no more work").expect_said("stopped");
        assert!(!stopped.stderr.iter().any(|line| line.contains("cut off after")), "{stopped:?}");
        // The engine was the worker's; it had told the end before it went.
        let ended = runner.wait().expect(0);
        assert!(ended.json()["slept_seconds"].as_f64().unwrap() >= 1.0, "{ended:?}");
    }
}

#[test]
fn what_outlives_the_grace_fails_with_the_reason() {
    let place = Place::new();
    let engine = place.engine();
    let worker = place.worker(&["--embedded", "--grace", "300ms"]);
    let runner = sleeping(&place, "600");
    let begun = Instant::now();
    worker.stop().expect(0).expect_said("cut off after the grace").expect_said("sync-sleep-task");
    assert!(begun.elapsed().as_secs() < 20, "it ends soon, and not with the sleep");
    runner.wait().expect(1).expect_said("Shutdown: the worker was stopped before the task had ended");
    engine.stop().expect(0);
}

#[test]
fn work_that_waits_goes_to_another_worker() {
    let place = Place::new();
    let engine = place.engine();
    let first = place.worker(&["--embedded", "--slots", "1"]);
    let running = sleeping(&place, "1");
    let queued = place.start_runner(&["--task-name", "externally-triggered-task"]);
    queued.err.until("the id", |line| line.starts_with("run "));
    first.stop().expect(0);
    running.wait().expect(0);
    let second = place.worker(&["--embedded"]);
    queued.wait().expect(0);
    second.stop().expect(0);
    engine.stop().expect(0);
}

#[test]
fn a_second_signal_ends_at_once() {
    for (first, second) in [("INT", "INT"), ("HUP", "TERM"), ("TERM", "HUP")] {
        let place = Place::new();
        let worker = place.worker(&["--embedded", "--grace", "10m"]);
        let _runner = sleeping(&place, "600");
        worker.signal(first);
        worker.err.until_said("takes no more work");
        // So soon after the first it may still count as its echo; a person goes on pressing Ctrl-C.
        worker.signal_to_the_end(second).expect(130).expect_said("interrupted again");
    }
}

#[test]
fn two_signals_at_the_same_moment_are_one() {
    let place = Place::new();
    let worker = place.worker(&["--embedded", "--grace", "10m"]);
    let runner = sleeping(&place, "1");
    // As GNU timeout does it: to the process, and to its group.
    worker.signals(&["TERM", "INT"]);
    let stopped = worker.wait().expect(0).expect_said("stopped");
    assert!(!stopped.stderr.iter().any(|line| line.contains("interrupted again")), "{stopped:?}");
    runner.wait().expect(0);
}

#[test]
fn an_idle_worker_and_an_engine_alone_end_at_once() {
    let place = Place::new();
    for signal in ["INT", "TERM", "HUP"] {
        let worker = place.worker(&["--embedded"]);
        worker.signal(signal);
        worker.wait().expect(0);
        let engine = place.engine();
        engine.signal(signal);
        engine.wait().expect(0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_terminal_is_nothing_to_what_nohup_started() {
    let place = Place::new();
    // As `nohup` starts it, which would write to a file besides.
    let script = format!("trap '' HUP; exec {} --embedded", env!("CARGO_BIN_EXE_worker"));
    let worker = Program::start(&mut place.command("sh", &["-c", &script]));
    worker.err.until_said("listening");
    worker.signal("HUP");
    place.runner(&["--task-name", "externally-triggered-task"]).expect(0);
    let stopped = worker.stop().expect(0);
    assert_eq!(stopped.stderr.iter().filter(|line| line.contains("takes no more work")).count(), 1, "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcome_that_the_engine_does_not_take_is_said_to_be_that() {
    let (place, fake) = (Place::new(), Fake::start().await);
    fake.script(|script| script.end_failures.extend(vec![Status::unavailable("away"); 10_000]));
    let mut command = place.worker_command(&["--grace", "0s", "--tasks", "externally-triggered-task"]);
    command.env("HATCHET_CLIENT_TOKEN", fake.token()).env("HATCHET_CLIENT_TLS_STRATEGY", "none");
    let worker = Program::start(&mut command);
    fake.until_listening().await;
    let run = fake.assign("externally-triggered-task", "{}").await;
    fake.until("its report is refused", |script| (script.refused_ends > 0).then_some(())).await;
    let stopped = tokio::task::spawn_blocking(move || worker.stop()).await.unwrap().expect(0);
    let about: Vec<&String> = stopped.stderr.iter().filter(|line| line.contains(&run.to_string())).collect();
    assert!(
        about.iter().any(|line| line.contains("ended, but the engine did not acknowledge the outcome")),
        "{about:?}"
    );
    for wrong in ["cancels", "cut off after the grace", "left running"] {
        assert!(!about.iter().any(|line| line.contains(wrong)), "{wrong}: {about:?}");
    }
}
