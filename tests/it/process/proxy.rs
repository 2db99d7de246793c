//! HTTP proxies of the environment, and where a token may go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use super::{Ended, Place, Program, tls::run};
use crate::fake::{Fake, token};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// A proxy that makes tunnels to the targets that it knows, and remembers what it was told and shown.
struct HttpProxy {
    address: String,
    seen: Arc<Mutex<Seen>>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// The requests, with their headers.
    heads: Vec<String>,
    /// What went through the tunnels from the client's side.
    bytes: Vec<u8>,
}

impl HttpProxy {
    /// `targets` are the addresses that stand for the names, and `answer` is given instead of a tunnel.
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
                    // Each ends with its client.
                    tokio::spawn(async move { drop(tunnel(stream, &targets, answer, &seen).await) });
                }
            }
        };
        Self { address, seen, _serving: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }

    fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().heads.clone()
    }

    /// The targets that were asked for, in order and without repetitions.
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

/// A REST part that gives every request this answer; the requests' heads are kept.
pub(super) struct RestStub {
    pub(super) address: String,
    pub(super) heads: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<()>,
}

impl RestStub {
    /// With TLS where `tls` is given.
    pub(super) async fn start(answer: &'static str, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let serving = {
            let heads = heads.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (heads, tls) = (heads.clone(), tls.clone());
                    tokio::spawn(async move {
                        let _ = match tls {
                            None => answer_once(stream, answer, &heads).await,
                            Some(tls) => match tls.accept(stream).await {
                                Ok(stream) => answer_once(stream, answer, &heads).await,
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

async fn answer_once(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    answer: &str,
    heads: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// No worker and nothing else.
pub(super) const EMPTY_LIST: &str = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"rows\":[]}";

/// The status and the message of a check of `runner doctor --output json`.
#[track_caller]
pub(super) fn check(ended: &Ended, name: &str) -> (String, String) {
    let lines = ended.json_lines();
    let line = lines.iter().find(|line| line["check"] == name).unwrap_or_else(|| panic!("no {name} in {ended:#?}"));
    (line["status"].as_str().unwrap().to_owned(), line["message"].as_str().unwrap().to_owned())
}

async fn doctor(place: &Place, settings: &[(&str, &str)]) -> Ended {
    let mut command = place.runner_command(&["doctor", "--output", "json"]);
    command.envs(settings.iter().copied());
    run(command).await
}

/// Settings for an engine without TLS at a name that only the proxy knows.
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
    let place = Place::new();
    let dead = |mut command: std::process::Command| {
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        Program::start(&mut command)
    };
    let worker = dead(place.worker_command(&["--embedded"]));
    worker.err.until("the banner", |line| line.starts_with("  tasks "));
    let doctor = dead(place.runner_command(&["doctor", "--embedded"])).wait().expect(0);
    assert!(doctor.stdout.iter().all(|line| line.starts_with("✓ ") && !line.contains("proxy")), "{doctor:#?}");
    dead(place.runner_command(&[&["--embedded"], &HELLO[..]].concat())).wait().expect(0);
    let stopped = worker.stop().expect(0);
    assert!(!stopped.stderr.iter().any(|line| line.contains("cannot be paused")), "{stopped:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn both_protocols_take_the_proxys_tunnel() {
    let (place, engine, rest) = (Place::new(), Fake::start().await, RestStub::start(EMPTY_LIST, None).await);
    let targets = [("engine.invalid:7070", engine.address.to_string()), ("engine.invalid:8888", rest.address.clone())];
    let proxy = HttpProxy::start(&targets, None).await;
    let token = engine.token();
    let url = format!("http://me:s%40cret@{}", proxy.address);
    let settings = [&behind(&url)[..], &[("HATCHET_CLIENT_TOKEN", &token), ("RUST_LOG", "trace")]].concat();
    let ended = doctor(&place, &settings).await.expect(5);
    let (status, said) = check(&ended, "proxy");
    assert_eq!(status, "ok");
    let through = format!("through http://{} (from HTTP_PROXY)", proxy.address);
    assert_eq!(said, format!("gRPC {through}, REST {through}"));
    // No worker is online.
    for fine in ["tcp", "authentication", "rest"] {
        assert_eq!(check(&ended, fine).0, "ok", "{ended:#?}");
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
async fn no_proxy_goes_without_it() {
    let (place, proxy) = (Place::new(), HttpProxy::start(&[], None).await);
    let token = token("x:1", "");
    for except in ["engine.invalid", ".invalid", "other,*"] {
        let settings =
            [&behind(&proxy.address)[..], &[("HATCHET_CLIENT_TOKEN", &token), ("NO_PROXY", except)]].concat();
        let ended = doctor(&place, &settings).await.expect(5);
        assert!(check(&ended, "tcp").1.contains("nothing answers at engine.invalid:7070"), "{ended:#?}");
    }
    assert!(proxy.heads().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn proxy_that_does_not_connect_is_named() {
    let place = Place::new();
    let token = token("x:1", "");
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let mut cases = vec![(None, closed, "refused")];
    for (answer, part) in [
        ("HTTP/1.1 403 Forbidden", "it answered 403 Forbidden"),
        ("HTTP/1.1 407 Proxy Authentication Required", "it wants a user and password (407)"),
        ("SSH-2.0-x", "it does not answer as an HTTP proxy"),
    ] {
        let proxy = HttpProxy::start(&[], Some(answer)).await;
        let address = proxy.address.clone();
        cases.push((Some(proxy), address, part));
    }
    for (_proxy, address, part) in &cases {
        let settings = [&behind(address)[..], &[("HATCHET_CLIENT_TOKEN", &token)]].concat();
        let shown = format!("the proxy http://{address} (from HTTP_PROXY)");
        let parts = [&shown, *part, "correct HTTP_PROXY", "add `engine.invalid` to NO_PROXY"];
        for mut command in [place.runner_command(&HELLO), place.worker_command(&[])] {
            command.envs(settings.iter().copied());
            run(command).await.expect_error(5, &parts);
        }
        let ended = doctor(&place, &settings).await.expect(5);
        let (status, said) = check(&ended, "tcp");
        assert!(status == "failed" && parts.iter().all(|part| said.contains(part)), "{ended:#?}");
    }
}

#[test]
fn unsupported_proxy_is_refused() {
    let place = Place::new();
    let token = token("engine.invalid:7070", "");
    for mut command in [place.runner_command(&HELLO), place.worker_command(&[])] {
        command.env("HATCHET_CLIENT_TOKEN", &token).env("ALL_PROXY", "socks5://me:secret@127.0.0.1:1080");
        let ended = Program::start(&mut command).wait();
        assert!(!ended.stderr.join("").contains("secret"), "{ended:#?}");
        ended.expect_error(2, &["ALL_PROXY names a `socks5` proxy", "NO_PROXY"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn token_is_hidden_from_the_proxy_by_tls() {
    let place = Place::new();
    let engine = super::tls::tls_engine_of(&place, &["engine.invalid"]).await;
    let proxy = HttpProxy::start(&[("engine.invalid:7070", engine.address.to_string())], None).await;
    let token = engine.token();
    let mut command = place.runner_command(&[&HELLO[..], &["--no-wait"]].concat());
    command.envs([
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_HOST_PORT", "engine.invalid:7070"),
        ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem"),
        ("https_proxy", &proxy.address),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
    ]);
    run(command).await.expect(0);
    assert_eq!(proxy.asked(), ["CONNECT engine.invalid:7070 HTTP/1.1"]);
    assert!(!proxy.seen.lock().unwrap().bytes.is_empty() && !proxy.has_seen(&token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn token_does_not_leave_in_clear_over_rest() {
    let place = Place::new();
    let engine = super::tls::tls_engine(&place).await;
    let proxy = HttpProxy::start(&[], None).await;
    let token = engine.token();
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_TLS_ROOT_CA_FILE", "ca.pem"),
        ("HATCHET_CLIENT_SERVER_URL", "http://engine.invalid:8888"),
        ("HTTP_PROXY", &proxy.address),
    ];
    let ended = doctor(&place, &settings).await.expect(2);
    let (status, said) = check(&ended, "rest");
    assert!(status == "failed" && said.contains("http://engine.invalid:8888 unencrypted"), "{ended:#?}");
    assert!(said.contains("HATCHET_CLIENT_SERVER_URL"), "{ended:#?}");
    assert_eq!(ended.stderr.iter().filter(|line| line.contains("REST is not used")).count(), 1, "{ended:#?}");
    assert!(proxy.heads().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn redirect_is_not_followed() {
    let (place, engine) = (Place::new(), Fake::start().await);
    let elsewhere = RestStub::start(EMPTY_LIST, None).await;
    let answer = format!("HTTP/1.1 307 Moved\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let rest = RestStub::start(answer.leak(), None).await;
    let (token, url) = (engine.token(), format!("http://{}", rest.address));
    let settings = [
        ("HATCHET_CLIENT_TOKEN", token.as_str()),
        ("HATCHET_CLIENT_TLS_STRATEGY", "none"),
        ("HATCHET_CLIENT_SERVER_URL", &url),
    ];
    let ended = doctor(&place, &settings).await.expect(5);
    let (status, said) = check(&ended, "rest");
    assert!(status == "failed" && said.contains(&elsewhere.address), "{ended:#?}");
    assert!(said.contains("not followed: set HATCHET_CLIENT_SERVER_URL"), "{ended:#?}");
    assert!(elsewhere.heads.lock().unwrap().is_empty());
}
