//! Floods of connections and streams.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use hatchet_quickstart::hatchet::wire::proto::{
    GetVersionRequest, SubscribeToWorkflowEventsRequest, dispatcher_client::DispatcherClient,
};
use tonic::Code;

use crate::{
    process::{Program, Workspace},
    support::{Embedded, Target, eventually, page_as, until},
};

/// Maximum number of unauthenticated connections that the engine keeps open.
const MAX_UNAUTHENTICATED: usize = 512;

/// Number of connections of a flood, many times [`MAX_UNAUTHENTICATED`].
const FLOOD_CONNECTIONS: usize = 5000;

fn open_unauthenticated(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |n: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        // Sends nothing, or the first bytes of HTTP/1, TLS or HTTP/2.
        let sent: &[u8] = [b"", &b"GET / HTTP/1.1\r\nHost: lo"[..], b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP"][n % 4];
        let _ = stream.write_all(sent);
        stream
    };
    (0..count).map(connect).collect()
}

/// Whether the engine has not closed the connection.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 1024]) {
        Ok(read) => read > 0,
        Err(e) => e.kind() == ErrorKind::WouldBlock,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_flood_leaves_authenticated_connections_open() {
    let target = Target::embedded(Embedded::start().await);
    let address: SocketAddr = target.embedded_address();
    // Authenticates a connection before the flood.
    target.dispatcher().get_version(GetVersionRequest {}).await.unwrap();
    let mut flood = tokio::task::block_in_place(|| open_unauthenticated(address, 700));
    tokio::task::block_in_place(|| {
        until("the flood is within the limit", || {
            let open = flood.iter_mut().filter_map(|stream| is_open(stream).then_some(())).count();
            (open <= MAX_UNAUTHENTICATED).then_some(())
        });
    });
    target.dispatcher().get_version(GetVersionRequest {}).await.unwrap();
    for _ in 0..20 {
        let channel = target.endpoint().connect().await.unwrap();
        let mut new = DispatcherClient::new(target.channel_over(channel));
        new.get_version(GetVersionRequest {}).await.unwrap();
    }
    drop(flood);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_client_connects_during_a_flood() {
    let target = Target::embedded(Embedded::start().await);
    let address: SocketAddr = target.embedded_address();
    let (stop, connected) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood = || {
        let (stop, connected) = (stop.clone(), connected.clone());
        std::thread::spawn(move || {
            let mut open = VecDeque::new();
            while !stop.load(Ordering::Relaxed) {
                open.extend(TcpStream::connect_timeout(&address, Duration::from_secs(1)));
                connected.fetch_add(1, Ordering::Relaxed);
                // Stays below the limit of open files of this process.
                if open.len() > 150 {
                    open.pop_front();
                }
            }
        })
    };
    let floods = [flood(), flood()];
    // On a busy machine, a client can take longer than the grace period to authenticate. The engine then disconnects
    // it, and it calls again, as every SDK does. The unit tests of the registry show that the grace period is kept.
    let mut clients = 0;
    while clients < 100 || connected.load(Ordering::Relaxed) < FLOOD_CONNECTIONS {
        eventually("a new client calls the engine", async || {
            let channel = target.endpoint().connect().await.ok()?;
            let mut new = DispatcherClient::new(target.channel_over(channel));
            new.get_version(GetVersionRequest {}).await.ok()
        })
        .await;
        clients += 1;
    }
    stop.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
}

#[test]
fn engine_with_few_file_descriptors_survives_a_flood() {
    let workspace = Workspace::new();
    let script = format!("ulimit -n 100 && exec {} --engine-only", env!("CARGO_BIN_EXE_worker"));
    let engine = Program::start(&mut workspace.command("sh", &["-c", &script]));
    engine.err.until("an engine that serves", |line| line.starts_with("engine at "));
    let handshake = workspace.handshake();
    let address: SocketAddr = handshake.grpc_address.parse().unwrap();
    let path = format!("/api/v1/tenants/{}", handshake.tenant_id);
    let bearer = format!("Bearer {}", handshake.token);
    let flood = open_unauthenticated(address, 300);
    assert_eq!(page_as(address, &path, &[("Authorization", &bearer)]).status, 200, "during the flood");
    // Authenticated connections exhaust the file descriptors. The engine waits until clients close some of them.
    let authenticated = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        stream
    };
    let connections: Vec<TcpStream> = (0..200).map(authenticated).collect();
    engine.err.wait_for("accepting a connection failed");
    drop((flood, connections));
    until("the engine serves again", || {
        (page_as(address, &path, &[("Authorization", &bearer)]).status == 200).then_some(())
    });
    engine.stop().expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_are_bounded() {
    let target = Target::embedded(Embedded::start().await);
    let mut open = Vec::new();
    let request = SubscribeToWorkflowEventsRequest {
        additional_meta_key: Some("k".into()),
        additional_meta_value: Some("v".into()),
        ..Default::default()
    };
    let refused = loop {
        let dispatcher = DispatcherClient::new(target.channel_over(target.endpoint().connect().await.unwrap()));
        let subscribe = |_| {
            let (mut dispatcher, request) = (dispatcher.clone(), request.clone());
            async move { dispatcher.subscribe_to_workflow_events(request).await }
        };
        let responses: Vec<_> = stream::iter(0..2000).map(subscribe).buffer_unordered(50).collect().await;
        let (accepted, mut refused): (Vec<_>, Vec<_>) = responses.into_iter().partition(Result::is_ok);
        open.extend(accepted);
        if let Some(Err(status)) = refused.pop() {
            break status;
        }
        assert!(open.len() < 10_000, "the number of streams is not bounded");
    };
    assert_eq!((refused.code(), open.len()), (Code::ResourceExhausted, 8192), "{refused:?}");
    let version = target.dispatcher().get_version(GetVersionRequest {}).await;
    assert!(version.unwrap_err().message().contains("too many calls and streams"), "a call while all streams are open");
    drop(open);
    eventually("a call is accepted again", async || target.dispatcher().get_version(GetVersionRequest {}).await.ok())
        .await;
}
