//! Triggers whose response is lost between the engine and the client.

use std::net::SocketAddr;

use hatchet_quickstart::engine::{Engine, EngineOptions};
use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, ClientError, ErrorKind, RunRef, Sources, TRIGGER_KEY},
    task::Stub,
    wire::{RunId, TriggerId},
};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};

use super::{
    Fixture,
    fixture::{outcome, within},
};
use crate::{
    chaos::proxy::Proxy,
    fake::Fake,
    support::{all_runs, eventually, named},
};

type Json = serde_json::Map<String, Value>;

/// An engine with a worker, and a client that is connected through a proxy.
struct Case {
    fixture: Fixture,
    proxy: Proxy,
    client: Client,
}

impl Case {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ClientConfig)) -> Self {
        let fixture = Fixture::start([Stub::new("echo").task(|input: Json, _| async { Ok(input) })]).await;
        let mut config = ClientConfig::from_handshake(fixture.engine.handshake(), &Sources::default()).unwrap();
        let upstream: SocketAddr = config.host_port.parse().unwrap();
        let proxy = Proxy::to(upstream).await;
        config.host_port = proxy.address.to_string();
        change(&mut config);
        let client = Client::new(config).unwrap();
        client.engine_version().await.unwrap();
        Self { fixture, proxy, client }
    }

    /// All runs that the engine lists.
    async fn listed(&self) -> Vec<RunId> {
        let rows = all_runs(&self.fixture.client).await;
        rows.iter().map(|row| row.workflow_run_external_id.parse().unwrap()).collect()
    }

    /// Awaits a trigger whose response is lost after the engine has accepted this number of runs.
    async fn lose_response<T: Send + 'static>(
        &self,
        runs: usize,
        trigger: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.proxy.drop_received();
        let trigger = AbortOnDropHandle::new(tokio::spawn(trigger));
        eventually("the engine has accepted the runs", async || (self.listed().await.len() >= runs).then_some(()))
            .await;
        self.proxy.restore();
        self.proxy.reset();
        within("the trigger returns", trigger).await.unwrap()
    }
}

fn unconfirmed(item: Result<RunRef, ClientError>) -> (TriggerId, String) {
    let error = item.unwrap_err();
    match error.kind() {
        ErrorKind::Unconfirmed(trigger) => (trigger, error.to_string()),
        kind => panic!("{kind:?}: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_response_returns_the_started_run() {
    let case = Case::start().await;
    let client = case.client.clone();
    let trigger = async move { client.run_no_wait(&named("echo"), &json!({ "n": 1 })).await };
    let run = case.lose_response(1, trigger).await.unwrap();
    assert!(run.was_recovered());
    assert_eq!(outcome(&run).await.output::<Value>().unwrap(), json!({ "n": 1 }));
    assert_eq!(case.listed().await, [run.id()], "it was triggered once");
    let next = case.client.run_no_wait(&named("echo"), &json!({})).await.unwrap();
    assert!(!next.was_recovered());
}

#[tokio::test]
async fn gateway_error_after_acceptance_returns_the_started_run() {
    // The engine has accepted the trigger, and a gateway responds with an error.
    let (case, fake, id) = (Case::start().await, Fake::start().await, TriggerId::random());
    let trigger = async |client: &Client| client.run_no_wait(&named("echo"), &json!({})).trigger_id(id).await;
    let started = trigger(&case.fixture.client).await.unwrap();
    let mut config = ClientConfig::from_handshake(case.fixture.engine.handshake(), &Sources::default()).unwrap();
    config.host_port = fake.address.to_string();
    for code in [Code::Unavailable, Code::Unknown, Code::Internal] {
        let client = Client::new(config.clone()).unwrap();
        fake.script(|script| script.trigger_failures.push_back(Status::new(code, "mapped from HTTP status code 502")));
        let run = within("the run is found", trigger(&client)).await.unwrap();
        assert_eq!((run.id(), run.was_recovered()), (started.id(), true), "{code:?}");
    }
    assert_eq!(fake.script(|script| script.triggers.len()), 3, "each was sent once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_bulk_response_returns_each_items_run() {
    let case = Case::start().await;
    let client = case.client.clone();
    let inputs = (0..30).map(|n| json!({ "n": n }));
    let trigger = async move { client.run_many_no_wait(&named("echo"), inputs).await };
    let items: Vec<Result<RunRef, ClientError>> = case.lose_response(30, trigger).await;
    for (n, item) in items.into_iter().enumerate() {
        let run = item.unwrap();
        assert!(run.was_recovered());
        assert_eq!(outcome(&run).await.output::<Value>().unwrap(), json!({ "n": n }), "each item has its own run");
    }
    assert_eq!(case.listed().await.len(), 30, "nothing was triggered twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_that_is_not_listed_is_unconfirmed() {
    // Triggers go to an engine that starts nothing; the list of runs is served by another engine.
    let (engine, fake) = (Engine::start(EngineOptions::default()).await.unwrap(), Fake::start().await);
    let mut config = ClientConfig::from_handshake(engine.handshake(), &Sources::default()).unwrap();
    let proxy = Proxy::to(fake.address).await;
    config.host_port = proxy.address.to_string();
    let (client, id) = (Client::new(config).unwrap(), TriggerId::random());
    client.engine_version().await.unwrap();
    proxy.drop_received();
    let trigger = tokio::spawn(async move { client.run_no_wait(&named("echo"), &json!({})).trigger_id(id).await });
    fake.until("the run is triggered", |script| script.triggers.first().map(drop)).await;
    proxy.reset();
    let (trigger, text) = unconfirmed(within("the search ends", trigger).await.unwrap());
    assert_eq!(trigger, id);
    for part in [
        "not known whether it started",
        "the connection broke",
        &format!("0 run(s) with the metadata {TRIGGER_KEY}={id}"),
    ] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_response_is_unconfirmed_without_a_list_of_runs() {
    for (url, reason) in [(None, "HATCHET_CLIENT_SERVER_URL"), (Some("/nowhere"), "404")] {
        let case = Case::with(|config| {
            let base = config.server_url.take().unwrap();
            config.server_url = url.map(|path| format!("{base}{path}"));
        })
        .await;
        let client = case.client.clone();
        let trigger = async move { client.run_no_wait(&named("echo"), &json!({})).await };
        let (trigger, text) = unconfirmed(case.lose_response(1, trigger).await);
        assert!(text.contains("not known whether it started") && text.contains(reason), "{text}");
        // The run is found by the id in the error.
        let since = std::time::SystemTime::now() - std::time::Duration::from_secs(600);
        let found = case.fixture.client.find_runs(TRIGGER_KEY, &trigger.to_string(), since).await.unwrap();
        assert_eq!(found.iter().map(RunRef::id).collect::<Vec<_>>(), case.listed().await);
    }
}

#[tokio::test]
async fn unreachable_engine_is_not_unconfirmed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Accepts connections and closes each on its first byte.
    let closing = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            connection.readable().await.unwrap();
        }
    }));
    let fake = Fake::start().await;
    let config = ClientConfig { host_port: address.to_string(), ..fake.config() };
    let client = Client::new(config).unwrap();
    let single = client.run_no_wait(&named("echo"), &json!({})).await;
    let many = client.run_many_no_wait(&named("echo"), [json!({})]).await;
    for item in many.into_iter().chain([single]) {
        assert_eq!(item.unwrap_err().kind(), ErrorKind::Unreachable);
    }
    drop(closing);
}
