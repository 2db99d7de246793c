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
    // An engine lists a worker that has stopped as paused or inactive, or removes it.
    let online = other.runner(&["workers", "list", "-o", "json"]).expect(0).json_lines();
    assert!(online.iter().all(|worker| worker["status"] == "PAUSED"), "{online:?}");
    let all = other.runner(&["workers", "list", "--all", "-o", "json"]).expect(0).json_lines();
    assert!(all.len() >= online.len() && all.iter().all(|worker| worker["status"] != "ACTIVE"), "{all:?}");
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
    // Flags of the runner before a command are refused, except for those of the connection.
    workspace.runner(&["--stream", "runs", "list"]).expect(2).expect_stderr("does not apply to `runs`");
    workspace.runner(&["runs"]).expect(2).expect_stderr("Usage: runner runs");
    Program::start(&mut workspace.runner_command(&["-e", "runs", "list"])).wait().expect(0);
}
