//! Invalid input: the error line, the exit code, and an empty stdout.

use crate::{
    fake::token,
    process::{Program, Workspace},
};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

#[test]
fn invalid_argument_is_reported() {
    let workspace = Workspace::new();
    let input = |json: &'static str| [&HELLO[..], &["--input-json", json]].concat();
    for (args, parts) in [
        (
            vec!["--task-name", "sync-slep-task"],
            &["`sync-slep-task`", "did you mean `sync-sleep-task`?", "--list-tasks"][..],
        ),
        (vec!["--task-name", "zzz"], &["no task is called `zzz`", "sync-sleep-task, cpu-heavy-task", "--list-tasks"]),
        (input("{"), &["--input-json is not JSON"]),
        (input(""), &["--input-json is not JSON"]),
        (input("[1]"), &["--input-json", "JSON array", "objects"]),
        (input("null"), &["--input-json", "null", "objects"]),
        (input(r#"{"name":7}"#), &["--input-json", "field `name`", "--list-tasks"]),
        (input(r#"{"name":"a\u0000b"}"#), &["--input-json", "NUL"]),
        ([&HELLO[..], &["--input-file", "missing.json"]].concat(), &["--input-file", "missing.json", "failed"]),
        ([&HELLO[..], &["--input-file", "-"]].concat(), &["--input-file -", "not JSON"]),
        ([&HELLO[..], &["--metadata", "x"]].concat(), &[r#"invalid --metadata "x""#, "key=value"]),
        ([&HELLO[..], &["--priority", "9"]].concat(), &[r#"invalid --priority "9""#, "1 to 3"]),
        ([&HELLO[..], &["--timeout", "soon"]].concat(), &["--timeout", "soon", "30s"]),
        (vec!["--run-id", "x"], &["--run-id", "x"]),
    ] {
        let output = workspace.runner(&args).expect_error(2, parts);
        assert_eq!(output.stderr.len(), 1, "{args:?}: {output:?}");
    }
}

#[test]
fn invalid_usage_is_exit_2() {
    let workspace = Workspace::new();
    for args in [
        &[][..],
        &["--no-such-flag"],
        &["--cancel"],
        &["--task-name", "x", "--run-id", "y"],
        &["--run-id", "y", "--input-json", "{}"],
        &["--task-name", "x", "--output", "xml"],
    ] {
        let output = Program::start(&mut workspace.runner_command(args)).wait().expect(2);
        assert!(output.stderr[0].starts_with("error: ") && output.stdout.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn invalid_setting_is_reported() {
    let workspace = Workspace::new();
    for (args, name, value, parts) in [
        (&["--slots", "0"][..], "", "", &["HATCHET_WORKER_SLOTS", "--slots", "1 to 10000"][..]),
        (&["--slots", "many"], "", "", &["HATCHET_WORKER_SLOTS", "\"many\""]),
        (&[], "HATCHET_WORKER_SLOTS", "-1", &["HATCHET_WORKER_SLOTS", "the environment"]),
        (&["--cpu-threads", "0"], "", "", &["HATCHET_WORKER_CPU_THREADS", "--cpu-threads"]),
        (&["--grace", "x"], "", "", &["HATCHET_WORKER_GRACE \"x\"", "--grace", "30s"]),
        (&["--wait-for-engine", "x"], "", "", &["HATCHET_WORKER_WAIT_FOR_ENGINE", "--wait-for-engine"]),
        (&["--tasks", "cpu-hevy-task"], "", "", &["did you mean `cpu-heavy-task`"]),
        (&["--name", ""], "", "", &["invalid --name \"\""]),
        (&["--name", "a b"], "", "", &["\"a b\"", "letters"]),
        (&["--tasks", ","], "", "", &["task"]),
        (&["--namespace", "a b"], "", "", &["HATCHET_CLIENT_NAMESPACE", "\"a b\""]),
        (&["--log-level", "loud"], "", "", &["HATCHET_CLIENT_LOG_LEVEL", "\"loud\"", "--log-level", "debug"]),
        (&["--log-format", "xml"], "", "", &["HATCHET_CLIENT_LOG_FORMAT", "\"xml\"", "human or json"]),
        (&[], "HATCHET_EMBEDDED", "perhaps", &["HATCHET_EMBEDDED", "\"perhaps\"", "true or false"]),
    ] {
        // The flag would take precedence over the variable.
        let flag = if name == "HATCHET_EMBEDDED" { "--log-level=info" } else { "--embedded" };
        let mut command = workspace.worker_command(&[&[flag], args].concat());
        if !name.is_empty() {
            command.env(name, value);
        }
        Program::start(&mut command).wait().expect_error(2, parts);
    }
}

#[test]
fn empty_task_list_is_exit_2() {
    let workspace = Workspace::new();
    let run = |args: &[&str], value: Option<&str>| {
        let mut command = workspace.worker_command(&[&["--embedded"], args].concat());
        command.envs(value.map(|value| ("HATCHET_WORKER_TASKS", value)));
        Program::start(&mut command).wait()
    };
    run(&["--tasks", ""], None).expect_error(2, &["invalid --tasks", "at least one task"]);
    let parts = ["invalid HATCHET_WORKER_TASKS \",\" (from the environment)", "at least one task"];
    run(&[], Some(",")).expect_error(2, &parts);
    let parts = ["invalid HATCHET_WORKER_TASKS", "did you mean `cpu-heavy-task`"];
    run(&[], Some("cpu-hevy-task")).expect_error(2, &parts);
}

#[test]
fn invalid_connection_setting_is_reported() {
    let workspace = Workspace::new();
    for (name, value, parts) in [
        ("HATCHET_CLIENT_TLS_SERVER_NAME", "a b", &["HATCHET_CLIENT_TLS_SERVER_NAME", "a b", "host name"][..]),
        ("HATCHET_CLIENT_SERVER_URL", "host/x?token=geheim", &["HATCHET_CLIENT_SERVER_URL", "without a query"]),
    ] {
        let mut command = workspace.runner_command(&HELLO);
        command.env("HATCHET_CLIENT_TOKEN", token("127.0.0.1:9", "")).env(name, value);
        let output = Program::start(&mut command).wait().expect_error(2, parts);
        assert!(!output.stderr.concat().contains("geheim"), "{output:?}");
    }
}

#[test]
fn input_over_the_limit_names_the_sizes() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    workspace.write("large.json", &format!(r#"{{"name":"{}"}}"#, "x".repeat(4 * 1024 * 1024)));
    let args = [&HELLO[..], &["--input-file", "large.json"]].concat();
    let parts = ["a message of 4194408", "limit of 4194304", "HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"];
    workspace.runner(&args).expect_error(2, &parts);
    // The engine would accept this trigger, but could not deliver the assignment.
    workspace.write("near.json", &format!(r#"{{"name":"{}"}}"#, "x".repeat(4 * 1024 * 1024 - 1000)));
    let near = [&HELLO[..], &["--input-file", "near.json"]].concat();
    let parts = ["limit of 4186112 bytes for an assignment", "HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"];
    workspace.runner(&near).expect_error(2, &parts);
    // With a higher limit of the client, the engine refuses the input.
    let mut command = workspace.runner_command(&[&["--embedded"], &args[..]].concat());
    command.env("HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH", "8000000");
    Program::start(&mut command).wait().expect_error(2, &["too large", "4194304"]);
}
