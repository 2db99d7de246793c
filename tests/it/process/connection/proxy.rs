//! HTTP proxies from the environment, and where a token may be sent.

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
    process::{Ended, Program, Workspace, run_async},
};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// A proxy that opens tunnels to known targets and records requests and traffic.
struct HttpProxy {
    address: String,
    seen: Arc<Mutex<Seen>>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// Heads of the requests.
    heads: Vec<String>,
    /// Bytes sent by clients through tunnels.
    bytes: Vec<u8>,
}

impl HttpProxy {
    /// `targets` maps names to addresses. With `answer`, no tunnel is opened.
    async fn start(targets: &[(&str, String)], answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let targets: HashMap<String, String> =
            targets.iter().map(|(name, at)| (name.to_string(), at.clone())).collect();
        let seen = Arc::<Mutex<Seen>>::default();
        let serving = {
            let seen = seen.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (targets, seen) = (targets.clone(), seen.clone());
                    tokio::spawn(async move { drop(tunnel(stream, &targets, answer, &seen).await) });
                }
            }
        };
        Self { address, seen, _serving: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }

    fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().heads.clone()
    }

    /// The request lines, sorted and without duplicates.
    fn asked(&self) -> Vec<String> {
        let mut asked: Vec<String> =
            self.heads().iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect();
        asked.sort();
        asked.dedup();
        asked
    }

    fn has_seen(&self, text: &str) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.bytes.windows(text.len()).any(|part| part == text.as_bytes()) || seen.heads.join("").contains(text)
    }
}

async fn tunnel(
    mut client: TcpStream,
    targets: &HashMap<String, String>,
    answer: Option<&'static str>,
    seen: &Mutex<Seen>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
    seen.lock().unwrap().heads.push(head);
    let Some(address) = targets.get(&target).filter(|_| answer.is_none()) else {
        let answer = answer.unwrap_or("HTTP/1.1 404 no such target");
        return client.write_all(format!("{answer}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
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
                    seen.lock().unwrap().bytes.extend_from_slice(&buffer[..read]);
                    to_server.write_all(&buffer[..read]).await?;
                }
            }
        }
    };
    tokio::try_join!(up, async { copy(&mut from_server, &mut to_client).await.map(drop) }).map(drop)
}

async fn doctor(workspace: &Workspace, settings: &[(&str, &str)]) -> Ended {
    let mut command = workspace.runner_command(&["doctor", "--output", "json"]);
    command.envs(settings.iter().copied());
    run_async(command).await
}

/// Settings for an engine without TLS under a name that only the proxy resolves.
fn behind(proxy: &str) -> Vec<(&str, &str)> {
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
    let dead = |mut command: std::process::Command| {
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        Program::start(&mut command)
    };
    let worker = dead(workspace.worker_command(&["--embedded"]));
    worker.err.until("the banner", |line| line.starts_with("  tasks "));
    let doctor = dead(workspace.runner_command(&["doctor", "--embedded"])).wait().expect(0);
    assert!(doctor.stdout.iter().all(|line| line.starts_with("✓ ") && !line.contains("proxy")), "{doctor:#?}");
    dead(workspace.runner_command(&[&["--embedded"], &HELLO[..]].concat())).wait().expect(0);
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
    let settings = [&behind(&url)[..], &[("HATCHET_CLIENT_TOKEN", &token), ("RUST_LOG", "trace")]].concat();
    let ended = doctor(&workspace, &settings).await.expect(5);
    let (status, said) = ended.doctor_check("proxy");
    assert_eq!(status, "ok");
    let through = format!("through http://{} (from HTTP_PROXY)", proxy.address);
    assert_eq!(said, format!("gRPC {through}, REST {through}"));
    // The check of workers fails: none is online.
    for fine in ["tcp", "authentication", "rest"] {
        assert_eq!(ended.doctor_check(fine).0, "ok", "{ended:#?}");
    }
    let asked = ["CONNECT engine.invalid:7070 HTTP/1.1", "CONNECT engine.invalid:8888 HTTP/1.1"];
    assert_eq!(proxy.asked(), asked);
    for head in proxy.heads() {
        // me:s@cret
        assert!(head.contains("Proxy-Authorization: Basic bWU6c0BjcmV0\r\n"), "{head}");
        assert!(!head.contains(&token), "{head}");
    }
    let all = [ended.stdout.join("\n"), ended.stderr.join("\n")].concat();
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
            [&behind(&proxy.address)[..], &[("HATCHET_CLIENT_TOKEN", &token), ("NO_PROXY", except)]].concat();
        let ended = doctor(&workspace, &settings).await.expect(5);
        assert!(ended.doctor_check("tcp").1.contains("no server responds at engine.invalid:7070"), "{ended:#?}");
    }
    assert!(proxy.heads().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn failing_proxy_is_named() {
    let workspace = Workspace::new();
    let token = token("x:1", "");
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let mut cases = vec![(None, closed, "refused")];
    for (answer, part) in [
        ("HTTP/1.1 403 Forbidden", "it responded with 403 Forbidden"),
        ("HTTP/1.1 407 Proxy Authentication Required", "it requires a user and password (407)"),
        ("SSH-2.0-x", "it is not an HTTP proxy"),
    ] {
        let proxy = HttpProxy::start(&[], Some(answer)).await;
        let address = proxy.address.clone();
        cases.push((Some(proxy), address, part));
    }
    for (_proxy, address, part) in &cases {
        let settings = [&behind(address)[..], &[("HATCHET_CLIENT_TOKEN", &token)]].concat();
        let shown = format!("the proxy http://{address} (from HTTP_PROXY)");
        let parts = [&shown, *part, "Correct HTTP_PROXY", "add \"engine.invalid\" to NO_PROXY"];
        for mut command in [workspace.runner_command(&HELLO), workspace.worker_command(&[])] {
            command.envs(settings.iter().copied());
            run_async(command).await.expect_error(5, &parts);
        }
        let ended = doctor(&workspace, &settings).await.expect(5);
        let (status, said) = ended.doctor_check("tcp");
        assert!(status == "failed" && parts.iter().all(|part| said.contains(part)), "{ended:#?}");
    }
}

#[test]
fn unsupported_proxy_is_refused() {
    let workspace = Workspace::new();
    let token = token("engine.invalid:7070", "");
    for mut command in [workspace.runner_command(&HELLO), workspace.worker_command(&[])] {
        command.env("HATCHET_CLIENT_TOKEN", &token).env("ALL_PROXY", "socks5://me:secret@127.0.0.1:1080");
        let ended = Program::start(&mut command).wait();
        assert!(!ended.stderr.join("").contains("secret"), "{ended:#?}");
        ended.expect_error(2, &["invalid ALL_PROXY", "socks5 proxies are not supported", "NO_PROXY"]);
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
    assert_eq!(proxy.asked(), ["CONNECT engine.invalid:7070 HTTP/1.1"]);
    assert!(!proxy.seen.lock().unwrap().bytes.is_empty() && !proxy.has_seen(&token));
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
    let ended = doctor(&workspace, &settings).await.expect(2);
    let (status, said) = ended.doctor_check("rest");
    assert!(status == "failed" && said.contains("http://engine.invalid:8888 unencrypted"), "{ended:#?}");
    assert!(said.contains("HATCHET_CLIENT_SERVER_URL"), "{ended:#?}");
    assert_eq!(ended.stderr.iter().filter(|line| line.contains("REST is not used")).count(), 1, "{ended:#?}");
    assert!(proxy.heads().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn redirect_is_not_followed() {
    let (workspace, engine) = (Workspace::new(), Fake::start().await);
    let elsewhere = RestStub::start(EMPTY_LIST, None).await;
    let answer = format!("HTTP/1.1 307 Moved\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let rest = RestStub::start(answer.leak(), None).await;
    let (token, url) = (engine.token(), format!("http://{}", rest.address));
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_TLS_STRATEGY", "none"),
        ("HATCHET_CLIENT_SERVER_URL", &url),
    ];
    let ended = doctor(&workspace, &settings).await.expect(5);
    let (status, said) = ended.doctor_check("rest");
    assert!(status == "failed" && said.contains(&elsewhere.address), "{ended:#?}");
    assert!(said.contains("not followed. Set HATCHET_CLIENT_SERVER_URL"), "{ended:#?}");
    assert!(elsewhere.heads.lock().unwrap().is_empty());
}
