//! `--explain-config`, which prints each setting with its source and without secrets.

use crate::fake::token;
use crate::process::{Program, ProgramOutput, Workspace};

/// Value and source of a setting.
#[track_caller]
fn setting(output: &ProgramOutput, name: &str) -> (Option<String>, String) {
    let lines = output.json_lines();
    let line = lines.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("no {name} in {output:#?}"));
    (line["value"].as_str().map(str::to_owned), line["source"].as_str().unwrap().to_owned())
}

#[test]
fn each_setting_is_shown_with_its_source() {
    let workspace = Workspace::new();
    let secret = token("engine:7070", "");
    workspace.write(".env", &format!("HATCHET_CLIENT_TOKEN={secret}\nHATCHET_CLIENT_NAMESPACE=team\n"));
    workspace.write(".env.local", "HATCHET_CLIENT_TLS_STRATEGY=none\nHATCHET_CLIENT_TLS_STRATGY=none\n");
    let run = |mut command: std::process::Command| {
        command.env("HATCHET_WORKER_GRACE", "3s").env("HATCHET_CLIENT_API_URL", "http://me:secret@rest:1");
        Program::start(&mut command).wait().expect(0)
    };
    let worker = run(workspace.worker_command(&["--explain-config=json", "--slots", "7"]));
    let some = |value: &str, source: &str| (Some(value.to_owned()), source.to_owned());
    let length = secret.len();
    assert_eq!(setting(&worker, "HATCHET_CLIENT_TOKEN"), some(&format!("[redacted, {length} characters]"), ".env"));
    assert_eq!(setting(&worker, "HATCHET_CLIENT_HOST_PORT"), some("engine:7070", "the token"));
    assert_eq!(setting(&worker, "HATCHET_CLIENT_API_URL"), some("http://[redacted]@rest:1", "the environment"));
    assert_eq!(setting(&worker, "HATCHET_CLIENT_NAMESPACE"), some("team", ".env"));
    assert_eq!(setting(&worker, "HATCHET_CLIENT_TLS_STRATEGY"), some("none", ".env.local"));
    assert_eq!(setting(&worker, "HATCHET_WORKER_SLOTS"), some("7", "--slots"));
    assert_eq!(setting(&worker, "HATCHET_WORKER_GRACE"), some("3s", "the environment"));
    assert_eq!(setting(&worker, "HATCHET_WORKER_NAME"), some("hatchet-quickstart", "default"));
    assert_eq!(setting(&worker, "HATCHET_CLIENT_TLS_STRATGY").1, ".env.local, and not read by this program");
    for args in [&["--explain-config", "--output", "json"][..], &["--explain-config=json"]] {
        let runner = run(workspace.runner_command(args));
        assert_eq!(setting(&runner, "HATCHET_CLIENT_HOST_PORT"), some("engine:7070", "the token"));
        assert!(!runner.stdout.join("\n").contains("HATCHET_WORKER_"), "{runner:?}");
    }
    let human = run(workspace.worker_command(&["--explain-config"]));
    assert!(human.stderr.is_empty(), "{human:?}");
    for shown in [&human, &worker] {
        let text = shown.stdout.join("\n");
        assert!(!text.contains(&secret) && !text.contains("secret"), "{text}");
    }
}

#[test]
fn nil_tenant_counts_as_unset() {
    let workspace = Workspace::new();
    let shown = |tenant: &str| {
        let mut command = workspace.runner_command(&["--explain-config=json"]);
        command.env("HATCHET_CLIENT_TOKEN", token("engine:7070", "")).env("HATCHET_CLIENT_TENANT_ID", tenant);
        setting(&Program::start(&mut command).wait().expect(0), "HATCHET_CLIENT_TENANT_ID")
    };
    assert_eq!(shown("00000000-0000-0000-0000-000000000000").1, "the token");
    let own = "01234567-89ab-cdef-0123-456789abcdef";
    assert_eq!(shown(own), (Some(own.to_owned()), "the environment".to_owned()));
}

#[test]
fn embedded_engine_precedes_variables_and_is_not_started() {
    let workspace = Workspace::new();
    let mut command = workspace.worker_command(&["--embedded", "--explain-config=json"]);
    command.env("HATCHET_CLIENT_HOST_PORT", "other:1");
    let output = Program::start(&mut command).wait().expect(0);
    assert_eq!(setting(&output, "HATCHET_CLIENT_HOST_PORT"), (None, "the engine, when it starts".to_owned()));
    assert!(!workspace.path(".hatchet").exists());
    let _engine = workspace.engine();
    let output =
        Program::start(&mut workspace.runner_command(&["--embedded", "--explain-config=json"])).wait().expect(0);
    let (address, source) = setting(&output, "HATCHET_CLIENT_HOST_PORT");
    assert_eq!((address, source.as_str()), (Some(workspace.handshake().grpc_address), "the engine's handshake file"));
    assert!(!output.stdout.join("\n").contains(&workspace.handshake().token));
}

#[test]
fn query_values_of_an_address_are_redacted() {
    let workspace = Workspace::new();
    let mut command = workspace.runner_command(&["--explain-config=json"]);
    command.env("HATCHET_CLIENT_TOKEN", token("engine:7070", ""));
    command.env("HATCHET_CLIENT_SERVER_URL", "http://rest:1/x?token=geheim");
    let output = Program::start(&mut command).wait().expect(2);
    let url = setting(&output, "HATCHET_CLIENT_SERVER_URL").0;
    assert_eq!(url.as_deref(), Some("http://rest:1/x?token=[redacted]"));
    assert!(!output.stderr.concat().contains("geheim"), "{output:?}");
}

#[test]
fn invalid_setting_is_shown_before_the_error() {
    let workspace = Workspace::new();
    let token = token("engine:7070", "");
    let mut command = workspace.worker_command(&["--explain-config=json", "--slots", "many"]);
    let output = Program::start(command.env("HATCHET_CLIENT_TOKEN", &token)).wait().expect(2);
    assert_eq!(setting(&output, "HATCHET_WORKER_SLOTS"), (Some("many".to_owned()), "--slots".to_owned()));
    output.expect_stderr("error: invalid HATCHET_WORKER_SLOTS \"many\"");
    let mut command = workspace.runner_command(&["--explain-config=json", "--host-port", "nowhere"]);
    let output = Program::start(command.env("HATCHET_CLIENT_TOKEN", &token)).wait().expect(2);
    assert_eq!(setting(&output, "HATCHET_CLIENT_HOST_PORT"), (Some("nowhere".to_owned()), "--host-port".to_owned()));
    output.expect_stderr("error: invalid HATCHET_CLIENT_HOST_PORT \"nowhere\"");
}
