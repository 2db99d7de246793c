//! `runner runs`: lists, shows, watches, cancels and replays runs.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
};

use serde_json::{Value, json};

use super::OtherProgram;
use crate::process::{Program, ProgramOutput, Workspace};

const UNKNOWN: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn texts(lines: &[Value], field: &str) -> Vec<String> {
    lines.iter().map(|line| line[field].as_str().unwrap_or_default().to_owned()).collect()
}

impl OtherProgram {
    /// Runs the task to its end, and returns the id of the run.
    fn report(&self, title: &str, more: &[&str]) -> String {
        let input = json!({ "title": title }).to_string();
        let output = self.runner(&[&["run", "report", "-i", &input, "-o", "json"], more].concat());
        output.json_lines()[0]["run_id"].as_str().unwrap().to_owned()
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
    other.runner(&["runs", "list", "--since", "1w"]).expect(2).expect_stderr("1h30m or 7d");
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
async fn followed_logs_end_with_the_run() {
    let other = OtherProgram::start().await;
    let trigger = || other.workspace.trigger(&["run", "report", "-i", r#"{"title":"held"}"#]);
    let run = trigger();
    let following = other.workspace.start_runner(&["runs", "logs", &run, "--follow"]);
    following.out.wait_for("writing held");
    other.release.notify_one();
    let followed = following.wait().expect(0).expect_stderr("COMPLETED");
    let ends: Vec<bool> =
        followed.stdout.iter().zip(["writing held", "released"]).map(|(l, e)| l.ends_with(e)).collect();
    assert_eq!((followed.stdout.len(), ends), (2, vec![true, true]), "only the lines: {followed:?}");
    let again = other.json(&["runs", "logs", &run, "-f", "--tail", "1"]);
    assert_eq!((again.len(), &again[0]["event"], &again[0]["text"]), (1, &json!("log"), &json!("released")));

    let failed = other.report("fail", &[]);
    let followed = other.runner(&["runs", "logs", &failed, "-f", "-q"]).expect(1).expect_stderr("no paper");
    assert!(followed.stdout.len() == 1 && !followed.stderr.concat().contains("FAILED"), "quiet: {followed:?}");
    let run = trigger();
    let limited = ["runs", "logs", &run, "-f", "--timeout", "1s"];
    other.runner(&limited).expect(4).expect_stderr("has not finished within 1s");
    let following = other.workspace.start_runner(&["runs", "logs", &run, "-f"]);
    following.out.wait_for("writing held");
    other.runner(&["runs", "cancel", &run]).expect(0);
    following.wait().expect(3);
    other.runner(&["runs", "logs", UNKNOWN, "-f"]).expect_error(2, &[UNKNOWN]);
}

/// Responds to one request over a connection of its own.
fn respond(rest: &TcpListener, status: &str, body: &str) {
    let mut stream = BufReader::new(rest.accept().unwrap().0);
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    let length = body.len();
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.get_mut().write_all(response.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn followed_logs_show_why_they_cannot_be_read() {
    let other = OtherProgram::start().await;
    let rest = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", rest.local_addr().unwrap());
    let run = other.workspace.trigger(&["run", "report", "-i", r#"{"title":"held"}"#]);
    let follow = || {
        let mut command = other.workspace.runner_command(&["runs", "logs", &run, "--follow"]);
        command.env("HATCHET_CLIENT_TOKEN", other.workspace.handshake().token);
        command.env("HATCHET_CLIENT_TLS_STRATEGY", "none").env("HATCHET_CLIENT_SERVER_URL", &address);
        let following = Program::start(&mut command);
        respond(&rest, "200 OK", r#"{"rows":[]}"#);
        following
    };
    let refused = follow();
    respond(&rest, "403 Forbidden", r#"{"errors":[{"description":"revoked"}]}"#);
    refused.wait().expect_error(5, &["403", "revoked"]);

    let broken = follow();
    drop(rest);
    broken.err.wait_for("waiting for log lines, which cannot be read: ");
    other.release.notify_one();
    let broken = broken.wait().expect(0).expect_stderr("the last log lines are not shown");
    let notes = broken.stderr.iter().filter(|line| line.contains("waiting for log lines")).count();
    assert_eq!(notes, 1, "{broken:?}");
}

#[test]
fn list_requests_no_more_runs_than_shown() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    let rest = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", rest.local_addr().unwrap());
    for (args, limit) in [(&["runs", "list"][..], "21"), (&["runs", "list", "-n", "5000"], "1000")] {
        let mut command = workspace.runner_command(args);
        command.env("HATCHET_CLIENT_TOKEN", workspace.handshake().token).env("HATCHET_CLIENT_TLS_STRATEGY", "none");
        let listing = Program::start(command.env("HATCHET_CLIENT_SERVER_URL", &address));
        let mut stream = BufReader::new(rest.accept().unwrap().0);
        let mut request = String::new();
        stream.read_line(&mut request).unwrap();
        assert!(request.contains(&format!("limit={limit}&")), "{request}");
        let response = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"rows\":[]}";
        stream.get_mut().write_all(response.as_bytes()).unwrap();
        listing.wait().expect(0).expect_stderr("no run is selected");
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
    Program::start(&mut other.workspace.shell(&watch)).wait().expect(0);
    assert_eq!(attempts(&done), 2);
    let lines = other.json(&["runs", "replay", "--status", "failed", "-m", "team=red"]);
    assert_eq!((&lines[0]["event"], &lines[0]["run_ids"]), (&json!("replayed"), &json!([failed])));
    other.runner(&["runs", "watch", &failed]).expect(1);
    assert_eq!(attempts(&failed), 2);
    assert_eq!(other.json(&["runs", "replay", "-m", "team=none"])[0]["count"], 0);
    other.runner(&["runs", "replay", UNKNOWN]).expect_error(2, &["runner runs list"]);
    other.runner(&["runs", "replay"]).expect(2).expect_stderr("required");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn runs_that_are_not_replayed_or_cancelled_are_named() {
    let other = OtherProgram::start().await;
    let (done, open) =
        (other.report("a", &[]), other.workspace.trigger(&["run", "report", "-i", r#"{"title":"held"}"#]));
    let not_finished = format!("replaying 1 of 1 run failed: {open} has not finished");
    other.runner(&["runs", "replay", &open]).expect_error(2, &[&not_finished, "runner runs list"]);
    let replayed = other.runner(&["runs", "replay", &done, UNKNOWN, &open, &done, "-o", "json"]).expect(2);
    assert_eq!((&replayed.json_lines()[0]["count"], &replayed.json_lines()[0]["run_ids"]), (&json!(1), &json!([done])));
    let causes = format!("2 of 3 runs failed: the engine does not know {UNKNOWN}; {open} has not finished");
    replayed.expect_stderr(&causes);
    other.runner(&["runs", "watch", &done]).expect(0);

    let cancelled = other.runner(&["runs", "cancel", &open, UNKNOWN, &done, &open]).expect(2);
    assert_eq!(cancelled.stdout, [open.as_str()]);
    let cancelled = cancelled.expect_stderr("1 of 3 runs have finished");
    cancelled.expect_stderr(&format!("cancelling 1 of 3 runs failed: the engine does not know {UNKNOWN}"));
    other.runner(&["runs", "watch", &open]).expect(3);
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
fn runs_of_other_namespaces_are_not_selected() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let _in_namespace = workspace.worker(&["--embedded", "--namespace", "own"]);
    let other = sleep(&workspace, "team=a");
    let input = ["-i", r#"{"seconds":600}"#, "-m", "team=a", "--namespace", "own"];
    let own = workspace.trigger(&[&["run", "sync-sleep-task"], &input[..]].concat());
    let cancel = ["runs", "cancel", "-m", "team=a", "--namespace"];
    workspace.runner(&[&cancel[..], &["none"]].concat()).expect_error(8, &["namespace `none_`"]);
    let cancelled = workspace.runner(&[&cancel[..], &["own"]].concat()).expect(0);
    assert_eq!(cancelled.stdout, [own]);
    let listed = workspace.runner(&["runs", "list", "--status", "queued,running", "-o", "json"]).expect(0);
    assert_eq!(texts(&listed.json_lines(), "run_id"), [other]);
}

#[test]
fn streamed_watch_shows_log_lines() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let run = workspace.trigger(&["run", "sync-sleep-task", "-i", r#"{"seconds":1}"#]);
    let watched = workspace.runner(&["runs", "watch", &run, "--stream", "-o", "json"]).expect(0);
    assert_eq!(watched.json_lines().last().unwrap()["event"], "result", "{watched:?}");
}
