//! Servers that are no engine, and TLS certificates.

use std::{
    io::Write as _,
    net::TcpListener,
    sync::{Arc, Mutex},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::task::AbortOnDropHandle;

use crate::{fake::Fake, process::Workspace};

/// The first bytes of a server without TLS: an HTTP/2 SETTINGS frame.
pub(in crate::process) const HTTP2_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// An empty list, as a REST response.
pub(super) const EMPTY_LIST: &str = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"rows\":[]}";

/// Starts a server that sends `greeting` on each connection and keeps it open, without reading. Returns its address.
pub(in crate::process) fn silent_server(greeting: &'static [u8]) -> String {
    start_server(greeting, true)
}

/// Starts a server that sends `greeting` on each connection, then keeps it open or closes it. Returns its address.
pub(in crate::process) fn start_server(greeting: &'static [u8], keep_open: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(greeting);
            open.extend(keep_open.then_some(stream));
        }
    });
    address
}

/// Starts an engine with TLS, with the certificate `ca.pem` of the workspace.
pub(in crate::process) async fn tls_engine(workspace: &Workspace) -> Fake {
    tls_engine_for(workspace, &["localhost", "127.0.0.1"]).await
}

/// Starts an engine with TLS and a certificate for these names.
pub(super) async fn tls_engine_for(workspace: &Workspace, names: &[&str]) -> Fake {
    let (certificate, key) = certificate(workspace, "ca", names);
    Fake::start_tls(&certificate, &key).await
}

/// Creates a self-signed certificate and its key, as PEM and as the files `<file>.pem` and `<file>-key.pem`.
pub(super) fn certificate(workspace: &Workspace, file: &str, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let generated = rcgen::generate_simple_self_signed(names).unwrap();
    let (certificate, key) = (generated.cert.pem(), generated.signing_key.serialize_pem());
    workspace.write(&format!("{file}.pem"), &certificate);
    workspace.write(&format!("{file}-key.pem"), &key);
    (certificate, key)
}

/// A REST server that sends the same response to every request and records the heads of the requests.
pub(in crate::process) struct RestStub {
    pub(in crate::process) address: String,
    pub(in crate::process) heads: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<()>,
}

impl RestStub {
    /// Starts the server, with TLS if `tls` is given.
    pub(in crate::process) async fn start(response: &'static str, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let serving = {
            let heads = heads.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (heads, tls) = (heads.clone(), tls.clone());
                    tokio::spawn(async move {
                        let _ = match tls {
                            None => respond_once(stream, response, &heads).await,
                            Some(tls) => match tls.accept(stream).await {
                                Ok(stream) => respond_once(stream, response, &heads).await,
                                Err(e) => Err(e),
                            },
                        };
                    });
                }
            }
        };
        Self { address, heads, _serving: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }
}

async fn respond_once(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    response: &str,
    heads: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}
