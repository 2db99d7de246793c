//! TLS on one side only, certificates that are not trusted, and TLS that works.

use std::{process::Command, sync::Arc};

use super::{
    Place, Program,
    proxy::{EMPTY_LIST, RestStub, check},
};
use crate::fake::Fake;

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// An engine with TLS, and its certificate in the file `ca.pem` of a place.
pub(super) async fn tls_engine(place: &Place) -> Fake {
    tls_engine_of(place, &["localhost", "127.0.0.1"]).await
}

/// The same, with a certificate for these names.
pub(super) async fn tls_engine_of(place: &Place, names: &[&str]) -> Fake {
    let (certificate, key) = certificate(place, "ca", names);
    Fake::start_tls(&certificate, &key).await
}

/// A self-signed certificate and its key, in PEM and in files of a place: `<file>.pem` and `<file>-key.pem`.
fn certificate(place: &Place, file: &str, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    place.write(&format!("{file}.pem"), &certificate);
    place.write(&format!("{file}-key.pem"), &key);
    (certificate, key)
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

/// A TLS server's side that wants a certificate of the client, which the given one has to be.
fn acceptor(certificate: &str, key: &str, client: &str) -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let one = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(one(client)).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![one(certificate)], key)
        .unwrap();
    Arc::new(config).into()
}

/// One configuration for gRPC and REST: the client's certificate, the authority, and the server's name.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn client_certificate_and_server_name_count_for_both_protocols() {
    let place = Place::new();
    let (certificate, key) = certificate(&place, "ca", &["engine.example"]);
    let (client, _) = self::certificate(&place, "client", &["worker.example"]);
    let engine = Fake::start_mtls(&certificate, &key, &client).await;
    let rest = RestStub::start(EMPTY_LIST, Some(acceptor(&certificate, &key, &client))).await;
    let (token, url) = (engine.token(), format!("https://{}", rest.address));
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_SERVER_URL", &url),
        ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem"),
        ("HATCHET_CLIENT_TLS_SERVER_NAME", "engine.example"),
        ("HATCHET_CLIENT_TLS_STRATEGY", "mtls"),
        ("HATCHET_CLIENT_TLS_CERT_FILE", "client.pem"),
        ("HATCHET_CLIENT_TLS_KEY_FILE", "client-key.pem"),
    ];
    let doctor = || place.runner_command(&["doctor", "--output", "json"]);
    // No worker is online; all else is well.
    let ended = run(with(doctor(), &settings)).await.expect(5);
    for fine in ["tls", "authentication", "rest"] {
        assert_eq!(check(&ended, fine).0, "ok", "{ended:#?}");
    }
    assert!(!rest.heads.lock().unwrap().is_empty());
    rest.heads.lock().unwrap().clear();
    // REST alone wants what is missing here.
    let open = Fake::start_tls(&certificate, &key).await;
    let token = open.token();
    let mut settings = settings.to_vec();
    settings[0].1 = &token;
    settings[4].1 = "tls";
    let ended = run(with(doctor(), &settings)).await.expect(5);
    assert_eq!((check(&ended, "tls").0, check(&ended, "rest").0), ("ok".to_owned(), "failed".to_owned()), "{ended:#?}");
    assert!(rest.heads.lock().unwrap().is_empty());
}

/// A certificate of REST that is not accepted is explained as one of gRPC is.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn untrusted_certificate_of_rest_is_explained() {
    let place = Place::new();
    let (certificate, key) = certificate(&place, "rest", &["127.0.0.1"]);
    let engine = tls_engine(&place).await;
    let rest = RestStub::start(EMPTY_LIST, Some(acceptor(&certificate, &key, &certificate))).await;
    let (token, url) = (engine.token(), format!("https://{}", rest.address));
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_SERVER_URL", &url),
        ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem"),
    ];
    let ended = run(with(place.runner_command(&["doctor", "--output", "json"]), &settings)).await.expect(5);
    let (status, said) = check(&ended, "rest");
    assert!(status == "failed" && said.contains("HATCHET_CLIENT_TLS_ROOT_CA_FILE"), "{ended:#?}");
}
