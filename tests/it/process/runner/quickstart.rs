//! The quickstart's tasks: input, output, streams and results.

use serde_json::{Value, json};

use crate::process::{Program, Workspace};

#[test]
fn every_task_runs_by_every_name() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded"]);
    let hello = workspace.runner(&["--task-name", "externally-triggered-task"]).expect(0);
    assert_eq!(hello.json(), json!({ "message": "Hello, World!" }));
    let hello = hello.expect_stderr("uses the embedded engine (--embedded) at 127.0.0.1:");
    let id = hello.stderr.iter().find_map(|line| line.strip_prefix("run ")).unwrap();
    assert!(id.ends_with(" of externally-triggered-task"), "{id}");
    hello.expect_stderr("COMPLETED");

    let named = ["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"Ada","from":"elsewhere"}"#];
    let hello = workspace.runner(&named).expect(0);
    assert_eq!(hello.json(), json!({ "message": "Hello, Ada!" }));
    let warning = "warning: --input-json has the unknown field `from`, which is ignored; the known fields are `name`";
    assert_eq!(hello.stderr.iter().filter(|line| *line == warning).count(), 1, "{hello:?}");

    let slept = workspace.runner(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":0.1}"#]).expect(0);
    assert!(slept.json()["slept_seconds"].as_f64().unwrap() >= 0.1, "{slept:?}");
    assert!(slept.json()["thread"].is_string(), "{slept:?}");

    for name in ["cpu-heavy-task", "cpu-heavy-with-process-pool"] {
        let counted = workspace.runner(&["--task-name", name, "--input-json", r#"{"limit":10000}"#]).expect(0);
        assert_eq!(counted.json()["primes"], 1229, "{counted:?}");
    }
    let stopped = worker.stop().expect(0);
    assert!(stopped.stdout.is_empty(), "{stopped:?}");
}

#[test]
fn stream_shows_chunks_in_order_and_the_result() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let args = ["--task-name", "externally-triggered-task", "--stream"];
    let shown = workspace.runner(&args).expect(0);
    // A line is a time, two spaces and the event; the output follows.
    let events: Vec<&str> =
        shown.stdout.iter().filter_map(|line| line.split_once("s  ")).map(|(_, event)| event).collect();
    let chunks: Vec<&&str> = events.iter().filter(|event| event.starts_with("chunk ")).collect();
    assert_eq!(chunks, [&r#"chunk "Hello, ""#, &r#"chunk "World""#, &r#"chunk "!""#], "{shown:?}");
    let logs: Vec<&&str> = events.iter().filter(|event| event.starts_with("log ")).collect();
    assert_eq!(logs, [&"log   greeting World"], "{shown:?}");
    assert_eq!(events.last(), Some(&"COMPLETED"), "{shown:?}");
    assert_eq!(shown.stdout[shown.stdout.len() - 3..].concat(), r#"{  "message": "Hello, World!"}"#);
    let has_note = shown.stderr.iter().any(|line| line.starts_with("note:"));
    assert!(!has_note, "no note is expected: {shown:?}");
}

#[test]
fn json_output_is_one_object_per_line() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let base = ["--task-name", "externally-triggered-task", "--output", "json"];
    let kinds =
        |lines: &[Value]| lines.iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>();

    let waited = workspace.runner(&base).expect(0).json_lines();
    assert_eq!((kinds(&waited).first().unwrap().as_str(), waited[0]["task"].as_str()), ("triggered", Some(base[1])));
    let result = waited.last().unwrap();
    assert_eq!((result["event"].as_str(), result["status"].as_str()), (Some("result"), Some("COMPLETED")));
    assert_eq!((&result["run_id"], &result["output"]["message"]), (&waited[0]["run_id"], &json!("Hello, World!")));

    let streamed = workspace.runner(&[&base[..], &["--stream"]].concat()).expect(0).json_lines();
    let chunks: Vec<&Value> = streamed.iter().filter(|line| line["event"] == "chunk").collect();
    let texts: Vec<&str> = chunks.iter().map(|chunk| chunk["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Hello, ", "World", "!"]);
    assert_eq!(chunks.iter().map(|chunk| chunk["index"].as_i64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(kinds(&streamed).last().unwrap(), "result");
    let logs: Vec<&Value> = streamed.iter().filter(|line| line["event"] == "log").collect();
    assert_eq!(logs.len(), 1, "{streamed:?}");
    assert_eq!(
        (&logs[0]["text"], &logs[0]["level"], &logs[0]["attempt"]),
        (&json!("greeting World"), &json!("INFO"), &json!(1))
    );

    let triggered = workspace.runner(&[&base[..], &["--no-wait"]].concat()).expect(0).json_lines();
    assert_eq!(kinds(&triggered), ["triggered"]);

    let failed = ["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":-1}"#, "--output", "json"];
    let failed = workspace.runner(&failed).expect(1).json_lines();
    let result = failed.last().unwrap();
    assert_eq!((result["status"].as_str(), &result["output"]), (Some("FAILED"), &Value::Null));
    assert!(result["error"].as_str().unwrap().contains("invalid seconds \"-1\""), "{result}");
}

#[test]
fn failed_run_is_exit_1() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let failed = workspace.runner(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":-1}"#]).expect(1);
    assert!(failed.stdout.is_empty(), "{failed:?}");
    failed.expect_stderr("FAILED").expect_stderr("invalid seconds \"-1\": 0 to 3600");
}

#[test]
fn quiet_runner_prints_the_result_only() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let hello = workspace.runner(&["--task-name", "externally-triggered-task", "-q"]).expect(0);
    assert_eq!(hello.json(), json!({ "message": "Hello, World!" }));
    assert!(hello.stderr.is_empty(), "{hello:?}");
    let args = ["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":-1}"#, "--quiet"];
    let failed = workspace.runner(&args).expect(1).expect_stderr("invalid seconds \"-1\"");
    assert!(!failed.stderr.concat().contains("RUNNING"), "{failed:?}");
}

#[test]
fn input_is_read_from_a_file_or_stdin() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    workspace.write("input.json", r#"{"name": "file"}"#);
    let base = ["--embedded", "--task-name", "externally-triggered-task", "--input-file"];
    let from_file =
        Program::start(&mut workspace.runner_command(&[&base[..], &["input.json"]].concat())).wait().expect(0);
    assert_eq!(from_file.json(), json!({ "message": "Hello, file!" }));
    let mut command = workspace.runner_command(&[&base[..], &["-"]].concat());
    command.stdin(std::fs::File::open(workspace.path("input.json")).unwrap());
    assert_eq!(Program::start(&mut command).wait().expect(0).json(), json!({ "message": "Hello, file!" }));
    workspace.write("marked.json", "\u{feff}{\"name\": \"mark\"}");
    let marked =
        Program::start(&mut workspace.runner_command(&[&base[..], &["marked.json"]].concat())).wait().expect(0);
    assert_eq!(marked.json(), json!({ "message": "Hello, mark!" }));
}

#[test]
fn list_tasks_needs_no_connection() {
    let workspace = Workspace::new();
    let run = |args: &[&str]| Program::start(&mut workspace.runner_command(args)).wait();
    let human = run(&["--list-tasks"]).expect(0);
    assert!(human.stderr.is_empty(), "{human:?}");
    let samples = ["externally-triggered-task", "sync-sleep-task", "cpu-heavy-task"];
    let mut heads: Vec<&String> = human.stdout.iter().filter(|line| !line.starts_with(' ')).collect();
    // A user may have added tasks.
    heads.retain(|head| samples.iter().any(|name| head.split(' ').next() == Some(name)));
    assert_eq!(
        heads,
        [
            "externally-triggered-task  [async]",
            "sync-sleep-task  [blocking]",
            "cpu-heavy-task  [cpu]  (also cpu-heavy-with-process-pool)"
        ]
    );
    let mut tasks = run(&["--list-tasks", "--output", "json"]).expect(0).json_lines();
    assert!(tasks.iter().all(|task| task["input_schema"].is_object()), "{tasks:?}");
    tasks.retain(|task| samples.iter().any(|name| task["name"] == *name));
    assert_eq!(
        tasks.iter().map(|task| task["kind"].as_str().unwrap()).collect::<Vec<_>>(),
        ["async", "blocking", "cpu"]
    );
    for task in &tasks {
        assert!(task["input_schema"]["properties"].is_object() && task["default_input"].is_object(), "{task}");
    }
    let by_alias = run(&["--list-tasks", "--task-name", "cpu-heavy-with-process-pool", "--output", "json"]).expect(0);
    assert_eq!((by_alias.json_lines().len(), &by_alias.json_lines()[0]["name"]), (1, &json!("cpu-heavy-task")));
    let files = std::fs::read_dir(workspace.path(".")).unwrap().count();
    assert_eq!(files, 0, "no files are created");
}

#[test]
fn metadata_and_priority_reach_the_engine() {
    let workspace = Workspace::new();
    // With one slot, the queue determines the order.
    let _worker = workspace.worker(&["--embedded", "--slots", "1"]);
    let sleep = |seconds: &str, more: &[&str]| {
        let input = format!(r#"{{"seconds":{seconds}}}"#);
        workspace.trigger(&[&["--task-name", "sync-sleep-task", "--input-json", &input], more].concat())
    };
    let first = sleep("600", &[]);
    let low = sleep("30", &["--priority", "1", "--metadata", "team=blue", "--metadata", "note=a=b"]);
    let high = sleep("0", &["--priority", "3"]);
    workspace.runner(&["--run-id", &first, "--cancel"]).expect(0);
    workspace.runner(&["--run-id", &high]).expect(0);
    assert!(workspace.details(&first).done && !workspace.details(&low).done);
    let metadata: Value = serde_json::from_str(&workspace.details(&low).additional_metadata).unwrap();
    assert_eq!((&metadata["team"], &metadata["note"]), (&json!("blue"), &json!("a=b")));
}
