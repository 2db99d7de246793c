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

use hatchet_quickstart::hatchet::wire::proto::{
    GetVersionRequest, SubscribeToWorkflowEventsRequest, dispatcher_client::DispatcherClient,
};
use tonic::Code;

use crate::{
    process::{Program, Workspace},
    support::{Embedded, Target, eventually, page_as, until},
};

/// Most unauthenticated connections that the engine keeps open.
const MAX_UNAUTHENTICATED: usize = 512;

/// Connections of a flood: many times the number that the engine keeps open.
const FLOOD: usize = 5000;

fn unauthenticated_connections(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |n: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        // Some send nothing, some an incomplete request, some TLS.
        let sent: &[u8] = [b"", &b"GET / HTTP/1.1\r\nHost: lo"[..], b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP"][n % 4];
        let _ = stream.write_all(sent);
        stream
    };
    (0..count).map(connect).collect()
}

/// Whether the engine has not closed the connection.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    match stream.read(&mut [0; 1024]) {
        Ok(read) => read > 0,
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_connections_leaves_authenticated_ones_open() {
    let target = Target::embedded(Embedded::start().await);
    let address: SocketAddr = target.embedded_address();
    // Authenticates a connection before the flood.
    target.dispatcher().get_version(GetVersionRequest {}).await.unwrap();
    let mut flood = tokio::task::block_in_place(|| unauthenticated_connections(address, 700));
    tokio::task::block_in_place(|| {
        until("room again", || {
            let open = flood.iter_mut().filter_map(|stream| is_open(stream).then_some(())).count();
            (open <= MAX_UNAUTHENTICATED).then_some(())
        });
    });
    target.dispatcher().get_version(GetVersionRequest {}).await.unwrap();
    for _ in 0..20 {
        let channel = target.endpoint().connect().await.unwrap();
        let mut new = DispatcherClient::new(target.link_over(channel));
        new.get_version(GetVersionRequest {}).await.unwrap();
    }
    drop(flood);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_clients_get_through_a_connect_flood() {
    let target = Target::embedded(Embedded::start().await);
    let address: SocketAddr = target.embedded_address();
    let (is_over, connected) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood = || {
        let (is_over, connected) = (is_over.clone(), connected.clone());
        std::thread::spawn(move || {
            let mut open = VecDeque::new();
            while !is_over.load(Ordering::Relaxed) {
                open.extend(TcpStream::connect_timeout(&address, Duration::from_secs(1)));
                connected.fetch_add(1, Ordering::Relaxed);
                // Fewer than the files that this process may open.
                if open.len() > 150 {
                    open.pop_front();
                }
            }
        })
    };
    let floods = [flood(), flood()];
    let (mut calls, mut refused) = (0, Vec::new());
    while calls < 100 || connected.load(Ordering::Relaxed) < FLOOD {
        let call = async {
            let channel = target.endpoint().connect().await.map_err(|e| format!("{e:?}"))?;
            let mut new = DispatcherClient::new(target.link_over(channel));
            new.get_version(GetVersionRequest {}).await.map_err(|e| format!("{e:?}"))
        };
        calls += 1;
        refused.extend(call.await.err());
    }
    is_over.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    assert!(refused.is_empty(), "{} of {calls} were refused: {:?}", refused.len(), refused.first());
}

#[test]
fn engine_with_few_file_descriptors_survives_a_flood() {
    let place = Workspace::new();
    let script = format!("ulimit -n 100 && exec {} --engine-only", env!("CARGO_BIN_EXE_worker"));
    let engine = Program::start(&mut place.command("sh", &["-c", &script]));
    engine.err.until("the engine serves", |line| line.starts_with("engine at "));
    let handshake = place.handshake();
    let address: SocketAddr = handshake.grpc_address.parse().unwrap();
    let path = format!("/api/v1/tenants/{}", handshake.tenant_id);
    let bearer = format!("Bearer {}", handshake.token);
    let flood = unauthenticated_connections(address, 300);
    assert_eq!(page_as(address, &path, &[("Authorization", &bearer)]).status, 200, "during the flood");
    // Authenticated connections exhaust the file descriptors: the engine waits until some are closed.
    let authenticated = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        stream
    };
    let connections: Vec<TcpStream> = (0..200).map(authenticated).collect();
    engine.err.wait_for("accepting a connection failed");
    drop((flood, connections));
    until("the engine again", || (page_as(address, &path, &[("Authorization", &bearer)]).status == 200).then_some(()));
    engine.stop().expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_bounded_until_streams_are_closed() {
    let target = Target::embedded(Embedded::start().await);
    let mut open = Vec::new();
    let watch = SubscribeToWorkflowEventsRequest {
        additional_meta_key: Some("k".into()),
        additional_meta_value: Some("v".into()),
        ..Default::default()
    };
    let refused = 'full: loop {
        let mut dispatcher = DispatcherClient::new(target.link_over(target.endpoint().connect().await.unwrap()));
        for _ in 0..2000 {
            match dispatcher.subscribe_to_workflow_events(watch.clone()).await {
                Ok(answer) => open.push(answer.into_inner()),
                Err(status) => break 'full status,
            }
            assert!(open.len() < 10_000, "no bound");
        }
    };
    assert_eq!((refused.code(), open.len()), (Code::ResourceExhausted, 8192), "{refused:?}");
    let version = target.dispatcher().get_version(GetVersionRequest {}).await;
    assert!(version.unwrap_err().message().contains("too many calls and streams"), "no further call");
    drop(open);
    eventually("room again", async || target.dispatcher().get_version(GetVersionRequest {}).await.ok()).await;
}
