//! Benchmarks that end early or fail: message, report and exit code.

use hatchet_quickstart::hatchet::wire::MAY_TAKE_EFFECT;
use tonic::Status;

use super::{Workspace, bench, runs, start, summary};
use crate::{fake::Fake, process::run_async};

const SLEEP_TASK: [&str; 2] = ["--tasks", "sync-sleep-task"];

#[test]
fn unregistered_task_is_reported_as_refused() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    let output = bench(&workspace, &["--runs", "5", "--out", "out"]).expect(1);
    let output = output.expect_stderr("no worker for externally-triggered-task is online");
    assert!(output.stdout.iter().any(|line| line.contains("5 refused")), "{output:?}");
    assert_eq!(summary(&workspace.path("out"))["outcomes"]["externally-triggered-task"]["refused"], 5);
}

#[test]
fn timeout_is_exit_4_with_a_report() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    let input = ["--input-json", r#"{"seconds":600}"#];
    let args =
        [&SLEEP_TASK[..], &input, &["--runs", "3", "--timeout", "4", "--key-prefix", "p", "--out", "out"]].concat();
    let output = bench(&workspace, &args).expect(4).expect_stderr("3 of 3 runs have not finished in time");
    output.expect_stderr("--key-prefix p");
    assert_eq!(summary(&workspace.path("out"))["state"], "timed out");
    assert_eq!(runs(&workspace.path("out"))[0]["status"], "UNKNOWN");
}

#[test]
fn timeout_ends_the_trial_run() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let args = [&SLEEP_TASK[..], &["--input-json", r#"{"seconds":600}"#, "--timeout", "1s"]].concat();
    let output = bench(&workspace, &args).expect(4).expect_stderr("a trial run of sync-sleep-task");
    output.expect_stderr("was abandoned after").expect_stderr("runs have not finished in time");
}

#[test]
fn interrupted_benchmark_continues_when_repeated() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys", "--slots", "1"]);
    let input = ["--input-json", r#"{"seconds":0.5}"#];
    let args = [&SLEEP_TASK[..], &input, &["--runs", "12", "--key-prefix", "p", "--out", "out"]].concat();
    let first = start(&workspace, &args);
    first.err.wait_for(r#""event":"progress""#);
    first.signal("INT");
    first.wait().expect(130).expect_stderr("Continue with the same command").expect_stderr("report: out/report.html");
    assert_eq!(summary(&workspace.path("out"))["state"], "interrupted");
    let again = bench(&workspace, &args).expect(0);
    assert!(again.stdout[0].starts_with("12 of 12 runs completed"), "{again:?}");
    assert_eq!(summary(&workspace.path("out"))["dedupe"]["duplicates"], 12);
}

#[test]
fn engine_outage_is_reported() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    let input = ["--input-json", r#"{"seconds":30}"#];
    let args = [&SLEEP_TASK[..], &input, &["--runs", "5", "--timeout", "12s", "--out", "out"]].concat();
    let program = start(&workspace, &args);
    program.err.wait_for(r#""accepted":5"#);
    engine.kill();
    let output = program.wait().expect(4).expect_stderr("no response from the engine for");
    output.expect_stderr("reading the start and finish times failed");
    let warnings = summary(&workspace.path("out"))["doubts"].to_string();
    assert!(warnings.contains("did not respond"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn error_of_full_engine_is_reported() {
    let (workspace, fake) = (Workspace::new(), Fake::start().await);
    fake.script(|script| script.trigger_failures.extend(vec![Status::resource_exhausted("too many runs"); 10_000]));
    let args = ["bench", "--tls-strategy", "none", "--runs", "3", "--timeout", "8s", "--out", "out"];
    let mut command = workspace.runner_command(&args);
    command.env("HATCHET_CLIENT_TOKEN", fake.token());
    let output = run_async(command).await.expect(4);
    assert!(output.stdout.iter().any(|line| line.contains("3 not submitted")), "{output:?}");
    let output = output.expect_stderr("the engine has refused all submissions for");
    assert!(output.stdout.iter().any(|line| line.contains("the engine is at a limit: too many runs")), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn refusal_is_not_reported_as_an_unknown_start() {
    let (workspace, fake) = (Workspace::new(), Fake::start().await);
    let mut full = Status::unavailable("cannot store changes: the disk is full");
    full.metadata_mut().insert(MAY_TAKE_EFFECT, "false".parse().unwrap());
    fake.script(|script| script.trigger_failures.extend(vec![full; 10_000]));
    let args = ["bench", "--tls-strategy", "none", "--runs", "3", "--timeout", "5s", "--out", "out"];
    let mut command = workspace.runner_command(&args);
    command.env("HATCHET_CLIENT_TOKEN", fake.token());
    let output = run_async(command).await.expect(4).expect_stderr("the engine has refused all submissions for");
    assert!(output.stdout.iter().any(|line| line.contains("3 not submitted")), "{output:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn end_of_own_worker_stops_the_benchmark() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    let input = ["--input-json", r#"{"seconds":30}"#];
    let args = [&SLEEP_TASK[..], &input, &["--with-worker", "--runs", "3", "--out", "out"]].concat();
    let program = start(&workspace, &args);
    program.err.wait_for(r#""accepted":3"#);
    let children = program.children();
    assert_eq!(children.len(), 1, "{children:?}");
    let killed = std::process::Command::new("sh").args(["-c", &format!("kill -9 {}", children[0])]).status();
    assert!(killed.unwrap().success());
    program.wait().expect(130).expect_stderr("the worker of this benchmark ended");
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_exit_2_with_results() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    std::fs::create_dir(workspace.path("out")).unwrap();
    for name in ["runs.jsonl", "runs.jsonl.new"] {
        std::os::unix::fs::symlink("/dev/full", workspace.path("out").join(name)).unwrap();
    }
    let output = bench(&workspace, &["--runs", "500", "--out", "out"]).expect(2);
    let output = output.expect_stderr("No space left").expect_stderr("the report is incomplete");
    assert!(output.stdout[0].starts_with("500 of 500"), "the results are shown: {output:?}");
    assert_eq!(summary(&workspace.path("out"))["state"], "complete");
}
