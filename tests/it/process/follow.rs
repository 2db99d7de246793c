//! Leaving a run and coming back to it.

use std::{io::BufRead as _, process::Stdio};

use hatchet_quickstart::hatchet::{system::Handshake, wire::proto::v1::RunStatus};
use serde_json::json;

use super::{Place, Program};
use crate::fake::Fake;

const SLEEP: [&str; 3] = ["--task-name", "sync-sleep-task", "--input-json"];

/// Starts a runner on a sleep and waits until the sleep has begun; gives the run's id too.
fn sleeping(place: &Place, seconds: &str) -> (Program, String) {
    let input = format!(r#"{{"seconds":{seconds}}}"#);
    let runner = place.start_runner(&[&SLEEP[..], &[&input]].concat());
    let id = runner.err.until("the id", |line| line.starts_with("run "));
    runner.err.until_said("RUNNING");
    (runner, id.split(' ').nth(1).unwrap().to_owned())
}

#[test]
fn leave_at_once_and_attach_later() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let id = place.trigger(&["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"later"}"#]);
    assert_eq!(id.len(), 36, "{id}");
    let attached = place.runner(&["--run-id", &id]).expect(0);
    assert_eq!(attached.json()["message"], "Hello, later!");
    // Its stream is over, and that is said.
    let streamed = place.runner(&["--run-id", &id, "--stream"]).expect(0).expect_said("its stream is over");
    assert!(streamed.stdout.concat().ends_with(r#"{  "message": "Hello, later!"}"#), "{streamed:?}");
    // Nothing is left to cancel, and the outcome stays what it was.
    place.runner(&["--run-id", &id, "--cancel"]).expect(1).expect_said("already ended");
    assert_eq!(place.runner(&["--run-id", &id]).expect(0).json()["message"], "Hello, later!");
}

#[test]
fn a_cancelled_run_is_exit_3_for_who_waits_and_0_for_who_cancelled() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let (waiting, id) = sleeping(&place, "30");
    place.runner(&["--run-id", &id, "--cancel"]).expect(0).expect_said("CANCELLED");
    let waited = waiting.wait().expect(3);
    assert!(waited.stdout.is_empty(), "a cancelled run has no output: {waited:?}");
    waited.expect_said("CANCELLED");
}

#[test]
fn a_time_limit_is_exit_4_and_the_run_goes_on() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let words = [&SLEEP[..], &[r#"{"seconds":1}"#, "--timeout", "100ms"]].concat();
    let limited = place.runner(&words).expect_error(4, &["has not ended within 100ms", "goes on", "--embedded`"]);
    let id = limited.stderr.iter().find_map(|line| line.strip_prefix("run ")).unwrap()[..36].to_owned();
    limited.expect_said(&format!("`runner --run-id {id} --embedded`"));
    // In JSON it is an object too, for whoever reads nothing else.
    let limited = place.runner(&["--run-id", &id, "--timeout", "0s", "--output", "json"]).expect(4);
    let said = limited.json_lines().pop().unwrap();
    assert_eq!((&said["event"], &said["run_id"], &said["limit"]), (&json!("timed_out"), &json!(id), &json!("0s")));
    assert_eq!(said["attach"], format!("runner --run-id {id} --embedded"));
    limited.expect_said(&format!("has not told within 0s what became of run {id}"));
    place.runner(&["--run-id", &id]).expect(0);
}

#[test]
fn attach_command_works_as_it_is_printed() {
    let place = Place::new();
    let engine = ["--embedded", "--embedded-dir", "it's here", "--namespace", "team"];
    let _worker = place.worker(&engine);
    let at: Handshake =
        serde_json::from_str(&std::fs::read_to_string(place.path("it's here/handshake.json")).unwrap()).unwrap();
    let (grpc, rest) = (at.grpc_address.as_str(), at.api_url.as_str());
    let address = [
        "--host-port",
        grpc,
        "--server-url",
        rest,
        "--tls-strategy",
        "none",
        "--namespace",
        "team",
        "--embedded=never",
    ];
    // What the environment says is of no use without the flags.
    let run = |command: &mut std::process::Command| {
        command.env("HATCHET_CLIENT_TOKEN", &at.token).env("HATCHET_CLIENT_HOST_PORT", "127.0.0.1:9");
        Program::start(command.env("HATCHET_CLIENT_SERVER_URL", "http://127.0.0.1:9")).wait()
    };
    for connection in [&engine[..], &address] {
        let words = [&SLEEP[..], &[r#"{"seconds":2}"#, "--timeout", "1s"], connection].concat();
        let attach = run(&mut place.runner_command(&words)).expect(4).printed_command("attach to it again with ");
        let attached = run(&mut place.shell(&attach)).expect(0);
        assert!(attached.json()["slept_seconds"].is_number(), "{attached:?}");
    }
}

#[test]
fn runs_are_cancelled_by_their_metadata_and_named() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let sleep = |pair: &str| place.trigger(&[&SLEEP[..], &[r#"{"seconds":600}"#, "--metadata", pair]].concat());
    let ended = ["--task-name", "externally-triggered-task", "--metadata", "team=blue", "--no-wait"];
    let ended = place.trigger(&ended[..4]);
    place.runner(&["--run-id", &ended]).expect(0);
    let (mut blue, red) = ([sleep("team=blue"), sleep("team=blue")].to_vec(), sleep("team=red"));
    let cancel = ["--cancel", "--metadata", "team=blue"];
    let mut cancelled = place.runner(&cancel).expect(0).expect_said("cancels 2 runs");
    cancelled.stdout.sort();
    blue.sort();
    assert_eq!(cancelled.stdout, blue, "not the one that has ended, and not the red one");
    for run in &blue {
        place.runner(&["--run-id", run]).expect(3);
    }
    place.runner(&["--run-id", &ended]).expect(0);
    let none = place.runner(&cancel).expect(0).expect_said("no run that goes on has these pairs");
    assert!(none.stdout.is_empty(), "{none:?}");
    let words = ["--cancel", "--metadata", "team=red", "--output", "json"];
    let said = place.runner(&words).expect(0).json_lines();
    assert_eq!(
        (&said[0]["event"], &said[0]["count"], &said[0]["run_ids"]),
        (&json!("cancelled"), &json!(1), &json!([red]))
    );
}

#[test]
fn cancel_takes_only_runs_with_all_metadata_pairs() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let sleep = |pairs: &[&str]| {
        let pairs = pairs.iter().flat_map(|pair| ["--metadata", pair]);
        place.trigger(&SLEEP.into_iter().chain([r#"{"seconds":600}"#]).chain(pairs).collect::<Vec<_>>())
    };
    let (both, other) = (sleep(&["team=blue", "env:x=prod"]), sleep(&["team=blue", "env:x=test"]));
    let cancel = ["--cancel", "--metadata", "team=blue", "--metadata", "env:x=prod"];
    let cancelled = place.runner(&cancel).expect(0).expect_said("cancels 1 run;");
    assert_eq!(cancelled.stdout, [both.as_str()]);
    place.runner(&["--run-id", &both]).expect(3);
    assert!(!place.details(&other).done);
    place.runner(&["--cancel", "--metadata", "env:x=test"]).expect(0).expect_said("cancels 1 run;");
}

#[test]
fn cancel_by_metadata_without_rest_cancels_nothing() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let run = place.trigger(&[&SLEEP[..], &[r#"{"seconds":600}"#, "--metadata", "team=blue"]].concat());
    let engine = place.handshake();
    let mut cancel = place.runner_command(&["--cancel", "--metadata", "team=blue"]);
    cancel.env("HATCHET_CLIENT_TOKEN", engine.token).env("HATCHET_CLIENT_HOST_PORT", engine.grpc_address);
    cancel.env("HATCHET_CLIENT_TLS_STRATEGY", "none").env("HATCHET_CLIENT_SERVER_URL", "http://127.0.0.1:9");
    let parts = ["list runs by metadata", "http://127.0.0.1:9", "HATCHET_CLIENT_SERVER_URL"];
    Program::start(&mut cancel).wait().expect_error(5, &parts);
    assert!(!place.details(&run).done);
}

#[test]
fn a_run_that_went_with_its_engine_is_exit_6() {
    let place = Place::new();
    let engine = place.engine();
    let worker = place.worker(&["--embedded"]);
    let (waiting, id) = sleeping(&place, "600");
    engine.kill();
    waiting.err.until_said("waits for the engine");
    // Whatever it keeps from start to start.
    std::fs::remove_dir_all(place.path(".hatchet")).unwrap();
    let engine = place.engine();
    waiting.wait().expect_error(6, &["no longer knows run", &id, "restarted without its data"]);
    worker.kill();
    engine.stop().expect(0);
}

#[test]
fn an_interrupt_is_exit_130_and_the_run_goes_on() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    for (signal, stream) in [("INT", false), ("TERM", true), ("HUP", false)] {
        let mut words = [&SLEEP[..], &[r#"{"seconds":1.5}"#]].concat();
        words.extend(stream.then_some("--stream"));
        let runner = place.start_runner(&words);
        let id = runner.err.until("the id", |line| line.starts_with("run "))[4..40].to_owned();
        let shown = if stream { &runner.out } else { &runner.err };
        shown.until_said("RUNNING");
        runner.signal(signal);
        let attach = format!("`runner --run-id {id} --embedded`");
        runner.wait().expect(130).expect_said(&attach).expect_said("goes on");
        assert!(!place.details(&id).done, "the run goes on");
        place.runner(&["--run-id", &id]).expect(0);
    }
}

#[test]
fn attaching_late_to_a_stream_is_said() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let (first, id) = sleeping(&place, "1.5");
    place.runner(&["--run-id", &id, "--stream"]).expect(0).expect_said("attached late");
    first.wait().expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn attaching_to_a_stream_asks_for_the_run_once() {
    let (place, fake, id) = (Place::new(), Fake::start().await, "707d0855-80ab-4e1f-a156-f1c4546cbf52");
    fake.script(|script| script.set_run(id, RunStatus::Running, None));
    let mut command = place.runner_command(&["--run-id", id, "--stream", "--tls-strategy", "none"]);
    let _runner = Program::start(command.env("HATCHET_CLIENT_TOKEN", fake.token()));
    let asked = fake.until("it subscribes", |script| script.events_after.first().copied()).await;
    assert_eq!(asked, 1, "what it is attached to is known by one answer");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let mut command = place.runner_command(&["--embedded", "--stream"]);
    let mut runner = command.args(SLEEP).arg(r#"{"seconds":0.3}"#).spawn().unwrap();
    let mut out = std::io::BufReader::new(runner.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("QUEUED") || line.contains("RUNNING"), "{line}");
    drop(out);
    let ended = runner.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(!said.contains("panicked") && !said.contains("error"), "{said}");
}

#[test]
fn a_full_disk_under_stdout_is_said() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        println!("skipped: this system has no /dev/full");
        return;
    };
    let place = Place::new();
    let mut command = place.runner_command(&["--list-tasks"]);
    command.stdout(Stdio::from(full));
    Program::start(&mut command).wait().expect_error(2, &["stdout cannot be written"]);
}

#[test]
fn an_unknown_run_is_exit_2_in_the_end() {
    let place = Place::new();
    let _engine = place.engine();
    let id = "707d0855-80ab-4e1f-a156-f1c4546cbf52";
    let words = [id, "not known", "asked for 2s: check the id"];
    place.runner(&["--run-id", id, "--cancel"]).expect_error(2, &words);
    let attached = place.runner(&["--run-id", id]).expect_error(2, &words);
    let queued = attached.stderr.iter().any(|line| line.contains("still queued"));
    assert!(!queued, "a run that nobody knows is not queued: {attached:?}");
}
