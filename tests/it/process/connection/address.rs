//! Invalid tokens, and addresses without an engine.

use std::net::TcpListener;

use super::{HTTP2_SETTINGS, silent_server, start_server};
use crate::{
    fake::token,
    process::{Program, Workspace},
    support::CLOSED,
};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// Runs both binaries concurrently and asserts that they fail with this exit code and error.
#[track_caller]
fn expect_both_fail(workspace: &Workspace, settings: &[(&str, &str)], code: i32, parts: &[&str]) {
    let commands = [workspace.runner_command(&HELLO), workspace.worker_command(&[])];
    let programs = commands.map(|mut command| Program::start(command.envs(settings.iter().copied())));
    for program in programs {
        program.wait().expect_error(code, parts);
    }
}

#[test]
fn missing_token_is_exit_2() {
    expect_both_fail(&Workspace::new(), &[], 2, &["HATCHET_CLIENT_TOKEN", ".env", "--embedded"]);
    expect_both_fail(&Workspace::new(), &[("HATCHET_CLIENT_TOKEN", " ")], 2, &["HATCHET_CLIENT_TOKEN", "--embedded"]);
}

#[test]
fn malformed_or_expired_token_is_exit_2() {
    for text in ["abc", "eyJhbGciOiJFUzI1NiJ9", "ey.%.x", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"] {
        let parts = ["HATCHET_CLIENT_TOKEN", "the environment", "not a Hatchet client token"];
        expect_both_fail(&Workspace::new(), &[("HATCHET_CLIENT_TOKEN", text)], 2, &parts);
    }
    let expired = token("127.0.0.1:9", r#","exp":1000000000"#);
    let parts = ["expired at 2001-09-09T01:46:40Z", "HATCHET_CLIENT_TOKEN"];
    expect_both_fail(&Workspace::new(), &[("HATCHET_CLIENT_TOKEN", &expired)], 2, &parts);
}

#[test]
fn malformed_token_is_not_printed() {
    let workspace = Workspace::new();
    let secret = "eyJhbGciOiJFUzI1NiJ9.c2VjcmV0.c2ln";
    let mut command = workspace.runner_command(&HELLO);
    command.env("HATCHET_CLIENT_TOKEN", secret).env("HATCHET_CLIENT_LOG_LEVEL", "trace");
    let output = Program::start(&mut command).wait().expect(2);
    assert!(!output.stderr.join("\n").contains("c2VjcmV0"), "{output:?}");
}

#[test]
fn closed_port_is_exit_5() {
    let token = token(CLOSED, "");
    let parts = ["no server responds at", CLOSED, "HATCHET_CLIENT_HOST_PORT"];
    expect_both_fail(&Workspace::new(), &[("HATCHET_CLIENT_TOKEN", &token)], 5, &parts);
}

#[test]
fn unknown_host_is_exit_5() {
    let token = token("no-such-host.invalid:7070", "");
    let parts = ["no server responds at no-such-host.invalid:7070", "HATCHET_CLIENT_HOST_PORT"];
    expect_both_fail(&Workspace::new(), &[("HATCHET_CLIENT_TOKEN", &token)], 5, &parts);
}

#[test]
fn address_without_port_is_exit_2() {
    let token = token("h:1", "");
    for address in ["localhost", "7077", "http://localhost", "localhost:http"] {
        let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_HOST_PORT", address)];
        expect_both_fail(
            &Workspace::new(),
            &settings,
            2,
            &["HATCHET_CLIENT_HOST_PORT", &format!("\"{address}\""), "host:port"],
        );
    }
}

#[test]
fn server_that_closes_is_exit_5() {
    let address = start_server(b"", false);
    let token = token(&address, "");
    let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", "none")];
    let parts = ["accepted the connection and", "an engine that starts or stops", "HATCHET_CLIENT_HOST_PORT", &address];
    expect_both_fail(&Workspace::new(), &settings, 5, &parts);
}

#[test]
fn silent_server_ends_calls_at_the_timeout() {
    let workspace = Workspace::new();
    // Accepts connections and sends nothing.
    let rest = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut programs = Vec::new();
    for greeting in [b"", HTTP2_SETTINGS] {
        let address = silent_server(greeting);
        let token = token(&address, "");
        let start = |args: &[&str]| {
            let mut command = workspace.runner_command(&[args, &["--timeout", "300ms"]].concat());
            command.env("HATCHET_CLIENT_TOKEN", &token).env("HATCHET_CLIENT_TLS_STRATEGY", "none");
            command.env("HATCHET_CLIENT_SERVER_URL", format!("http://{}", rest.local_addr().unwrap()));
            Program::start(&mut command)
        };
        let timeout = format!("the engine at {address} has not responded within 300ms");
        let (id, out) = (uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string());
        for (args, effect) in [
            (&HELLO[..], "no run was started"),
            (&[&HELLO[..], &["--no-wait"]].concat(), "no run was started"),
            (&["--run-id", &id, "--cancel"], "nothing was cancelled"),
            (&["--cancel", "--metadata", "team=blue"], "nothing was cancelled"),
            (&["bench", "--runs", "1", "--out", &out], "no run was submitted"),
        ] {
            programs.push((start(args), [timeout.clone(), effect.to_owned(), "runner doctor".to_owned()]));
        }
        for args in [&["--run-id", &id][..], &["--run-id", &id, "--stream"]] {
            let parts = ["has not reported the status of run", &id, "attach to it again"];
            programs.push((start(args), parts.map(str::to_owned)));
        }
    }
    for (program, parts) in programs {
        program.wait().expect_error(4, &parts.each_ref().map(String::as_str));
    }
}

#[test]
fn silent_server_ends_the_workers_start() {
    let workspace = Workspace::new();
    // A server that sends its SETTINGS frame may be a slow engine. A server that sends nothing is no engine.
    let cases = [
        (HTTP2_SETTINGS, "none", "has not responded to a call for 10s"),
        (b"", "none", "accepted the connection and sent nothing for 3s"),
        (b"", "tls", "has not responded to a call for"),
    ];
    let programs = cases.map(|(greeting, tls, message)| {
        let address = silent_server(greeting);
        let mut command = workspace.worker_command(&["--wait-for-engine", "2s"]);
        command.env("HATCHET_CLIENT_TOKEN", token(&address, "")).env("HATCHET_CLIENT_TLS_STRATEGY", tls);
        (Program::start(&mut command), address, message)
    });
    for (program, address, message) in programs {
        program.wait().expect_error(5, &[&address, message, "If it is an engine", "HATCHET_CLIENT_HOST_PORT"]);
    }
}

#[test]
fn http1_server_is_exit_5() {
    let address = start_server(b"HTTP/1.1 400 Bad Request\r\n\r\n", false);
    let token = token(&address, "");
    for strategy in ["tls", "none"] {
        let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", strategy)];
        expect_both_fail(&Workspace::new(), &settings, 5, &["does not use gRPC", "HATCHET_CLIENT_HOST_PORT", &address]);
    }
}

#[test]
fn token_of_another_engine_is_exit_5() {
    let (workspace, other) = (Workspace::new(), Workspace::new());
    let (_engine, _other) = (workspace.engine(), other.engine());
    let settings = [
        ("HATCHET_CLIENT_TOKEN", other.handshake().token),
        ("HATCHET_CLIENT_HOST_PORT", workspace.handshake().grpc_address),
        ("HATCHET_CLIENT_TLS_STRATEGY", "none".to_owned()),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    expect_both_fail(&workspace, &settings, 5, &["refused the token", "HATCHET_CLIENT_TOKEN"]);
}
