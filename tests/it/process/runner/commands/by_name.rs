//! `runner run`: tasks of this program, and of others.

use serde_json::json;

use super::OtherProgram;
use crate::process::Workspace;

#[test]
fn run_is_the_same_as_task_name() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let hello = workspace.runner(&["run", "externally-triggered-task", "-i", r#"{"name":"Ada"}"#]).expect(0);
    assert_eq!(hello.json(), json!({ "message": "Hello, Ada!" }));
    let id = workspace.runner(&["run", "externally-triggered-task", "--no-wait", "-m", "team=a"]).expect(0);
    workspace.runner(&["--find", "team=a", "--no-wait"]).expect(0).stdout.iter().for_each(|found| {
        assert_eq!(*found, id.stdout[0]);
    });
    let streamed = workspace.runner(&["run", "externally-triggered-task", "--stream", "-o", "json"]).expect(0);
    assert!(streamed.json_lines().iter().any(|line| line["event"] == "chunk"), "{streamed:?}");
    workspace.runner(&["run", "sync-sleep-task", "-i", r#"{"seconds":-1}"#]).expect(1);
    let slept = ["run", "sync-sleep-task", "-i", r#"{"seconds":30}"#, "--timeout", "2s"];
    workspace.runner(&slept).expect_error(4, &["has not finished within 2s"]);
    workspace.runner(&["run", "cpu-heavy-task", "-i", r#"{"limit":"x"}"#]).expect_error(2, &["field `limit`"]);
    workspace.runner(&["run", "cpu-heavy-task", "--priority", "9"]).expect_error(2, &["invalid --priority"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn task_of_another_program_runs_by_its_name() {
    let other = OtherProgram::start().await;
    let output = other.runner(&["run", "report", "-i", r#"{"title":"a","pages":2}"#]).expect(0);
    assert_eq!(output.json(), json!({ "title": "a", "pages": 2 }));
    other.workspace.write("report.json", r#"{"title":"b"}"#);
    let lines = other.runner(&["run", "report", "-f", "report.json", "-o", "json"]).expect(0).json_lines();
    assert_eq!((&lines[0]["event"], &lines[0]["task"]), (&json!("triggered"), &json!("report")));
    assert_eq!(lines.last().unwrap()["output"], json!({ "title": "b", "pages": 0 }));
    other.runner(&["run", "report", "-i", r#"{"title":"fail"}"#]).expect(1).expect_stderr("no paper");
    // The old flag knows only the tasks of the runner.
    other.runner(&["--task-name", "report"]).expect_error(2, &["no task is called `report`"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn input_is_validated_by_the_registered_schema() {
    let other = OtherProgram::start().await;
    for (input, rule) in [
        ("{}", "the required field `title` is missing"),
        (r#"{"title":1}"#, "field `title` is integer, but must be string"),
        (r#"{"title":"a","pages":"two"}"#, "field `pages` is string, but must be integer"),
        ("[]", "--input-json is a JSON array"),
    ] {
        other.runner(&["run", "report", "-i", input]).expect_error(2, &[rule]);
    }
    let missing = other.runner(&["run", "report"]).expect_error(2, &["the default input of report does not fit"]);
    let get = missing.printed_command("see its fields with ");
    let shown = crate::process::Program::start(&mut other.workspace.shell(&get)).wait().expect(0);
    let shown: Vec<&str> = shown.stdout.iter().map(|line| line.trim_end()).collect();
    assert!(shown.contains(&"    title  string   yes") && shown.contains(&"    pages  integer  no"), "{shown:?}");
    let unknown = other.runner(&["run", "report", "-i", r#"{"title":"a","pagse":1}"#]).expect(0);
    unknown
        .expect_stderr("warning: --input-json has the field `pagse`, which the schema of the task does not have; did");
    let json = other.runner(&["workflows", "get", "report", "-o", "json"]).expect(0).json_lines();
    assert_eq!(json[0]["input_schema"]["required"], json!(["title"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn unknown_name_is_exit_8_with_the_names_that_exist() {
    let other = OtherProgram::start().await;
    let parts = ["no workflow is called `reprot`; did you mean `report`?", "Registered with the engine are report"];
    other.runner(&["run", "reprot"]).expect_error(8, &parts);
    other.runner(&["workflows", "get", "reprot"]).expect_error(8, &parts);
    other.runner(&["runs", "list", "--workflow", "reprot"]).expect_error(8, &parts);
    other.runner(&["cron", "create", "reprot", "n", "0 3 * * *"]).expect_error(8, &parts);
    other.runner(&["scheduled", "create", "reprot", "--in", "1h"]).expect_error(8, &parts);
}

#[test]
fn missing_engine_is_exit_5() {
    let workspace = Workspace::new();
    for args in [&["run", "report"][..], &["runs", "list"], &["workers", "list"], &["events", "push", "k"]] {
        workspace.runner(args).expect_error(5, &["no embedded engine runs here", "worker --embedded"]);
    }
}
