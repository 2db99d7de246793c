//! HTTP proxies from the environment, and connections that must not carry a token.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use super::servers::{EMPTY_LIST, RestStub, tls_engine, tls_engine_for};
use crate::{
    fake::{Fake, token},
    process::{Program, ProgramOutput, Workspace, run_async},
    support::CLOSED,
};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// A proxy that opens tunnels to known targets and records requests and sent bytes.
struct HttpProxy {
    address: String,
    recorded: Arc<Mutex<Recorded>>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Recorded {
    /// Heads of the requests.
    heads: Vec<String>,
    /// Bytes sent by clients through tunnels.
    bytes: Vec<u8>,
}

impl HttpProxy {
    /// `targets` maps names to addresses. With `response`, the proxy sends it and opens no tunnel.
    async fn start(targets: &[(&str, String)], response: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let targets: HashMap<String, String> =
            targets.iter().map(|(name, address)| (name.to_string(), address.clone())).collect();
        let recorded = Arc::<Mutex<Recorded>>::default();
        let serving = {
            let recorded = recorded.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (targets, recorded) = (targets.clone(), recorded.clone());
                    tokio::spawn(async move { drop(tunnel(stream, &targets, response, &recorded).await) });
                }
            }
        };
        Self { address, recorded, _serving: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }

    fn heads(&self) -> Vec<String> {
        self.recorded.lock().unwrap().heads.clone()
    }

    /// The request lines, sorted and without duplicates.
    fn request_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.heads().iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect();
        lines.sort();
        lines.dedup();
        lines
    }

    fn has_received(&self, text: &str) -> bool {
        let recorded = self.recorded.lock().unwrap();
        recorded.bytes.windows(text.len()).any(|part| part == text.as_bytes()) || recorded.heads.join("").contains(text)
    }
}

async fn tunnel(
    mut client: TcpStream,
    targets: &HashMap<String, String>,
    response: Option<&'static str>,
    recorded: &Mutex<Recorded>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
    recorded.lock().unwrap().heads.push(head);
    let Some(address) = targets.get(&target).filter(|_| response.is_none()) else {
        let response = response.unwrap_or("HTTP/1.1 404 no such target");
        return client.write_all(format!("{response}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
    };
    let server = TcpStream::connect(address).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut buffer = [0; 4096];
        loop {
            match from_client.read(&mut buffer).await? {
                0 => return to_server.shutdown().await,
                read => {
                    recorded.lock().unwrap().bytes.extend_from_slice(&buffer[..read]);
                    to_server.write_all(&buffer[..read]).await?;
                }
            }
        }
    };
    tokio::try_join!(up, async { copy(&mut from_server, &mut to_client).await.map(drop) }).map(drop)
}

async fn doctor(workspace: &Workspace, settings: &[(&str, &str)]) -> ProgramOutput {
    let mut command = workspace.runner_command(&["doctor", "--output", "json"]);
    command.envs(settings.iter().copied());
    run_async(command).await
}

/// Settings for an engine without TLS and with a host name that only the proxy resolves.
fn settings_behind(proxy: &str) -> Vec<(&str, &str)> {
    vec![
        ("HATCHET_CLIENT_TLS_STRATEGY", "none"),
        ("HATCHET_CLIENT_HOST_PORT", "engine.invalid:7070"),
        ("HATCHET_CLIENT_SERVER_URL", "http://engine.invalid:8888"),
        ("HTTP_PROXY", proxy),
    ]
}

#[test]
fn loopback_engine_ignores_proxies() {
    let workspace = Workspace::new();
    let with_dead_proxies = |mut command: std::process::Command| {
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        Program::start(&mut command)
    };
    let worker = with_dead_proxies(workspace.worker_command(&["--embedded"]));
    worker.err.until("the banner", |line| line.starts_with("  tasks "));
    let doctor = with_dead_proxies(workspace.runner_command(&["doctor", "--embedded"])).wait().expect(0);
    assert!(doctor.stdout.iter().all(|line| line.starts_with("✓ ") && !line.contains("proxy")), "{doctor:#?}");
    with_dead_proxies(workspace.runner_command(&[&["--embedded"], &HELLO[..]].concat())).wait().expect(0);
    let stopped = worker.stop().expect(0);
    assert!(!stopped.stderr.iter().any(|line| line.contains("cannot be paused")), "{stopped:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn grpc_and_rest_use_the_proxys_tunnel() {
    let (workspace, engine, rest) = (Workspace::new(), Fake::start().await, RestStub::start(EMPTY_LIST, None).await);
    let targets = [("engine.invalid:7070", engine.address.to_string()), ("engine.invalid:8888", rest.address.clone())];
    let proxy = HttpProxy::start(&targets, None).await;
    let token = engine.token();
    let url = format!("http://me:s%40cret@{}", proxy.address);
    let settings = [&settings_behind(&url)[..], &[("HATCHET_CLIENT_TOKEN", &token), ("RUST_LOG", "trace")]].concat();
    let output = doctor(&workspace, &settings).await.expect(5);
    let (status, message) = output.doctor_check("proxy");
    assert_eq!(status, "ok");
    let through = format!("through http://{} (from HTTP_PROXY)", proxy.address);
    assert_eq!(message, format!("gRPC {through}, REST {through}"));
    // The check of workers fails, since no worker is online.
    for check in ["tcp", "authentication", "rest"] {
        assert_eq!(output.doctor_check(check).0, "ok", "{output:#?}");
    }
    let expected = ["CONNECT engine.invalid:7070 HTTP/1.1", "CONNECT engine.invalid:8888 HTTP/1.1"];
    assert_eq!(proxy.request_lines(), expected);
    for head in proxy.heads() {
        // me:s@cret
        assert!(head.contains("Proxy-Authorization: Basic bWU6c0BjcmV0\r\n"), "{head}");
        assert!(!head.contains(&token), "{head}");
    }
    let all = [output.stdout.join("\n"), output.stderr.join("\n")].concat();
    assert!(!all.contains("cret@") && !all.contains("bWU6c0BjcmV0"), "{all}");
    let heads = rest.heads.lock().unwrap().join("");
    assert!(heads.contains("\r\nhost: engine.invalid:8888\r\n") && !heads.contains("http://"), "{heads}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_proxy_bypasses_the_proxy() {
    let (workspace, proxy) = (Workspace::new(), HttpProxy::start(&[], None).await);
    let token = token("x:1", "");
    for except in ["engine.invalid", ".invalid", "other,*"] {
        let settings =
            [&settings_behind(&proxy.address)[..], &[("HATCHET_CLIENT_TOKEN", &token), ("NO_PROXY", except)]].concat();
        let output = doctor(&workspace, &settings).await.expect(5);
        assert!(output.doctor_check("tcp").1.contains("no server responds at engine.invalid:7070"), "{output:#?}");
    }
    assert!(proxy.heads().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn failing_proxy_is_named() {
    let workspace = Workspace::new();
    let token = token("x:1", "");
    let mut cases = vec![(None, CLOSED.to_owned(), "refused")];
    for (response, part) in [
        ("HTTP/1.1 403 Forbidden", "it responded with 403 Forbidden"),
        ("HTTP/1.1 407 Proxy Authentication Required", "it requires a user and password (407)"),
        ("SSH-2.0-x", "it is not an HTTP proxy"),
    ] {
        let proxy = HttpProxy::start(&[], Some(response)).await;
        let address = proxy.address.clone();
        cases.push((Some(proxy), address, part));
    }
    let checks = cases.iter().map(async |(_proxy, address, part)| {
        let settings = [&settings_behind(address)[..], &[("HATCHET_CLIENT_TOKEN", &token)]].concat();
        let shown = format!("the proxy http://{address} (from HTTP_PROXY)");
        let parts = [&shown, *part, "Correct HTTP_PROXY", "add \"engine.invalid\" to NO_PROXY"];
        let run = async |mut command: std::process::Command| {
            command.envs(settings.iter().copied());
            run_async(command).await.expect_error(5, &parts)
        };
        let (runner, worker) = (workspace.runner_command(&HELLO), workspace.worker_command(&[]));
        let (_, _, output) = tokio::join!(run(runner), run(worker), doctor(&workspace, &settings));
        let output = output.expect(5);
        let (status, message) = output.doctor_check("tcp");
        assert!(status == "failed" && parts.iter().all(|part| message.contains(part)), "{output:#?}");
    });
    futures_util::future::join_all(checks).await;
}

#[test]
fn unsupported_proxy_is_refused() {
    let workspace = Workspace::new();
    let token = token("engine.invalid:7070", "");
    for mut command in [workspace.runner_command(&HELLO), workspace.worker_command(&[])] {
        command.env("HATCHET_CLIENT_TOKEN", &token).env("ALL_PROXY", "socks5://me:secret@127.0.0.1:1080");
        let output = Program::start(&mut command).wait();
        assert!(!output.stderr.join("").contains("secret"), "{output:#?}");
        output.expect_error(2, &["invalid ALL_PROXY", "socks5 proxies are not supported", "NO_PROXY"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn tls_hides_the_token_from_the_proxy() {
    let workspace = Workspace::new();
    let engine = tls_engine_for(&workspace, &["engine.invalid"]).await;
    let proxy = HttpProxy::start(&[("engine.invalid:7070", engine.address.to_string())], None).await;
    let token = engine.token();
    let mut command = workspace.runner_command(&[&HELLO[..], &["--no-wait"]].concat());
    command.envs([
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_HOST_PORT", "engine.invalid:7070"),
        ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem"),
        ("https_proxy", &proxy.address),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
    ]);
    run_async(command).await.expect(0);
    assert_eq!(proxy.request_lines(), ["CONNECT engine.invalid:7070 HTTP/1.1"]);
    assert!(!proxy.recorded.lock().unwrap().bytes.is_empty() && !proxy.has_received(&token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn token_is_not_sent_unencrypted_over_rest() {
    let workspace = Workspace::new();
    let engine = tls_engine(&workspace).await;
    let proxy = HttpProxy::start(&[], None).await;
    let token = engine.token();
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem"),
        ("HATCHET_CLIENT_SERVER_URL", "http://engine.invalid:8888"),
        ("HTTP_PROXY", &proxy.address),
    ];
    let output = doctor(&workspace, &settings).await.expect(2);
    let (status, message) = output.doctor_check("rest");
    assert!(status == "failed" && message.contains("http://engine.invalid:8888 unencrypted"), "{output:#?}");
    assert!(message.contains("HATCHET_CLIENT_SERVER_URL"), "{output:#?}");
    assert_eq!(output.stderr.iter().filter(|line| line.contains("REST is not used")).count(), 1, "{output:#?}");
    assert!(proxy.heads().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn redirect_is_not_followed() {
    let (workspace, engine) = (Workspace::new(), Fake::start().await);
    let elsewhere = RestStub::start(EMPTY_LIST, None).await;
    let response =
        format!("HTTP/1.1 307 Moved\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let rest = RestStub::start(response.leak(), None).await;
    let (token, url) = (engine.token(), format!("http://{}", rest.address));
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_TLS_STRATEGY", "none"),
        ("HATCHET_CLIENT_SERVER_URL", &url),
    ];
    let output = doctor(&workspace, &settings).await.expect(5);
    let (status, message) = output.doctor_check("rest");
    assert!(status == "failed" && message.contains(&elsewhere.address), "{output:#?}");
    assert!(message.contains("not followed. Set HATCHET_CLIENT_SERVER_URL"), "{output:#?}");
    assert!(elsewhere.heads.lock().unwrap().is_empty());
}
