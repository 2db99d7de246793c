//! `runner runs …`.

use serde_json::{Value, json};

use super::OtherProgram;
use crate::process::{ProgramOutput, Workspace};

const UNKNOWN: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn texts(lines: &[Value], field: &str) -> Vec<String> {
    lines.iter().map(|line| line[field].as_str().unwrap_or_default().to_owned()).collect()
}

impl OtherProgram {
    /// Runs the task to its end, and returns the id of the run.
    fn report(&self, title: &str, more: &[&str]) -> String {
        let input = json!({ "title": title }).to_string();
        let ended = self.runner(&[&["run", "report", "-i", &input, "-o", "json"], more].concat());
        ended.json_lines()[0]["run_id"].as_str().unwrap().to_owned()
    }

    fn json(&self, args: &[&str]) -> Vec<Value> {
        self.runner(&[args, &["-o", "json"]].concat()).expect(0).json_lines()
    }
}

/// The columns of a row of a table.
fn columns(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn list_selects_and_shows_runs() {
    let other = OtherProgram::start().await;
    let empty = other.runner(&["runs", "list"]).expect(0).expect_stderr("look further back with --since");
    assert!(empty.stdout.is_empty(), "{empty:?}");
    let (done, failed) = (other.report("a", &["-m", "team=blue"]), other.report("fail", &["-m", "team=red"]));

    let human = other.runner(&["runs", "list"]).expect(0);
    assert_eq!(columns(&human.stdout[0]), ["ID", "STATUS", "TASK", "CREATED", "DURATION"]);
    let row = columns(&human.stdout[1]);
    assert_eq!(row[..3], [&*failed, "FAILED", "report"], "most recent first: {human:?}");
    assert!(row[3] == "now" || row[3].ends_with("s ago"), "{row:?}");
    assert_eq!(human.stdout.len(), 3, "{human:?}");
    assert_eq!(human.stdout[0].find("TASK"), human.stdout[2].find("report"), "aligned: {human:?}");

    let lines = other.json(&["runs", "list"]);
    assert_eq!(texts(&lines, "run_id"), [failed.as_str(), &done]);
    assert_eq!((&lines[1]["status"], &lines[1]["task"]), (&json!("COMPLETED"), &json!("report")));
    assert!(lines[0]["error"].as_str().unwrap().contains("no paper"), "{lines:?}");
    assert_eq!(lines[1]["metadata"]["team"], "blue");
    let ids = |args: &[&str]| texts(&other.json(&[&["runs", "list"], args].concat()), "run_id");
    assert_eq!(ids(&["--status", "completed,running"]), [done.as_str()]);
    assert_eq!(ids(&["-m", "team=red", "--workflow", "report"]), [failed.as_str()]);
    assert!(ids(&["--since", "0"]).is_empty());
    assert_eq!(ids(&["--limit", "1"]), [failed.as_str()]);
    other.runner(&["runs", "list", "-n", "1"]).expect(0).expect_stderr("the latest 1 runs are shown");
    other.runner(&["runs", "list", "--status", "done"]).expect(2).expect_stderr("queued, running, completed");
    other.runner(&["runs", "list", "--since", "1w"]).expect(2).expect_stderr("such as 30m, 12h or 7d");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn get_shows_a_run() {
    let other = OtherProgram::start().await;
    let (done, failed) = (other.report("a", &["-m", "team=blue"]), other.report("fail", &[]));
    let human = other.runner(&["runs", "get", &done]).expect(0);
    let field = |name: &str| {
        let line = human.stdout.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{human:?}"));
        line.trim().to_owned()
    };
    assert_eq!((field("run"), field("task"), field("status")), (done.clone(), "report".into(), "COMPLETED".into()));
    assert_eq!(field("metadata"), r#"{"team":"blue"}"#, "without the client's own key");
    assert_eq!((field("input"), field("output")), (r#"{"title":"a"}"#.into(), r#"{"title":"a","pages":0}"#.into()));
    let json = &other.json(&["runs", "get", &failed])[0];
    assert_eq!((&json["status"], &json["done"], &json["output"]), (&json!("FAILED"), &json!(true), &Value::Null));
    assert!(json["error"].as_str().unwrap().contains("no paper"), "{json}");
    assert_eq!((&json["tasks"][0]["task"], &json["input"]), (&json!("report"), &json!({ "title": "fail" })));
    assert!(json["created_at"].is_string() && json["finished_at"].is_string(), "{json}");
    other.runner(&["runs", "get", UNKNOWN]).expect_error(2, &[UNKNOWN]);
    other.runner(&["runs", "get", "x"]).expect(2).expect_stderr("expected a UUID");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn logs_and_events_show_the_history() {
    let other = OtherProgram::start().await;
    let failed = other.report("fail", &[]);
    let logs = other.runner(&["runs", "logs", &failed]).expect(0);
    assert!(logs.stdout[0].ends_with("INFO   writing fail"), "{logs:?}");
    let lines = other.json(&["runs", "logs", &failed, "--tail", "1"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!((&line["event"], &line["text"]), (&json!("log"), &json!("writing fail")));
    assert_eq!((&line["level"], &line["attempt"], &line["task"]), (&json!("INFO"), &json!(1), &json!("report")));
    assert!(other.json(&["runs", "logs", &failed, "--tail", "0"]).is_empty());

    let events = other.json(&["runs", "events", &failed]);
    let types = texts(&events, "type");
    let position = |name: &str| types.iter().position(|t| t == name).unwrap_or_else(|| panic!("no {name}: {types:?}"));
    assert!(position("QUEUED") < position("STARTED") && position("STARTED") < position("FAILED"), "{types:?}");
    assert!(events[position("FAILED")]["error"].as_str().unwrap().contains("no paper"), "{events:?}");
    assert!(events[position("STARTED")]["worker_id"].is_string(), "{events:?}");
    let human = other.runner(&["runs", "events", &failed]).expect(0);
    assert_eq!(columns(&human.stdout[0]), ["TIME (UTC)", "EVENT", "ATTEMPT", "TASK", "MESSAGE"]);
    assert_eq!(human.stdout.len(), events.len() + 1);
    for command in ["logs", "events"] {
        other.runner(&["runs", command, UNKNOWN]).expect_error(2, &[UNKNOWN]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn replay_runs_a_run_again() {
    let other = OtherProgram::start().await;
    let (failed, done) = (other.report("fail", &["-m", "team=red"]), other.report("a", &["-m", "team=red"]));
    let attempts =
        |run: &str| texts(&other.json(&["runs", "events", run]), "type").iter().filter(|t| *t == "STARTED").count();
    assert_eq!(attempts(&done), 1);
    let replayed = other.runner(&["runs", "replay", &done]).expect(0);
    assert_eq!(replayed.stdout, [done.as_str()]);
    let watch = replayed.printed_command("follow each with ").replace("ID", &done);
    crate::process::Program::start(&mut other.workspace.shell(&watch)).wait().expect(0);
    assert_eq!(attempts(&done), 2);
    let lines = other.json(&["runs", "replay", "--status", "failed", "-m", "team=red"]);
    assert_eq!((&lines[0]["event"], &lines[0]["run_ids"]), (&json!("replayed"), &json!([failed])));
    other.runner(&["runs", "watch", &failed]).expect(1);
    assert_eq!(attempts(&failed), 2);
    assert_eq!(other.json(&["runs", "replay", "-m", "team=none"])[0]["count"], 0);
    other.runner(&["runs", "replay", UNKNOWN]).expect_error(2, &["runner runs list"]);
    other.runner(&["runs", "replay"]).expect(2).expect_stderr("required");
}

fn sleep(workspace: &Workspace, pair: &str) -> String {
    workspace.trigger(&["run", "sync-sleep-task", "-i", r#"{"seconds":600}"#, "-m", pair])
}

#[test]
fn watch_follows_and_cancel_ends_runs() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let first = sleep(&workspace, "team=a");
    let watching = workspace.start_runner(&["runs", "watch", &first]);
    watching.err.wait_for("RUNNING");
    workspace.runner(&["runs", "cancel", &first]).expect(0).expect_stderr("CANCELLED");
    watching.wait().expect(3);
    workspace.runner(&["runs", "watch", UNKNOWN]).expect_error(2, &[UNKNOWN]);
    workspace.runner(&["runs", "watch", &sleep(&workspace, "team=w"), "--timeout", "100ms"]).expect(4);

    let several = [sleep(&workspace, "team=b"), sleep(&workspace, "team=b"), first];
    let args: Vec<&str> = ["runs", "cancel"].into_iter().chain(several.iter().map(String::as_str)).collect();
    let cancelled = workspace.runner(&args).expect(0).expect_stderr("1 of 3 runs have finished");
    assert_eq!(cancelled.stdout, several[..2]);
    let again: ProgramOutput = workspace.runner(&[&args[..], &["-o", "json"]].concat()).expect(0);
    assert_eq!((&again.json_lines()[0]["event"], &again.json_lines()[0]["count"]), (&json!("cancelled"), &json!(0)));
    let by_metadata = sleep(&workspace, "team=c");
    let cancelled = workspace.runner(&["runs", "cancel", "-m", "team=c"]).expect(0);
    assert_eq!(cancelled.stdout, [by_metadata]);
    workspace.runner(&["runs", "cancel"]).expect(2).expect_stderr("<ID>");
}

#[test]
fn streamed_watch_shows_log_lines() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let run = workspace.trigger(&["run", "sync-sleep-task", "-i", r#"{"seconds":1}"#]);
    let watched = workspace.runner(&["runs", "watch", &run, "--stream", "-o", "json"]).expect(0);
    assert_eq!(watched.json_lines().last().unwrap()["event"], "result", "{watched:?}");
}
