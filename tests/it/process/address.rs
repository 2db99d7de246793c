//! Tokens and addresses that lead nowhere.

use std::{io::Write as _, net::TcpListener, process::Command};

use super::{Ended, Place, Program};
use crate::fake::token;

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// Both binaries fail the same way.
fn both(place: &Place, settings: &[(&str, &str)], code: i32, parts: &[&str]) {
    let run = |command: &mut Command| -> Ended {
        command.envs(settings.iter().copied());
        Program::start(command).wait()
    };
    run(&mut place.runner_command(&HELLO)).expect_error(code, parts);
    run(&mut place.worker_command(&[])).expect_error(code, parts);
}

#[test]
fn no_token() {
    both(&Place::new(), &[], 2, &["HATCHET_CLIENT_TOKEN", ".env", "--embedded"]);
    both(&Place::new(), &[("HATCHET_CLIENT_TOKEN", " ")], 2, &["HATCHET_CLIENT_TOKEN", "--embedded"]);
}

#[test]
fn tokens_that_are_none() {
    for text in ["abc", "eyJhbGciOiJFUzI1NiJ9", "ey.%.x", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"] {
        let parts = ["HATCHET_CLIENT_TOKEN", "the environment", "not a Hatchet client token"];
        both(&Place::new(), &[("HATCHET_CLIENT_TOKEN", text)], 2, &parts);
    }
    let expired = token("127.0.0.1:9", r#","exp":1000000000"#);
    let parts = ["expired at 2001-09-09T01:46:40Z", "HATCHET_CLIENT_TOKEN"];
    both(&Place::new(), &[("HATCHET_CLIENT_TOKEN", &expired)], 2, &parts);
}

#[test]
fn a_token_never_shows() {
    let place = Place::new();
    let secret = "eyJhbGciOiJFUzI1NiJ9.c2VjcmV0.c2ln";
    let mut command = place.runner_command(&HELLO);
    command.env("HATCHET_CLIENT_TOKEN", secret).env("HATCHET_CLIENT_LOG_LEVEL", "trace");
    let ended = Program::start(&mut command).wait().expect(2);
    assert!(!ended.stderr.join("\n").contains("c2VjcmV0"), "{ended:?}");
}

#[test]
fn nothing_answers_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    let token = token(&closed, "");
    let parts = ["nothing answers at", closed.as_str(), "HATCHET_CLIENT_HOST_PORT"];
    both(&Place::new(), &[("HATCHET_CLIENT_TOKEN", &token)], 5, &parts);
}

#[test]
fn no_such_host() {
    let token = token("no-such-host.invalid:7070", "");
    let parts = ["nothing answers at no-such-host.invalid:7070", "HATCHET_CLIENT_HOST_PORT"];
    both(&Place::new(), &[("HATCHET_CLIENT_TOKEN", &token)], 5, &parts);
}

#[test]
fn an_address_without_a_port() {
    let token = token("h:1", "");
    for address in ["localhost", "7077", "http://localhost", "localhost:http"] {
        let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_HOST_PORT", address)];
        both(&Place::new(), &settings, 2, &["HATCHET_CLIENT_HOST_PORT", &format!("`{address}`"), "host:port"]);
    }
}

/// Takes connections, says this on each, and leaves it open or closes it.
pub(super) fn stranger(words: &'static [u8], stays: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // A thread of the test's process, which ends with it.
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(words);
            open.extend(stays.then_some(stream));
        }
    });
    address
}

/// What a server without TLS says first, an HTTP/2 frame of settings.
pub(super) const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[test]
fn something_that_closes_answers_there() {
    let address = stranger(b"", false);
    let token = token(&address, "");
    let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", "none")];
    let parts = ["took the connection and", "just ending or starting", "HATCHET_CLIENT_HOST_PORT", &address];
    both(&Place::new(), &settings, 5, &parts);
}

#[test]
fn nothing_is_ever_said_there() {
    let place = Place::new();
    // Connections to it are made, and never answered.
    let rest = TcpListener::bind("127.0.0.1:0").unwrap();
    for words in [b"", SETTINGS] {
        let address = stranger(words, true);
        let token = token(&address, "");
        let run = |words: &[&str]| {
            let mut command = place.runner_command(words);
            command.env("HATCHET_CLIENT_TOKEN", &token).env("HATCHET_CLIENT_TLS_STRATEGY", "none");
            command.env("HATCHET_CLIENT_SERVER_URL", format!("http://{}", rest.local_addr().unwrap()));
            Program::start(&mut command).wait()
        };
        let unanswered = format!("the engine at {address} has not answered within 300ms");
        let limit = ["--timeout", "300ms"];
        let (id, out) = (uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string());
        for (words, left_open) in [
            (&HELLO[..], "whether a run was started is not known"),
            (&[&HELLO[..], &["--no-wait"]].concat(), "whether a run was started is not known"),
            (&["--run-id", &id, "--cancel"], "nothing was cancelled"),
            (&["--cancel", "--metadata", "team=blue"], "nothing was cancelled"),
            (&["bench", "--runs", "1", "--out", &out], "no run was submitted"),
        ] {
            run(&[words, &limit].concat()).expect_error(4, &[&unanswered, left_open, "runner doctor"]);
        }
        for mode in [&[][..], &["--stream"]] {
            let words = [&["--run-id", &id][..], &limit, mode].concat();
            run(&words).expect_error(4, &["has not told within 300ms what became of run", &id, "attach to it again"]);
        }
    }
}

#[test]
fn a_worker_does_not_wait_for_ever_for_the_first_answer() {
    let place = Place::new();
    // One that opens its side may be slow; one that says nothing at all, with and without TLS, is nobody.
    for (words, tls, said) in [
        (SETTINGS, "none", "has not answered a call for 10s"),
        (b"", "none", "took the connection and said nothing for 3s"),
        (b"", "tls", "has not answered a call for"),
    ] {
        let address = stranger(words, true);
        let mut command = place.worker_command(&["--wait-for-engine", "2s"]);
        command.env("HATCHET_CLIENT_TOKEN", token(&address, "")).env("HATCHET_CLIENT_TLS_STRATEGY", tls);
        let parts = [&address, said, "an engine that", "HATCHET_CLIENT_HOST_PORT"];
        Program::start(&mut command).wait().expect_error(5, &parts);
    }
}

#[test]
fn something_else_answers_there() {
    let address = stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n", false);
    let token = token(&address, "");
    for strategy in ["tls", "none"] {
        let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", strategy)];
        both(&Place::new(), &settings, 5, &["not as a Hatchet engine", "HATCHET_CLIENT_HOST_PORT", &address]);
    }
}

#[test]
fn a_token_of_another_engine() {
    let (place, other) = (Place::new(), Place::new());
    let (_engine, _other) = (place.engine(), other.engine());
    let settings = [
        ("HATCHET_CLIENT_TOKEN", other.handshake().token),
        ("HATCHET_CLIENT_HOST_PORT", place.handshake().grpc_address),
        ("HATCHET_CLIENT_TLS_STRATEGY", "none".to_owned()),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    both(&place, &settings, 5, &["refused the token", "HATCHET_CLIENT_TOKEN"]);
}
