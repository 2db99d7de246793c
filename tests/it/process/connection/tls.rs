//! TLS: mismatched settings, untrusted certificates, and working connections.

use std::{process::Command, sync::Arc};

use super::servers::{EMPTY_LIST, RestStub, certificate as certificate_of, tls_engine};
use crate::{
    fake::Fake,
    process::{Program, Workspace, run_async},
};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

fn with_settings(mut command: Command, settings: &[(&str, &str)]) -> Command {
    command.envs(settings.iter().copied());
    command
}

#[test]
fn tls_to_a_plaintext_engine_is_explained() {
    let workspace = Workspace::new();
    let _engine = workspace.engine();
    let token = workspace.handshake().token;
    let commands = [workspace.runner_command(&HELLO), workspace.worker_command(&[])];
    for program in commands.map(|mut command| Program::start(command.env("HATCHET_CLIENT_TOKEN", &token))) {
        let parts = ["uses plaintext and this client uses TLS", "HATCHET_CLIENT_TLS_STRATEGY=none"];
        program.wait().expect_error(5, &parts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn plaintext_to_a_tls_engine_is_explained() {
    let workspace = Workspace::new();
    let engine = tls_engine(&workspace).await;
    let token = engine.token();
    let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", "none")];
    for command in [workspace.runner_command(&HELLO), workspace.worker_command(&[])] {
        let parts = ["uses TLS and this client uses plaintext", "HATCHET_CLIENT_TLS_STRATEGY=tls"];
        run_async(with_settings(command, &settings)).await.expect_error(5, &parts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn untrusted_certificate_error_has_ca_setting() {
    let workspace = Workspace::new();
    let engine = tls_engine(&workspace).await;
    let token = engine.token();
    for command in [workspace.runner_command(&HELLO), workspace.worker_command(&[])] {
        let output = run_async(with_settings(command, &[("HATCHET_CLIENT_TOKEN", &token)])).await;
        output.expect_error(5, &["certificate", "HATCHET_CLIENT_TLS_ROOT_CA_FILE"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn wrong_certificate_name_error_has_setting() {
    let workspace = Workspace::new();
    let engine = tls_engine(&workspace).await;
    let token = engine.token();
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem"),
        ("HATCHET_CLIENT_TLS_SERVER_NAME", "engine.example"),
    ];
    let output = run_async(with_settings(workspace.runner_command(&HELLO), &settings)).await;
    output.expect_error(5, &["certificate", "HATCHET_CLIENT_TLS_SERVER_NAME"]);
}

#[test]
fn invalid_tls_setting_is_reported() {
    let workspace = Workspace::new();
    workspace.write("junk.pem", "no certificate");
    let token = crate::fake::token("127.0.0.1:9", "");
    for (settings, part) in [
        (&[("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "missing.pem")][..], "HATCHET_CLIENT_TLS_ROOT_CA_FILE"),
        (&[("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "junk.pem")], "HATCHET_CLIENT_TLS_"),
        (&[("HATCHET_CLIENT_TLS_STRATEGY", "mtls")], "HATCHET_CLIENT_TLS_CERT_FILE"),
        (&[("HATCHET_CLIENT_TLS_STRATEGY", "ssl")], "HATCHET_CLIENT_TLS_STRATEGY"),
    ] {
        let mut command = with_settings(workspace.runner_command(&HELLO), settings);
        command.env("HATCHET_CLIENT_TOKEN", &token);
        Program::start(&mut command).wait().expect_error(2, &[part]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn own_certificate_authority_is_trusted() {
    let workspace = Workspace::new();
    let engine = tls_engine(&workspace).await;
    let token = engine.token();
    let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem")];
    let triggered =
        run_async(with_settings(workspace.runner_command(&[&HELLO[..], &["--no-wait"]].concat()), &settings))
            .await
            .expect(0);
    assert_eq!(triggered.stdout.len(), 1, "{triggered:?}");
    let worker = Program::start(&mut with_settings(workspace.worker_command(&["--grace", "0s"]), &settings));
    engine.until_listening().await;
    let stopped = tokio::task::spawn_blocking(move || {
        worker.err.until("the banner", |line| line == "  tls       tls");
        worker.err.wait_for("v0.1.0-alpha.0");
        worker.stop()
    });
    stopped.await.unwrap().expect(0);
}

/// A TLS acceptor that requires this client certificate.
fn acceptor(certificate: &str, key: &str, client: &str) -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let parse = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(parse(client)).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![parse(certificate)], key)
        .unwrap();
    Arc::new(config).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn client_certificate_and_server_name_apply_to_both_protocols() {
    let workspace = Workspace::new();
    let (certificate, key) = certificate_of(&workspace, "ca", &["engine.example"]);
    let (client, _) = certificate_of(&workspace, "client", &["worker.example"]);
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
    let doctor = || workspace.runner_command(&["doctor", "--output", "json"]);
    // Only the check of workers fails, since no worker is online.
    let output = run_async(with_settings(doctor(), &settings)).await.expect(5);
    for check in ["tls", "authentication", "rest"] {
        assert_eq!(output.doctor_check(check).0, "ok", "{output:#?}");
    }
    assert!(!rest.heads.lock().unwrap().is_empty());
    rest.heads.lock().unwrap().clear();
    // Without a client certificate, only REST refuses the connection.
    let open = Fake::start_tls(&certificate, &key).await;
    let token = open.token();
    let mut settings = settings.to_vec();
    settings[0].1 = &token;
    settings[4].1 = "tls";
    let output = run_async(with_settings(doctor(), &settings)).await.expect(5);
    assert_eq!(
        (output.doctor_check("tls").0, output.doctor_check("rest").0),
        ("ok".to_owned(), "failed".to_owned()),
        "{output:#?}"
    );
    assert!(rest.heads.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn untrusted_rest_certificate_error_has_ca_setting() {
    let workspace = Workspace::new();
    let (certificate, key) = certificate_of(&workspace, "rest", &["127.0.0.1"]);
    let engine = tls_engine(&workspace).await;
    let rest = RestStub::start(EMPTY_LIST, Some(acceptor(&certificate, &key, &certificate))).await;
    let (token, url) = (engine.token(), format!("https://{}", rest.address));
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_SERVER_URL", &url),
        ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem"),
    ];
    let output =
        run_async(with_settings(workspace.runner_command(&["doctor", "--output", "json"]), &settings)).await.expect(5);
    let (status, message) = output.doctor_check("rest");
    assert!(status == "failed" && message.contains("HATCHET_CLIENT_TLS_ROOT_CA_FILE"), "{output:#?}");
}
