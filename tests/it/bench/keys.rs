//! Run keys: a repeated benchmark attaches to its existing runs.

#[cfg(feature = "durable")]
use futures_util::StreamExt as _;

use super::{Workspace, bench, runs, summary};
#[cfg(feature = "durable")]
use crate::support::Target;

#[test]
fn repeated_prefix_starts_no_run() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    // 400 collisions exceed HTTP/2 headers of the default size.
    let args = ["--runs", "400", "--key-prefix", "same"];
    bench(&workspace, &[&args[..], &["--out", "first"]].concat()).expect(0);
    let output = bench(&workspace, &[&args[..], &["--out", "second"]].concat()).expect(0);
    assert!(output.stdout.iter().any(|line| line.contains("0 started, 400 duplicates")), "{output:?}");
    let (first, second) = (runs(&workspace.path("first")), runs(&workspace.path("second")));
    for (first, again) in first.iter().zip(&second) {
        assert_eq!((&first["key"], &first["run_id"]), (&again["key"], &again["run_id"]));
        assert_eq!((again["accepted_as"].as_str(), again["status"].as_str()), (Some("duplicate"), Some("COMPLETED")));
    }
    let (first, second) = (summary(&workspace.path("first")), summary(&workspace.path("second")));
    assert_eq!(second["latency"]["total"], serde_json::Value::Null, "duplicates have no times");
    let until = |summary: &serde_json::Value| summary["dedupe"]["until"].as_str().unwrap()[..19].to_owned();
    assert!(
        until(&second) <= until(&first),
        "the keys of the first benchmark expire first: {} {}",
        until(&first),
        until(&second)
    );
}

#[cfg(feature = "durable")]
#[test]
fn repeated_prefix_starts_no_run_after_an_engine_restart() {
    let workspace = Workspace::new();
    let args = ["--with-worker", "--runs", "40", "--key-prefix", "same"];
    bench(&workspace, &[&args[..], &["--out", "first"]].concat()).expect(0);
    let output = bench(&workspace, &[&args[..], &["--out", "second"]].concat()).expect(0);
    assert!(output.stdout.iter().any(|line| line.contains("0 started, 40 duplicates")), "{output:?}");
    let output = bench(&workspace, &[&args[..], &["--embedded-ephemeral", "--out", "three"]].concat()).expect(0);
    assert!(output.stdout.iter().any(|line| line.contains("40 started, 0 duplicates")), "{output:?}");
}

#[test]
fn larger_repetition_starts_the_additional_runs() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    bench(&workspace, &["--runs", "10", "--key-prefix", "p", "--out", "out"]).expect(0);
    let output = bench(&workspace, &["--runs", "25", "--key-prefix", "p", "--out", "out"]).expect(0);
    assert!(output.stdout.iter().any(|line| line.contains("15 started, 10 duplicates")), "{output:?}");
}

#[test]
fn verify_dedupe_compares_counted_executions() {
    let workspace = Workspace::new();
    let args = ["--with-worker", "--verify-dedupe", "--runs", "50", "--out", "out"];
    bench(&workspace, &args).expect(0);
    let verified = summary(&workspace.path("out"))["dedupe"]["verified"].clone();
    assert_eq!((&verified["refused"], &verified["executions"]), (&50.into(), &50.into()));
    assert_eq!(verified["wrong"].as_array().map(Vec::len), Some(0), "{verified}");
    // The worker and its engine have stopped.
    let id = runs(&workspace.path("out"))[0]["run_id"].as_str().unwrap().to_owned();
    workspace.runner(&["--run-id", &id]).expect_error(5, &["no embedded engine runs here"]);
}

#[test]
fn runs_beyond_the_schedule_timeout_cause_a_warning() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--slots", "1"]);
    // A trial run takes at least 0.5 s, so the last run would wait 10 minutes, twice the schedule timeout.
    let args = ["--tasks", "sync-sleep-task", "--input-json", r#"{"seconds":0.5}"#, "--runs", "1200"];
    let program = super::start(&workspace, &args);
    let warning = program.err.wait_for("the last runs of sync-sleep-task will wait about");
    for part in ["for one of 1 slots", "cancelled after 5m", "--run-keys"] {
        assert!(warning.contains(part), "{warning}");
    }
}

#[cfg(feature = "durable")]
#[tokio::test]
async fn keyed_task_is_found_without_a_worker() {
    let workspace = Workspace::new();
    workspace.worker(&["--embedded", "--run-keys"]).stop();
    let engine = workspace.engine();
    let target = Target::at(&workspace.handshake());
    let other = |n: usize| {
        let mut definition = target.definition("other");
        // These names contain the task's name and precede it in the list.
        definition.name = format!("a{n:04}-externally-triggered-task-keyed");
        definition
    };
    let puts = (0..1100).map(async |n| target.put(&other(n)).await);
    futures_util::stream::iter(puts).buffer_unordered(50).for_each(async |_| {}).await;
    let output = bench(&workspace, &["--runs", "3", "--timeout", "4s", "--out", "out"]).expect(4);
    output.expect_stderr("no worker for externally-triggered-task-keyed is online");
    engine.stop().expect(0);
}

#[test]
fn dedupe_is_off_without_keyed_tasks() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let args = ["--runs", "5", "--key-prefix", "p"];
    for out in ["first", "second"] {
        let output = bench(&workspace, &[&args[..], &["--out", out]].concat()).expect(0);
        output.expect_stderr("dedupe of externally-triggered-task is off");
        assert_eq!(summary(&workspace.path(out))["dedupe"]["started"], 5);
    }
}
