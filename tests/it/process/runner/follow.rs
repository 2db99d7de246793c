//! Runs that are followed, attached to or cancelled.

use std::{io::BufRead as _, process::Stdio};

use hatchet_quickstart::hatchet::{system::Handshake, wire::proto::v1::RunStatus};
use serde_json::json;

use crate::fake::Fake;
use crate::process::{Program, Workspace};

const SLEEP: [&str; 3] = ["--task-name", "sync-sleep-task", "--input-json"];

/// Starts a runner of a sleep task and waits until the task has started. Returns the run's id, too.
fn start_sleep(workspace: &Workspace, seconds: &str) -> (Program, String) {
    let input = format!(r#"{{"seconds":{seconds}}}"#);
    let runner = workspace.start_runner(&[&SLEEP[..], &[&input]].concat());
    let id = runner.err.until("the id", |line| line.starts_with("run "));
    runner.err.wait_for("RUNNING");
    (runner, id.split(' ').nth(1).unwrap().to_owned())
}

#[test]
fn runner_attaches_to_earlier_run() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let id = workspace.trigger(&["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"later"}"#]);
    assert_eq!(id.len(), 36, "{id}");
    let attached = workspace.runner(&["--run-id", &id]).expect(0);
    assert_eq!(attached.json()["message"], "Hello, later!");
    // A note reports that the stream has ended.
    let streamed = workspace.runner(&["--run-id", &id, "--stream"]).expect(0).expect_stderr("its stream is closed");
    assert!(streamed.stdout.concat().ends_with(r#"{  "message": "Hello, later!"}"#), "{streamed:?}");
    // A completed run cannot be cancelled; its outcome is unchanged.
    workspace.runner(&["--run-id", &id, "--cancel"]).expect(1).expect_stderr("already finished");
    assert_eq!(workspace.runner(&["--run-id", &id]).expect(0).json()["message"], "Hello, later!");
}

#[test]
fn cancelled_run_is_exit_3() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let (waiting, id) = start_sleep(&workspace, "30");
    workspace.runner(&["--run-id", &id, "--cancel"]).expect(0).expect_stderr("CANCELLED");
    let waited = waiting.wait().expect(3);
    assert!(waited.stdout.is_empty(), "a cancelled run has no output: {waited:?}");
    waited.expect_stderr("CANCELLED");
}

#[test]
fn timeout_is_exit_4_and_the_run_continues() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let args = [&SLEEP[..], &[r#"{"seconds":4}"#, "--timeout", "2s"]].concat();
    let timed_out =
        workspace.runner(&args).expect_error(4, &["has not finished within 2s", "continues", "--embedded`"]);
    let id = timed_out.stderr.iter().find_map(|line| line.strip_prefix("run ")).unwrap()[..36].to_owned();
    timed_out.expect_stderr(&format!("`runner --run-id {id} --embedded`"));
    // With JSON output, the timeout is an object on stdout, too.
    let timed_out = workspace.runner(&["--run-id", &id, "--timeout", "0s", "--output", "json"]).expect(4);
    let event = timed_out.json_lines().pop().unwrap();
    assert_eq!((&event["event"], &event["run_id"], &event["limit"]), (&json!("timed_out"), &json!(id), &json!("0s")));
    assert_eq!(event["attach"], format!("runner --run-id {id} --embedded"));
    timed_out.expect_stderr(&format!("--timeout 0 leaves no time to wait for run {id}"));
    workspace.runner(&["--run-id", &id]).expect(0);
}

#[test]
fn printed_attach_command_attaches() {
    let workspace = Workspace::new();
    let engine = ["--embedded", "--embedded-dir", "it's here", "--namespace", "team"];
    let _worker = workspace.worker(&engine);
    let handshake: Handshake =
        serde_json::from_str(&std::fs::read_to_string(workspace.path("it's here/handshake.json")).unwrap()).unwrap();
    let (grpc, rest) = (handshake.grpc_address.as_str(), handshake.api_url.as_str());
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
    // The environment alone does not lead to the engine.
    let run = |command: &mut std::process::Command| {
        command.env("HATCHET_CLIENT_TOKEN", &handshake.token).env("HATCHET_CLIENT_HOST_PORT", "127.0.0.1:9");
        Program::start(command.env("HATCHET_CLIENT_SERVER_URL", "http://127.0.0.1:9")).wait()
    };
    let check = |connection: &[&str]| {
        let args = [&SLEEP[..], &[r#"{"seconds":5}"#, "--timeout", "2s"], connection].concat();
        let attach = run(&mut workspace.runner_command(&args)).expect(4).printed_command("attach to it again with ");
        let attached = run(&mut workspace.shell(&attach)).expect(0);
        assert!(attached.json()["slept_seconds"].is_number(), "{attached:?}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| check(&engine));
        check(&address);
    });
}

#[test]
fn cancel_by_metadata_prints_the_run_ids() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let sleep = |pair: &str| workspace.trigger(&[&SLEEP[..], &[r#"{"seconds":600}"#, "--metadata", pair]].concat());
    let completed = workspace.trigger(&["--task-name", "externally-triggered-task", "--metadata", "team=blue"]);
    workspace.runner(&["--run-id", &completed]).expect(0);
    let (mut blue, red) = ([sleep("team=blue"), sleep("team=blue")].to_vec(), sleep("team=red"));
    let cancel = ["--cancel", "--metadata", "team=blue"];
    let mut cancelled = workspace.runner(&cancel).expect(0).expect_stderr("cancelling 2 runs");
    cancelled.stdout.sort();
    blue.sort();
    assert_eq!(cancelled.stdout, blue, "neither the completed run nor the run of team red");
    for run in &blue {
        workspace.runner(&["--run-id", run]).expect(3);
    }
    workspace.runner(&["--run-id", &completed]).expect(0);
    let none = workspace.runner(&cancel).expect(0).expect_stderr("no open run has these pairs");
    assert!(none.stdout.is_empty(), "{none:?}");
    let args = ["--cancel", "--metadata", "team=red", "--output", "json"];
    let events = workspace.runner(&args).expect(0).json_lines();
    assert_eq!(
        (&events[0]["event"], &events[0]["count"], &events[0]["run_ids"]),
        (&json!("cancelled"), &json!(1), &json!([red]))
    );
}

#[test]
fn cancel_requires_all_metadata_pairs() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let sleep = |pairs: &[&str]| {
        let pairs = pairs.iter().flat_map(|pair| ["--metadata", pair]);
        workspace.trigger(&SLEEP.into_iter().chain([r#"{"seconds":600}"#]).chain(pairs).collect::<Vec<_>>())
    };
    let (both, other) = (sleep(&["team=blue", "env:x=prod"]), sleep(&["team=blue", "env:x=test"]));
    let cancel = ["--cancel", "--metadata", "team=blue", "--metadata", "env:x=prod"];
    let cancelled = workspace.runner(&cancel).expect(0).expect_stderr("cancelling 1 run;");
    assert_eq!(cancelled.stdout, [both.as_str()]);
    workspace.runner(&["--run-id", &both]).expect(3);
    assert!(!workspace.details(&other).done);
    workspace.runner(&["--cancel", "--metadata", "env:x=test"]).expect(0).expect_stderr("cancelling 1 run;");
}

#[test]
fn cancel_by_metadata_without_rest_cancels_nothing() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let run = workspace.trigger(&[&SLEEP[..], &[r#"{"seconds":600}"#, "--metadata", "team=blue"]].concat());
    let engine = workspace.handshake();
    let mut cancel = workspace.runner_command(&["--cancel", "--metadata", "team=blue"]);
    cancel.env("HATCHET_CLIENT_TOKEN", engine.token).env("HATCHET_CLIENT_HOST_PORT", engine.grpc_address);
    cancel.env("HATCHET_CLIENT_TLS_STRATEGY", "none").env("HATCHET_CLIENT_SERVER_URL", "http://127.0.0.1:9");
    let parts = ["listing runs by metadata failed", "http://127.0.0.1:9", "HATCHET_CLIENT_SERVER_URL"];
    Program::start(&mut cancel).wait().expect_error(5, &parts);
    assert!(!workspace.details(&run).done);
}

#[test]
fn run_lost_by_its_engine_is_exit_6() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let worker = workspace.worker(&["--embedded"]);
    let (waiting, id) = start_sleep(&workspace, "600");
    engine.kill();
    waiting.err.wait_for("waiting for the engine");
    // All persistent data.
    std::fs::remove_dir_all(workspace.path(".hatchet")).unwrap();
    let engine = workspace.engine();
    waiting.wait().expect_error(6, &["no longer knows run", &id, "restarted without its data"]);
    worker.kill();
    engine.stop().expect(0);
}

#[test]
fn interrupt_is_exit_130_and_the_run_continues() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let check = |signal: &str, stream: bool| {
        let mut args = [&SLEEP[..], &[r#"{"seconds":600}"#]].concat();
        args.extend(stream.then_some("--stream"));
        let runner = workspace.start_runner(&args);
        let id = runner.err.until("the id", |line| line.starts_with("run "))[4..40].to_owned();
        let shown = if stream { &runner.out } else { &runner.err };
        shown.wait_for("RUNNING");
        runner.signal(signal);
        let attach = format!("`runner --run-id {id} --embedded`");
        runner.wait().expect(130).expect_stderr(&attach).expect_stderr("continues");
        assert!(!workspace.details(&id).done, "the run continues");
        workspace.runner(&["--run-id", &id, "--cancel"]).expect(0);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| check("INT", false));
        scope.spawn(|| check("TERM", true));
        check("HUP", false);
    });
}

#[test]
fn late_attach_to_a_stream_is_reported() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let (first, id) = start_sleep(&workspace, "600");
    let attached = workspace.start_runner(&["--run-id", &id, "--stream"]);
    attached.err.wait_for("attached late");
    workspace.runner(&["--run-id", &id, "--cancel"]).expect(0);
    attached.wait().expect(3);
    first.wait().expect(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn stream_attach_subscribes_after_one_read() {
    let (workspace, fake, id) = (Workspace::new(), Fake::start().await, "707d0855-80ab-4e1f-a156-f1c4546cbf52");
    fake.script(|script| script.set_run(id, RunStatus::Running, None));
    let mut command = workspace.runner_command(&["--run-id", id, "--stream", "--tls-strategy", "none"]);
    let _runner = Program::start(command.env("HATCHET_CLIENT_TOKEN", fake.token()));
    let reads = fake.until("the runner subscribes", |script| script.events_after.first().copied()).await;
    assert_eq!(reads, 1, "reads of the run before the subscription");
}

#[test]
fn closed_stdout_is_exit_0() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let mut command = workspace.runner_command(&["--embedded", "--stream"]);
    let mut runner = command.args(SLEEP).arg(r#"{"seconds":0.3}"#).spawn().unwrap();
    let mut out = std::io::BufReader::new(runner.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("QUEUED") || line.contains("RUNNING"), "{line}");
    drop(out);
    let output = runner.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("error"), "{stderr}");
}

#[cfg(target_os = "linux")]
#[test]
fn unwritable_stdout_is_exit_2() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let workspace = Workspace::new();
    let mut command = workspace.runner_command(&["--list-tasks"]);
    command.stdout(Stdio::from(full));
    Program::start(&mut command).wait().expect_error(2, &["writing to stdout failed"]);
}

#[test]
fn unknown_run_is_exit_2() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    let id = "707d0855-80ab-4e1f-a156-f1c4546cbf52";
    let args = [id, "not known", "after retries for 2s. Check the id"];
    let attaching = workspace.start_runner(&["--run-id", id]);
    workspace.runner(&["--run-id", id, "--cancel"]).expect_error(2, &args);
    let attached = attaching.wait().expect_error(2, &args);
    let queued = attached.stderr.iter().any(|line| line.contains("still queued"));
    assert!(!queued, "an unknown run is not queued: {attached:?}");
}
