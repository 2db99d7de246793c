//! Connections and streams by the hundred.

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
    process::{Place, Program},
    support::{Embedded, Target, eventually, page_as, until},
};

/// As many unauthenticated connections as the engine keeps.
const MAX_UNAUTHENTICATED: usize = 512;

/// Connections of a flood that new clients get through: many times those that the engine keeps.
const FLOOD: usize = 5000;

fn strangers(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let stranger = |n: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        // Some say nothing, some never finish, some speak TLS.
        let said: &[u8] = [b"", &b"GET / HTTP/1.1\r\nHost: lo"[..], b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP"][n % 4];
        let _ = stream.write_all(said);
        stream
    };
    (0..count).map(stranger).collect()
}

/// Whether the engine has not hung up on it.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    match stream.read(&mut [0; 1024]) {
        Ok(read) => read > 0,
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_is_turned_away_and_guests_stay() {
    let target = Target::embedded(Embedded::start().await);
    let address: SocketAddr = target.embedded_address();
    // A guest from before.
    target.dispatcher().get_version(GetVersionRequest {}).await.unwrap();
    let mut flood = tokio::task::block_in_place(|| strangers(address, 700));
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
fn an_engine_that_may_open_few_files_outlives_a_flood() {
    let place = Place::new();
    let script = format!("ulimit -n 100 && exec {} --engine-only", env!("CARGO_BIN_EXE_worker"));
    let engine = Program::start(&mut place.command("sh", &["-c", &script]));
    engine.err.until("an engine that serves", |line| line.starts_with("engine at "));
    let handshake = place.handshake();
    let address: SocketAddr = handshake.grpc_address.parse().unwrap();
    let path = format!("/api/v1/tenants/{}", handshake.tenant_id);
    let bearer = format!("Bearer {}", handshake.token);
    let flood = strangers(address, 300);
    assert_eq!(page_as(address, &path, &[("Authorization", &bearer)]).status, 200, "in the midst of it");
    // Guests that stay use up all files there are: the engine waits until some leave, and ends not.
    let guest = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        stream
    };
    let guests: Vec<TcpStream> = (0..200).map(guest).collect();
    engine.err.until_said("cannot accept a connection");
    drop((flood, guests));
    until("the engine again", || (page_as(address, &path, &[("Authorization", &bearer)]).status == 200).then_some(()));
    engine.stop().expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_in_number_and_closing_them_makes_room() {
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
    assert!(version.unwrap_err().message().contains("too many calls and streams"), "no call more");
    drop(open);
    eventually("room again", async || target.dispatcher().get_version(GetVersionRequest {}).await.ok()).await;
}
