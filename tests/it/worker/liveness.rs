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
use crate::{
    chaos::proxy::Proxy,
    fake::Fake,
    support::{named, one_of_three},
};

type Json = serde_json::Map<String, Value>;

/// Upper bound of the time until a dead connection is detected: 2 s, plus the delay of a busy machine.
const MAX_DETECTION: Duration = Duration::from_millis(2_500);

/// A scripted engine, a proxy in front of it, and the settings of a client behind the proxy.
async fn behind_proxy() -> (Fake, Proxy, ClientConfig) {
    let fake = Fake::start().await;
    let proxy = Proxy::to(fake.address).await;
    let config = ClientConfig { host_port: proxy.address.to_string(), ..fake.config() };
    (fake, proxy, config)
}

/// Asserts that a connection is detected as dead within [`MAX_DETECTION`].
async fn detects_in_time(measure: impl AsyncFn() -> Duration) {
    one_of_three("the dead connection is detected in time", async || {
        let time = measure().await;
        if time < MAX_DETECTION { Ok(()) } else { Err(time) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_on_dead_connection_fails_and_next_call_reconnects() {
    detects_in_time(async || {
        let (_fake, proxy, config) = behind_proxy().await;
        let client = Client::new(config).unwrap();
        client.engine_version().await.unwrap();
        proxy.black_hole();
        let started = Instant::now();
        let error = within("the call ends", client.engine_version()).await.unwrap_err();
        let time = started.elapsed();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        assert!(error.to_string().contains("nothing was received for"), "{error}");
        proxy.restore();
        within("the next call returns", client.engine_version()).await.unwrap();
        time
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_detects_dead_connection_within_two_seconds() {
    detects_in_time(async || {
        let (fake, proxy, config) = behind_proxy().await;
        let echo = Stub::new("echo").task(|input: Json, _| async { Ok(input) });
        let worker = Worker::new(&Client::new(config).unwrap()).options(options()).register(echo).start().unwrap();
        fake.until_listening().await;
        let mut state = worker.state();
        let is_listening = |state: &WorkerState| matches!(state, WorkerState::Listening(_));
        within("the worker listens", state.wait_for(is_listening)).await.unwrap();
        proxy.black_hole();
        let started = Instant::now();
        within("the worker detects it", state.wait_for(|state| !is_listening(state))).await.unwrap();
        let time = started.elapsed();
        proxy.restore();
        within("the worker listens again", state.wait_for(is_listening)).await.unwrap();
        time
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trigger_waits_for_stalled_engine() {
    let (fake, proxy, config) = behind_proxy().await;
    let client = Client::new(config).unwrap();
    client.engine_version().await.unwrap();
    // A round trip takes longer than a connection may be silent.
    proxy.delay(Duration::from_secs(2));
    let run =
        within("the trigger returns", client.run_no_wait(&named("echo"), &json!({})).into_future()).await.unwrap();
    assert!(!run.was_recovered(), "the response was late, not lost");
    assert_eq!(fake.script(|script| script.triggers.len()), 1);
}
