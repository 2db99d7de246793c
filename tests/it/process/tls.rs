//! TLS on one side only, certificates that are not trusted, and TLS that works.

use std::process::Command;

use super::{Place, Program};
use crate::fake::Fake;

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// An engine with TLS, and its certificate in the file `ca.pem` of a place.
pub(super) async fn tls_engine(place: &Place) -> Fake {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    place.write("ca.pem", &certificate);
    place.write("key.pem", &key);
    Fake::start_tls(&certificate, &key).await
}

/// Runs a command of a place to its end, while the engine in this test's runtime goes on.
pub(super) async fn run(mut command: Command) -> super::Ended {
    tokio::task::spawn_blocking(move || Program::start(&mut command).wait()).await.unwrap()
}

fn with(mut command: Command, settings: &[(&str, &str)]) -> Command {
    command.envs(settings.iter().copied());
    command
}

#[test]
fn we_speak_tls_to_a_plaintext_engine() {
    let place = Place::new();
    let _engine = place.engine();
    let token = place.handshake().token;
    for mut command in [place.runner_command(&HELLO), place.worker_command(&[])] {
        command.env("HATCHET_CLIENT_TOKEN", &token);
        let parts = ["speaks plaintext and we speak TLS", "HATCHET_CLIENT_TLS_STRATEGY=none"];
        Program::start(&mut command).wait().expect_error(5, &parts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn we_speak_plaintext_to_a_tls_engine() {
    let place = Place::new();
    let engine = tls_engine(&place).await;
    let token = engine.token();
    let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", "none")];
    for command in [place.runner_command(&HELLO), place.worker_command(&[])] {
        let parts = ["speaks TLS and we speak plaintext", "HATCHET_CLIENT_TLS_STRATEGY=tls"];
        run(with(command, &settings)).await.expect_error(5, &parts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_certificate_that_nobody_trusts() {
    let place = Place::new();
    let engine = tls_engine(&place).await;
    let token = engine.token();
    for command in [place.runner_command(&HELLO), place.worker_command(&[])] {
        let ended = run(with(command, &[("HATCHET_CLIENT_TOKEN", &token)])).await;
        ended.expect_error(5, &["certificate", "HATCHET_CLIENT_TLS_ROOT_CA_FILE"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_certificate_of_another_name() {
    let place = Place::new();
    let engine = tls_engine(&place).await;
    let token = engine.token();
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem"),
        ("HATCHET_CLIENT_TLS_SERVER_NAME", "engine.example"),
    ];
    let ended = run(with(place.runner_command(&HELLO), &settings)).await;
    ended.expect_error(5, &["certificate", "HATCHET_CLIENT_TLS_SERVER_NAME"]);
}

#[test]
fn certificate_files_that_cannot_be_read() {
    let place = Place::new();
    place.write("junk.pem", "no certificate");
    let token = crate::fake::token("127.0.0.1:9", "");
    for (settings, part) in [
        (&[("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "missing.pem")][..], "HATCHET_CLIENT_TLS_ROOT_CA_FILE"),
        (&[("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "junk.pem")], "HATCHET_CLIENT_TLS_"),
        (&[("HATCHET_CLIENT_TLS_STRATEGY", "mtls")], "HATCHET_CLIENT_TLS_CERT_FILE"),
        (&[("HATCHET_CLIENT_TLS_STRATEGY", "ssl")], "HATCHET_CLIENT_TLS_STRATEGY"),
    ] {
        let mut command = with(place.runner_command(&HELLO), settings);
        command.env("HATCHET_CLIENT_TOKEN", &token);
        Program::start(&mut command).wait().expect_error(2, &[part]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_authority_of_ones_own() {
    let place = Place::new();
    let engine = tls_engine(&place).await;
    let token = engine.token();
    let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem")];
    let triggered = run(with(place.runner_command(&[&HELLO[..], &["--no-wait"]].concat()), &settings)).await.expect(0);
    assert_eq!(triggered.stdout.len(), 1, "{triggered:?}");
    let worker = Program::start(&mut with(place.worker_command(&["--grace", "0s"]), &settings));
    engine.until_listening().await;
    let stopped = tokio::task::spawn_blocking(move || {
        worker.err.until("the banner", |line| line == "  tls       tls");
        worker.err.until_said("v0.1.0-alpha.0");
        worker.stop()
    });
    stopped.await.unwrap().expect(0);
}
