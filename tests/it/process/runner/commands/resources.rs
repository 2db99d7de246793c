//! `runner workers list`, `runner workflows list`, and flags of all commands.

use serde_json::json;

use super::OtherProgram;
use crate::process::{Program, Workspace};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn workers_are_listed_with_slots_and_tasks() {
    let mut other = OtherProgram::start().await;
    let human = other.runner(&["workers", "list"]).expect(0);
    assert_eq!(human.stdout.len(), 2, "{human:?}");
    for part in ["ACTIVE", "0/100", "report"] {
        assert!(human.stdout[1].contains(part), "no {part}: {human:?}");
    }
    let lines = other.runner(&["workers", "list", "-o", "json"]).expect(0).json_lines();
    assert_eq!((&lines[0]["status"], &lines[0]["tasks"]), (&json!("ACTIVE"), &json!(["report"])));
    assert_eq!(lines[0]["slots"]["default"], json!({ "free": 100, "limit": 100 }));
    assert!(lines[0]["worker_id"].is_string() && lines[0]["created_at"].is_string(), "{lines:?}");

    other.worker.take().unwrap().stop().await.unwrap();
    let online = other.runner(&["workers", "list", "-o", "json"]).expect(0);
    assert!(online.stdout.is_empty(), "{online:?}");
    let all = other.runner(&["workers", "list", "--all", "-o", "json"]).expect(0).json_lines();
    assert_eq!((all.len(), &all[0]["status"]), (1, &json!("INACTIVE")), "paused and stopped: {all:?}");
    assert_eq!(all[0]["worker_id"], lines[0]["worker_id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn workflows_are_listed_and_searched() {
    let other = OtherProgram::start().await;
    let human = other.runner(&["workflows", "list"]).expect(0);
    assert!(human.stdout[1].starts_with("report") && human.stdout[1].ends_with("Writes a report."), "{human:?}");
    assert!(human.stdout[1].contains("active"), "{human:?}");
    let lines = other.runner(&["workflows", "list", "--search", "REP", "-o", "json"]).expect(0).json_lines();
    assert_eq!((lines.len(), &lines[0]["name"], &lines[0]["paused"]), (1, &json!("report"), &json!(false)));
    let none =
        other.runner(&["workflows", "list", "--search", "zzz"]).expect(0).expect_stderr("no workflow is selected");
    assert!(none.stdout.is_empty(), "{none:?}");
}

#[test]
fn quiet_command_prints_data_only() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    let listed = workspace.runner(&["workflows", "list", "-q", "-o", "json"]).expect(0);
    assert!(listed.stderr.is_empty() && listed.stdout.is_empty(), "{listed:?}");
    workspace.runner(&["workflows", "list", "--timeout", "0"]).expect_error(4, &["--timeout 0 leaves no time"]);
    workspace.runner(&["workflows", "list", "--timeout", "soon"]).expect(2).expect_stderr("such as 500ms");
    // Flags of the runner before a command are refused, except for the connection flags.
    workspace.runner(&["--stream", "runs", "list"]).expect(2).expect_stderr("does not apply to `runs`");
    workspace.runner(&["runs"]).expect(2).expect_stderr("Usage: runner runs");
    Program::start(&mut workspace.runner_command(&["-e", "runs", "list"])).wait().expect(0);
}

#[test]
fn invalid_number_names_its_rule() {
    let workspace = Workspace::new();
    let run = "01234567-89ab-cdef-0123-456789abcdef";
    for args in [
        &["runs", "list", "-n", "-1"][..],
        &["workflows", "list", "--limit", "many"],
        &["runs", "logs", run, "--tail", "-5"],
    ] {
        workspace.runner(args).expect(2).expect_stderr("set it to a whole number, such as 50");
    }
    let priority = ["events", "push", "key", "--priority", "-1"];
    workspace.runner(&priority).expect(2).expect_stderr("set it to a number from 1 to 3");
}

/// A command in a message has the flags that select the engine.
#[test]
fn suggested_commands_use_the_same_engine() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    workspace.runner(&["cron", "list"]).expect(0).expect_stderr("`runner cron create --embedded");
    workspace.runner(&["scheduled", "list"]).expect(0).expect_stderr("`runner scheduled create --embedded");
}
