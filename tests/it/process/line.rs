//! The whole line: trigger, run, result.

use serde_json::{Value, json};

use super::{Place, Program};

#[test]
fn every_task_by_every_name() {
    let place = Place::new();
    let worker = place.worker(&["--embedded"]);
    let hello = place.runner(&["--task-name", "externally-triggered-task"]).expect(0);
    assert_eq!(hello.json(), json!({ "message": "Hello, World!" }));
    let hello = hello.expect_said("uses the embedded engine (--embedded) at 127.0.0.1:");
    let id = hello.stderr.iter().find_map(|line| line.strip_prefix("run ")).unwrap();
    assert!(id.ends_with(" of externally-triggered-task"), "{id}");
    hello.expect_said("COMPLETED");

    let named = ["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"Ada","from":"elsewhere"}"#];
    assert_eq!(place.runner(&named).expect(0).json(), json!({ "message": "Hello, Ada!" }));

    let slept = place.runner(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":0.1}"#]).expect(0);
    assert!(slept.json()["slept_seconds"].as_f64().unwrap() >= 0.1, "{slept:?}");
    assert!(slept.json()["thread"].is_string(), "{slept:?}");

    for name in ["cpu-heavy-task", "cpu-heavy-with-process-pool"] {
        let counted = place.runner(&["--task-name", name, "--input-json", r#"{"limit":10000}"#]).expect(0);
        assert_eq!(counted.json()["primes"], 1229, "{counted:?}");
    }
    let stopped = worker.stop().expect(0);
    assert!(stopped.stdout.is_empty(), "{stopped:?}");
}

#[test]
fn a_stream_shows_chunks_in_order_and_the_end() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let words = ["--task-name", "externally-triggered-task", "--stream"];
    let shown = place.runner(&words).expect(0);
    // A line of events is a time, two spaces and what happened; the output follows.
    let events: Vec<&str> =
        shown.stdout.iter().filter_map(|line| line.split_once("s  ")).map(|(_, event)| event).collect();
    let chunks: Vec<&&str> = events.iter().filter(|event| event.starts_with("chunk ")).collect();
    assert_eq!(chunks, [&r#"chunk "Hello, ""#, &r#"chunk "World""#, &r#"chunk "!""#], "{shown:?}");
    assert_eq!(events.last(), Some(&"COMPLETED"), "{shown:?}");
    assert_eq!(shown.stdout[shown.stdout.len() - 3..].concat(), r#"{  "message": "Hello, World!"}"#);
    let clean = !shown.stderr.iter().any(|line| line.starts_with("note:"));
    assert!(clean, "nothing was missed, so nothing is to be noted: {shown:?}");
}

#[test]
fn json_is_an_object_a_line_and_nothing_else() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let base = ["--task-name", "externally-triggered-task", "--output", "json"];
    let kinds =
        |lines: &[Value]| lines.iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>();

    let waited = place.runner(&base).expect(0).json_lines();
    assert_eq!((kinds(&waited).first().unwrap().as_str(), waited[0]["task"].as_str()), ("triggered", Some(base[1])));
    let result = waited.last().unwrap();
    assert_eq!((result["event"].as_str(), result["status"].as_str()), (Some("result"), Some("COMPLETED")));
    assert_eq!((&result["run_id"], &result["output"]["message"]), (&waited[0]["run_id"], &json!("Hello, World!")));

    let streamed = place.runner(&[&base[..], &["--stream"]].concat()).expect(0).json_lines();
    let chunks: Vec<&Value> = streamed.iter().filter(|line| line["event"] == "chunk").collect();
    let texts: Vec<&str> = chunks.iter().map(|chunk| chunk["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Hello, ", "World", "!"]);
    assert_eq!(chunks.iter().map(|chunk| chunk["index"].as_i64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(kinds(&streamed).last().unwrap(), "result");

    let left = place.runner(&[&base[..], &["--no-wait"]].concat()).expect(0).json_lines();
    assert_eq!(kinds(&left), ["triggered"]);

    let failed = ["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":-1}"#, "--output", "json"];
    let failed = place.runner(&failed).expect(1).json_lines();
    let result = failed.last().unwrap();
    assert_eq!((result["status"].as_str(), &result["output"]), (Some("FAILED"), &Value::Null));
    assert!(result["error"].as_str().unwrap().contains("seconds is -1"), "{result}");
}

#[test]
fn a_failed_run_is_exit_1_with_the_error() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let failed = place.runner(&["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":-1}"#]).expect(1);
    assert!(failed.stdout.is_empty(), "{failed:?}");
    failed.expect_said("FAILED").expect_said("seconds is -1: it goes from 0 to 3600");
}

#[test]
fn input_comes_from_a_file_or_stdin() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    place.write("input.json", r#"{"name": "file"}"#);
    let base = ["--embedded", "--task-name", "externally-triggered-task", "--input-file"];
    let from_file = Program::start(&mut place.runner_command(&[&base[..], &["input.json"]].concat())).wait().expect(0);
    assert_eq!(from_file.json(), json!({ "message": "Hello, file!" }));
    let mut command = place.runner_command(&[&base[..], &["-"]].concat());
    command.stdin(std::fs::File::open(place.path("input.json")).unwrap());
    assert_eq!(Program::start(&mut command).wait().expect(0).json(), json!({ "message": "Hello, file!" }));
}

#[test]
fn tasks_are_listed_without_connection_or_settings() {
    let place = Place::new();
    let run = |words: &[&str]| Program::start(&mut place.runner_command(words)).wait();
    let human = run(&["--list-tasks"]).expect(0);
    assert!(human.stderr.is_empty(), "{human:?}");
    let samples = ["externally-triggered-task", "sync-sleep-task", "cpu-heavy-task"];
    let mut heads: Vec<&String> = human.stdout.iter().filter(|line| !line.starts_with(' ')).collect();
    // Beside the quickstart's there may be others.
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
    let one = run(&["--list-tasks", "--task-name", "cpu-heavy-with-process-pool", "--output", "json"]).expect(0);
    assert_eq!((one.json_lines().len(), &one.json_lines()[0]["name"]), (1, &json!("cpu-heavy-task")));
    let left_behind = std::fs::read_dir(place.path(".")).unwrap().count();
    assert_eq!(left_behind, 0, "listing leaves nothing behind");
}

#[test]
fn metadata_and_priority_reach_the_engine() {
    let place = Place::new();
    // One slot, so that the queue decides who is next.
    let _worker = place.worker(&["--embedded", "--slots", "1"]);
    let sleep = |seconds: &str, more: &[&str]| {
        let input = format!(r#"{{"seconds":{seconds}}}"#);
        place.trigger(&[&["--task-name", "sync-sleep-task", "--input-json", &input], more].concat())
    };
    let first = sleep("1", &[]);
    let low = sleep("30", &["--priority", "1", "--metadata", "team=blue", "--metadata", "note=a=b"]);
    let high = sleep("0", &["--priority", "3"]);
    place.runner(&["--run-id", &high]).expect(0);
    assert!(place.details(&first).done && !place.details(&low).done);
    let metadata: Value = serde_json::from_str(&place.details(&low).additional_metadata).unwrap();
    assert_eq!((&metadata["team"], &metadata["note"]), (&json!("blue"), &json!("a=b")));
}
