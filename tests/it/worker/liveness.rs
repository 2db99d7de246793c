//! Detection of dead connections, by client and worker.

use std::{
    future::IntoFuture as _,
    time::{Duration, Instant},
};

use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, ErrorKind},
    task::Stub,
    worker::{Worker, WorkerState},
};
use serde_json::{Value, json};

use super::{options, within};
use crate::{chaos::proxy::Proxy, fake::Fake, support::named};

type Json = serde_json::Map<String, Value>;

/// The time in which a dead connection must be noticed, and what a busy machine adds.
const NOTICED: Duration = Duration::from_millis(2_500);

/// A scripted engine, a proxy before it, and the settings of a client behind the proxy.
async fn behind_proxy() -> (Fake, Proxy, ClientConfig) {
    let fake = Fake::start().await;
    let proxy = Proxy::to(fake.address).await;
    let config = ClientConfig { host_port: proxy.address.to_string(), ..fake.config() };
    (fake, proxy, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_on_dead_connection_fails_and_next_call_reconnects() {
    let (_fake, proxy, config) = behind_proxy().await;
    let client = Client::new(config).unwrap();
    client.engine_version().await.unwrap();
    proxy.black_hole();
    let begun = Instant::now();
    let error = within("the call ends", client.engine_version()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("nothing was received for"), "{error}");
    assert!(begun.elapsed() < NOTICED, "{:?}", begun.elapsed());
    proxy.restore();
    within("the next call is answered", client.engine_version()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_notices_dead_connection_within_two_seconds() {
    let (fake, proxy, config) = behind_proxy().await;
    let echo = Stub::new("echo").task(|input: Json, _| async { Ok(input) });
    let worker = Worker::new(&Client::new(config).unwrap()).options(options()).register(echo).start().unwrap();
    fake.until_listening().await;
    let mut state = worker.state();
    within("it listens", state.wait_for(|state| matches!(state, WorkerState::Listening(_)))).await.unwrap();
    proxy.black_hole();
    let begun = Instant::now();
    within("it notices", state.wait_for(|state| matches!(state, WorkerState::Connecting(_)))).await.unwrap();
    assert!(begun.elapsed() < NOTICED, "{:?}", begun.elapsed());
    proxy.restore();
    within("it listens again", state.wait_for(|state| matches!(state, WorkerState::Listening(_)))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trigger_waits_for_stalled_engine() {
    let (fake, proxy, config) = behind_proxy().await;
    let client = Client::new(config).unwrap();
    client.engine_version().await.unwrap();
    // There and back takes longer than a connection may be silent.
    proxy.delay(Duration::from_secs(2));
    let run = within("it is answered", client.run_no_wait(&named("echo"), &json!({})).into_future()).await.unwrap();
    assert!(!run.was_recovered(), "the response came late and was not lost");
    assert_eq!(fake.script(|script| script.triggers.len()), 1);
}
