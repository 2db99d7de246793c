//! The token is in no output, even with trace logs, and in no process argument.

use std::process::Command;

use crate::process::{Program, ProgramOutput, Workspace};

/// Asserts that a text contains none of the secrets.
#[track_caller]
fn assert_clean(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!text.contains(secret), "{what} contains a secret");
    }
}

#[track_caller]
fn assert_output_clean(what: &str, output: &ProgramOutput, secrets: &[String]) {
    assert_clean(what, &output.stdout.join("\n"), secrets);
    assert_clean(what, &output.stderr.join("\n"), secrets);
}

/// The arguments of all visible processes.
#[cfg(target_os = "linux")]
fn process_arguments() -> String {
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    // Other entries are no processes, and a process may end in the meantime.
    processes.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

#[test]
fn token_is_in_no_output_or_argument() {
    let workspace = Workspace::new();
    let with_trace_logs = |mut command: Command| {
        command.env("RUST_LOG", "trace");
        command
    };
    let worker = Program::start(&mut with_trace_logs(workspace.worker_command(&["--embedded", "--health-port", "0"])));
    worker.err.until("the banner", |line| line.starts_with("  tasks "));
    let token = workspace.handshake().token;
    let parts: Vec<&str> = token.split('.').collect();
    // The whole token, its claims, and its signature.
    let secrets = [token.clone(), parts[1].to_owned(), parts[2].to_owned()];
    let other = Workspace::new();
    let _other_engine = other.engine();
    let hello = ["--task-name", "externally-triggered-task"];
    let with_token = |args: &[&str], address: &str, strategy: &str| {
        let mut command = with_trace_logs(workspace.runner_command(args));
        command.env("HATCHET_CLIENT_TOKEN", &token).env("HATCHET_CLIENT_HOST_PORT", address);
        command.env("HATCHET_CLIENT_TLS_STRATEGY", strategy);
        command
    };
    let own = workspace.handshake().grpc_address;
    let foreign = other.handshake().grpc_address;
    let cases: Vec<(&str, Command)> = vec![
        ("a run", with_trace_logs(workspace.runner_command(&[&["--embedded"], &hello[..]].concat()))),
        ("a stream", with_token(&[&hello[..], &["--stream", "--output", "json"]].concat(), &own, "none")),
        ("a TLS failure", with_token(&hello, &own, "tls")),
        ("a refusal", with_token(&hello, &foreign, "none")),
        ("doctor", with_token(&["doctor"], &own, "none")),
        ("doctor of another", with_token(&["doctor", "--output", "json"], &foreign, "none")),
        ("settings", with_token(&["--explain-config"], &own, "none")),
        ("settings as JSON", with_token(&["--explain-config=json"], &own, "none")),
    ];
    let programs: Vec<_> = cases.into_iter().map(|(what, mut command)| (what, Program::start(&mut command))).collect();
    for (what, program) in programs {
        let output = program.wait();
        assert!(!output.stderr.is_empty() || !output.stdout.is_empty(), "{what} has output");
        assert_output_clean(what, &output, &secrets);
    }
    let waiting = Program::start(&mut with_token(&["--task-name", "sync-sleep-task", "--stream"], &own, "none"));
    waiting.out.wait_for("RUNNING");
    #[cfg(target_os = "linux")]
    assert_clean("the arguments of a process", &process_arguments(), &secrets);
    assert_output_clean("a waiting runner", &waiting.stop(), &secrets);
    assert_output_clean("the worker", &worker.stop().expect(0), &secrets);
}

#[test]
fn plaintext_warning_is_printed_for_remote_engines_only() {
    let workspace = Workspace::new();
    let token = crate::fake::token("no-such-host.invalid:7070", "");
    let mut command = workspace.runner_command(&["--task-name", "externally-triggered-task"]);
    command.env("HATCHET_CLIENT_TOKEN", &token).env("HATCHET_CLIENT_TLS_STRATEGY", "none");
    let runner = Program::start(&mut command);
    let worker = workspace.worker(&["--embedded"]);
    let output = runner.wait();
    let warnings = |output: &ProgramOutput| output.stderr.iter().filter(|line| line.contains("unencrypted")).count();
    assert_eq!(warnings(&output), 1, "{output:#?}");
    output.expect_stderr("HATCHET_CLIENT_TLS_STRATEGY=tls");
    assert_eq!(warnings(&worker.stop().expect(0)), 0);
}
