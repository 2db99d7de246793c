//! `runner doctor`: its report on a working engine, and on each problem.

use std::collections::BTreeMap;

use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, Sources},
    task::Stub,
    worker::{Worker, WorkerOptions},
};
use serde_json::{Map, Value};

use crate::{
    fake::token,
    process::{
        Program, ProgramOutput, Workspace,
        connection::{HTTP2_SETTINGS, silent_server, tls_engine},
        run_async,
    },
    support::CLOSED,
};

/// Status and message of each check; of several `workers` checks, the first.
fn checks(output: &ProgramOutput) -> BTreeMap<String, (String, String)> {
    let mut checks = BTreeMap::new();
    for line in output.json_lines() {
        assert_eq!(line["event"], "check", "{line}");
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        assert!(!text("message").contains('\n'), "{line}");
        checks.entry(text("check")).or_insert((text("status"), text("message")));
    }
    checks
}

fn start_doctor(workspace: &Workspace, args: &[&str], settings: &[(&str, &str)]) -> Program {
    let mut command = workspace.runner_command(&[&["doctor", "--output", "json"], args].concat());
    Program::start(command.envs(settings.iter().copied()))
}

fn doctor(workspace: &Workspace, args: &[&str], settings: &[(&str, &str)]) -> ProgramOutput {
    start_doctor(workspace, args, settings).wait()
}

/// Asserts that only `check` failed, with a message that contains `parts`, and that the checks in `skipped` were
/// skipped.
#[track_caller]
fn expect_failed(output: ProgramOutput, code: i32, check: &str, parts: &[&str], skipped: &[&str]) {
    let output = output.expect(code);
    let checks = checks(&output);
    let failed: Vec<_> = checks.iter().filter(|(_, (status, _))| status == "failed").collect();
    assert_eq!(failed.len(), 1, "{checks:#?}");
    assert_eq!(failed[0].0, check, "{checks:#?}");
    for part in parts {
        assert!(failed[0].1.1.contains(part), "no `{part}` in {failed:?}");
    }
    for check in skipped {
        assert_eq!(checks[*check].0, "skipped", "{checks:#?}");
    }
    output.expect_stderr(&format!("error: checks failed: {check}"));
}

#[test]
fn working_engine_passes_all_checks() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded", "--slots", "7", "--cpu-threads", "3"]);
    Program::start(&mut workspace.runner_command(&["--embedded", "doctor"])).wait().expect(0);
    let output = doctor(&workspace, &["--embedded"], &[]).expect(0);
    let found = checks(&output);
    assert!(found.values().all(|(status, _)| status == "ok"), "{found:#?}");
    assert!(found["version"].1.contains("has slot types"), "{found:#?}");
    assert!(found["clock"].1.contains("by at most 5s"), "{found:#?}");
    assert!(found["workers"].1.contains("1 online, 7 slot(s) free"), "{found:#?}");
    let mut workers: Vec<Value> = output.json_lines().into_iter().filter(|line| line["check"] == "workers").collect();
    let names = ["externally-triggered-task", "sync-sleep-task", "cpu-heavy-task", "cpu-heavy-with-process-pool"];
    // Ignores tasks that a user has added.
    workers.retain(|line| names.iter().any(|name| line["task"] == *name));
    let tasks: Vec<&Value> = workers.iter().map(|line| &line["task"]).collect();
    assert_eq!(tasks, names, "an alias is a workflow of its own");
    assert_eq!(workers[2]["message"], "1 online, 3 slot(s) free", "the process's worker for CPU tasks");
    let human = Program::start(&mut workspace.runner_command(&["doctor", "--embedded"])).wait().expect(0);
    assert!(human.stderr.is_empty() && human.stdout.iter().all(|line| line.starts_with("✓ ")), "{human:#?}");
    worker.stop().expect(0);
}

#[test]
fn invalid_setting_is_exit_2() {
    let workspace = Workspace::new();
    expect_failed(
        doctor(&workspace, &[], &[]),
        2,
        "token",
        &["HATCHET_CLIENT_TOKEN", "--embedded"],
        &["tcp", "workers"],
    );
    let settings = [("HATCHET_CLIENT_TOKEN", "hello")];
    expect_failed(doctor(&workspace, &[], &settings), 2, "token", &["does not start with `ey`"], &["address"]);
    let token = token("127.0.0.1:9", "");
    let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_HOST_PORT", "localhost")];
    expect_failed(doctor(&workspace, &[], &settings), 2, "address", &["HATCHET_CLIENT_HOST_PORT"], &["tcp"]);
}

#[test]
fn missing_engine_is_exit_5() {
    let workspace = Workspace::new();
    expect_failed(doctor(&workspace, &["--embedded"], &[]), 5, "folder", &["make run-worker"], &["token", "tcp"]);
    let token = token(CLOSED, "");
    let parts = ["no server responds at", "HATCHET_CLIENT_HOST_PORT"];
    expect_failed(doctor(&workspace, &[], &[("HATCHET_CLIENT_TOKEN", &token)]), 5, "tcp", &parts, &["tls", "version"]);
}

#[test]
fn missing_worker_and_exposed_folder_are_reported() {
    use std::os::unix::fs::PermissionsExt as _;
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let output = doctor(&workspace, &["--embedded"], &[]).expect(5);
    assert_eq!(checks(&output)["workers"].0, "failed");
    output.expect_stderr("workers of cpu-heavy-task");
    std::fs::set_permissions(workspace.path(".hatchet"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let found = checks(&doctor(&workspace, &["--embedded"], &[]).expect(5));
    assert!(found["folder"].1.contains("chmod go= .hatchet"), "{found:#?}");
    engine.stop().expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn task_registered_by_its_alias_only_is_reported() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    let config = ClientConfig::from_handshake(&workspace.handshake(), &Sources::default()).unwrap();
    let alias = Stub::new("cpu-heavy-with-process-pool").task(|input: Map<String, Value>, _| async { Ok(input) });
    let mut worker =
        Worker::new(&Client::new(config).unwrap()).options(WorkerOptions::default()).register(alias).start().unwrap();
    worker.listening().await.unwrap();
    let output = doctor(&workspace, &["--embedded"], &[]).expect(5);
    let found: BTreeMap<String, String> = output
        .json_lines()
        .into_iter()
        .filter(|line| line["check"] == "workers")
        .map(|line| (line["task"].as_str().unwrap().to_owned(), line["status"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!((found["cpu-heavy-task"].as_str(), found["cpu-heavy-with-process-pool"].as_str()), ("failed", "ok"));
    // Triggers have the same outcome.
    let trigger = |name: &str| workspace.runner(&["--task-name", name, "--input-json", r#"{"limit":10}"#, "--no-wait"]);
    trigger("cpu-heavy-task").expect_error(8, &["Start a worker that registers cpu-heavy-task"]);
    trigger("cpu-heavy-with-process-pool").expect(0);
}

#[test]
fn tls_mismatch_and_refused_token_are_reported() {
    let (workspace, other) = (Workspace::new(), Workspace::new());
    let (_engine, _other) = (workspace.engine(), other.engine());
    let (token, address) = (workspace.handshake().token, workspace.handshake().grpc_address);
    let parts = ["uses plaintext and this client uses TLS. Set HATCHET_CLIENT_TLS_STRATEGY=none"];
    expect_failed(doctor(&workspace, &[], &[("HATCHET_CLIENT_TOKEN", &token)]), 5, "tls", &parts, &["authentication"]);
    let other_token = other.handshake().token;
    let settings = [
        ("HATCHET_CLIENT_TOKEN", other_token.as_str()),
        ("HATCHET_CLIENT_HOST_PORT", &address),
        ("HATCHET_CLIENT_TLS_STRATEGY", "none"),
    ];
    let parts = ["refused the token", "HATCHET_CLIENT_TOKEN"];
    expect_failed(doctor(&workspace, &[], &settings), 5, "authentication", &parts, &["version", "rest"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plaintext_and_untrusted_certificate_are_reported() {
    let workspace = Workspace::new();
    let engine = tls_engine(&workspace).await;
    let token = engine.token();
    let run = async |strategy: &str| {
        let mut command = workspace.runner_command(&["doctor", "--output", "json"]);
        command.env("HATCHET_CLIENT_TOKEN", &token).env("HATCHET_CLIENT_TLS_STRATEGY", strategy);
        run_async(command).await
    };
    let parts = ["uses TLS and this client uses plaintext. Set HATCHET_CLIENT_TLS_STRATEGY=tls"];
    expect_failed(run("none").await, 5, "tls", &parts, &["authentication"]);
    expect_failed(run("tls").await, 5, "tls", &["HATCHET_CLIENT_TLS_ROOT_CA_FILE"], &["authentication"]);
}

#[test]
fn silent_engine_is_reported() {
    let workspace = Workspace::new();
    let cases = [
        (&b""[..], "tls", ["accepted the connection and sent nothing", "HATCHET_CLIENT_HOST_PORT"]),
        (HTTP2_SETTINGS, "authentication", ["has not responded to a call", "see its log"]),
    ];
    let programs = cases.map(|(greeting, check, parts)| {
        let address = silent_server(greeting);
        let token = token(&address, "");
        let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", "none")];
        (start_doctor(&workspace, &[], &settings), address, check, parts)
    });
    for (program, address, check, parts) in programs {
        expect_failed(program.wait(), 5, check, &[&parts[..], &[&address]].concat(), &["workers"]);
    }
}
