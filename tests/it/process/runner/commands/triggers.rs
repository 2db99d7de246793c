//! `runner events push`, `runner cron …` and `runner scheduled …`.

use serde_json::{Value, json};

use super::OtherProgram;

const UNKNOWN: &str = "01234567-89ab-cdef-0123-456789abcdef";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pushed_event_starts_a_run() {
    let other = OtherProgram::start().await;
    let pushed = other.runner(&["events", "push", "report:due", "-i", r#"{"title":"e"}"#, "-m", "from=shop"]).expect(0);
    let list = format!("{} --output json", pushed.printed_command("started with "));
    let runs = crate::process::Program::start(&mut other.workspace.shell(&list)).wait().expect(0).json_lines();
    assert_eq!((runs.len(), &runs[0]["task"], &runs[0]["metadata"]["from"]), (1, &json!("report"), &json!("shop")));
    let json = other.runner(&["events", "push", "no:trigger", "-o", "json"]).expect(0).json_lines();
    assert_eq!((&json[0]["event"], &json[0]["key"]), (&json!("pushed"), &json!("no:trigger")));
    assert!(json[0]["event_id"].is_string(), "{json:?}");
    other.runner(&["events", "push", ""]).expect_error(2, &["invalid event key"]);
    other.runner(&["events", "push", "k", "-i", "[]"]).expect_error(2, &["--input-json is a JSON array"]);
    other.runner(&["events", "push", "k", "-m", "x"]).expect(2).expect_stderr("write key=value");
    other.runner(&["events", "push", "k", "--priority", "4"]).expect(2).expect_stderr("a number from 1 to 3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn cron_is_created_listed_changed_and_deleted() {
    let other = OtherProgram::start().await;
    let list = || other.runner(&["cron", "list", "-o", "json"]).expect(0).json_lines();
    other.runner(&["cron", "list"]).expect(0).expect_stderr("create one with");
    let create = |args: &[&str]| other.runner(&[&["cron", "create", "report"], args].concat());
    let input = r#"{"title":"nightly"}"#;
    let id = create(&["nightly", "0 3 * * *", "-i", input, "-m", "k=v", "--priority", "3"]).expect(0).stdout.concat();
    let cron = &list()[0];
    assert_eq!((&cron["cron_id"], &cron["name"], &cron["task"]), (&json!(id), &json!("nightly"), &json!("report")));
    assert_eq!((&cron["expression"], &cron["enabled"]), (&json!("0 3 * * *"), &json!(true)));
    assert_eq!((&cron["input"], &cron["metadata"]["k"]), (&json!({ "title": "nightly" }), &json!("v")));
    other.runner(&["cron", "disable", &id]).expect(0).expect_stderr("is disabled");
    assert_eq!(list()[0]["enabled"], false);
    let human = other.runner(&["cron", "list", "--workflow", "report"]).expect(0);
    assert!(human.stdout[1].contains("disabled") && human.stdout[1].starts_with(&id), "{human:?}");
    let enabled = other.runner(&["cron", "enable", &id, "-o", "json"]).expect(0).json_lines();
    assert_eq!((&enabled[0]["event"], &enabled[0]["cron_id"]), (&json!("enabled"), &json!(id)));
    assert_eq!(list()[0]["enabled"], true);
    other.runner(&["cron", "delete", &id]).expect(0).expect_stderr("is deleted");
    assert!(list().is_empty());

    create(&["n", "nightly", "-i", input]).expect_error(2, &["invalid cron expression"]);
    create(&["n", "0 3 * * *"]).expect_error(2, &["the required field `title` is missing"]);
    for command in ["enable", "disable", "delete"] {
        other.runner(&["cron", command, UNKNOWN]).expect_error(2, &["no cron has the id", "runner cron list"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn run_is_scheduled_listed_and_deleted() {
    let other = OtherProgram::start().await;
    let list = || other.runner(&["scheduled", "list", "-o", "json"]).expect(0).json_lines();
    other.runner(&["scheduled", "list"]).expect(0).expect_stderr("schedule one with");
    let create = |args: &[&str]| other.runner(&[&["scheduled", "create", "report"], args].concat());
    let input = r#"{"title":"later"}"#;
    let id = create(&["--in", "2h", "-i", input, "-m", "k=v"]).expect(0).stdout.concat();
    let at: Vec<Value> = create(&["--at", "2030-01-31T09:00:00Z", "-i", input, "-o", "json"]).expect(0).json_lines();
    assert_eq!(at[0]["event"], "created");
    let lines = list();
    let find = |id: &Value| lines.iter().find(|line| line["schedule_id"] == *id).unwrap();
    let at = find(&at[0]["schedule_id"]);
    assert!(at["trigger_at"].as_str().unwrap().starts_with("2030-01-31T09:00:00"), "{at}");
    assert_eq!((&find(&json!(id))["task"], &find(&json!(id))["metadata"]["k"]), (&json!("report"), &json!("v")));
    let human = other.runner(&["scheduled", "list", "--workflow", "report"]).expect(0);
    let row = human.stdout.iter().find(|line| line.starts_with(&id)).unwrap();
    assert!(row.contains("in 2h"), "{human:?}");
    other.runner(&["scheduled", "delete", &id]).expect(0).expect_stderr("is deleted");
    assert!(list().iter().all(|line| line["schedule_id"] != json!(id)));

    create(&["--in", "1h"]).expect_error(2, &["the required field `title` is missing"]);
    create(&["-i", input]).expect(2).expect_stderr("--at");
    create(&["--at", "tomorrow"]).expect(2).expect_stderr("RFC 3339");
    let parts = ["no scheduled run has the id", "runner scheduled list"];
    other.runner(&["scheduled", "delete", UNKNOWN]).expect_error(2, &parts);
    // A time in the past starts the run immediately.
    create(&["--at", "2020-01-31T09:00:00Z", "-i", input]).expect(0).expect_stderr("starts immediately");
}
