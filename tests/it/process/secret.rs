//! The token is nowhere to be seen: not in what the programs say at their most talkative, and not in their arguments.

use std::process::Command;

use super::{Ended, Place, Program};

/// Asserts that none of the secrets is in a text.
#[track_caller]
fn clean(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!text.contains(secret), "a secret is in {what}");
    }
}

#[track_caller]
fn clean_end(what: &str, ended: &Ended, secrets: &[String]) {
    clean(what, &ended.stdout.join("\n"), secrets);
    clean(what, &ended.stderr.join("\n"), secrets);
}

/// The arguments of every process that can be seen.
fn arguments() -> Option<String> {
    let listed =
        Command::new("ps").args(["-A", "-o", "args"]).output().ok().filter(|listed| listed.status.success())?;
    Some(String::from_utf8_lossy(&listed.stdout).into_owned())
}

#[test]
fn a_token_is_nowhere_to_be_seen() {
    let place = Place::new();
    let talkative = |mut command: Command| {
        command.env("RUST_LOG", "trace");
        command
    };
    let worker = Program::start(&mut talkative(place.worker_command(&["--embedded", "--health-port", "0"])));
    worker.err.until("the banner", |line| line.starts_with("  tasks "));
    let token = place.handshake().token;
    let parts: Vec<&str> = token.split('.').collect();
    // The whole, the claims, and what makes it valid.
    let secrets = [token.clone(), parts[1].to_owned(), parts[2].to_owned()];
    let stranger = Place::new();
    let _strange_engine = stranger.engine();
    let hello = ["--task-name", "externally-triggered-task"];
    let with_token = |words: &[&str], address: &str, strategy: &str| {
        let mut command = talkative(place.runner_command(words));
        command.env("HATCHET_CLIENT_TOKEN", &token).env("HATCHET_CLIENT_HOST_PORT", address);
        command.env("HATCHET_CLIENT_TLS_STRATEGY", strategy);
        command
    };
    let own = place.handshake().grpc_address;
    let strange = stranger.handshake().grpc_address;
    let cases: Vec<(&str, Command)> = vec![
        ("a run", talkative(place.runner_command(&[&["--embedded"], &hello[..]].concat()))),
        ("a stream", with_token(&[&hello[..], &["--stream", "--output", "json"]].concat(), &own, "none")),
        ("a TLS failure", with_token(&hello, &own, "tls")),
        ("a refusal", with_token(&hello, &strange, "none")),
        ("doctor", with_token(&["doctor"], &own, "none")),
        ("doctor of another", with_token(&["doctor", "--output", "json"], &strange, "none")),
        ("settings", with_token(&["--explain-config"], &own, "none")),
        ("settings as JSON", with_token(&["--explain-config=json"], &own, "none")),
    ];
    for (what, mut command) in cases {
        let ended = Program::start(&mut command).wait();
        assert!(!ended.stderr.is_empty() || !ended.stdout.is_empty(), "{what} says something");
        clean_end(what, &ended, &secrets);
    }
    let waiting = Program::start(&mut with_token(&["--task-name", "sync-sleep-task", "--stream"], &own, "none"));
    waiting.out.until_said("RUNNING");
    match arguments() {
        Some(arguments) => clean("the arguments of a process", &arguments, &secrets),
        None => println!("skipped: ps cannot be run here"),
    }
    clean_end("a waiting runner", &waiting.stop(), &secrets);
    clean_end("the worker", &worker.stop().expect(0), &secrets);
}

#[test]
fn plaintext_to_elsewhere_is_warned_about_and_to_here_is_not() {
    let place = Place::new();
    let token = crate::fake::token("no-such-host.invalid:7070", "");
    let mut command = place.runner_command(&["--task-name", "externally-triggered-task"]);
    command.env("HATCHET_CLIENT_TOKEN", &token).env("HATCHET_CLIENT_TLS_STRATEGY", "none");
    let ended = Program::start(&mut command).wait();
    let warned = |ended: &Ended| ended.stderr.iter().filter(|line| line.contains("unencrypted")).count();
    assert_eq!(warned(&ended), 1, "{ended:#?}");
    ended.expect_said("HATCHET_CLIENT_TLS_STRATEGY=tls");
    let worker = place.worker(&["--embedded"]);
    assert_eq!(warned(&worker.stop().expect(0)), 0);
}
