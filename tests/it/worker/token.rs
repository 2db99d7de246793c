//! Refused tokens, and engines that return with another token or address.

use std::{fs::File, time::Duration};

use futures_util::StreamExt as _;
use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, ErrorKind, RunOutcome},
    system::Handshake,
    task::Stub,
    wire::{RunStatus, proto::v1},
    worker::{RunningWorker, Worker, WorkerOptions, WorkerState},
};
use serde_json::{Value, json};
use tonic::Status;

use super::{options, within};
use crate::fake::{Fake, Finished};
use crate::support::named;

type Json = serde_json::Map<String, Value>;

fn worker(config: ClientConfig) -> RunningWorker {
    let echo = Stub::new("echo").task(|input: Json, _| async { Ok(input) });
    Worker::new(&Client::new(config).unwrap()).options(options()).register(echo).start().unwrap()
}

/// The folder of an embedded engine, which appears to run because the lock is held.
struct EngineFolder {
    folder: tempfile::TempDir,
    _lock: File,
}

impl EngineFolder {
    fn new(handshake: &Handshake) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let _lock = File::create(folder.path().join("lock")).unwrap();
        _lock.lock().unwrap();
        let created = Self { folder, _lock };
        created.announce(handshake);
        created
    }

    /// Replaces the handshake file.
    fn announce(&self, handshake: &Handshake) {
        let (file, draft) = (self.folder.path().join("handshake.json"), self.folder.path().join("draft"));
        std::fs::write(&draft, json!(handshake).to_string()).unwrap();
        std::fs::rename(draft, file).unwrap();
    }

    fn config(&self, fake: &Fake) -> ClientConfig {
        ClientConfig { engine_folder: Some(self.folder.path().to_owned()), ..fake.config() }
    }
}

async fn run_a_task(fake: &Fake) {
    let run = fake.assign("echo", "{}").await;
    assert_eq!(fake.finished(run).await, Finished::Completed("{}".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_accepted_token_ends_the_worker_immediately() {
    let fake = Fake::start().await;
    fake.script(|script| script.accepted_token = Some("another".to_owned()));
    let options = WorkerOptions { wait_for_engine: Duration::from_secs(3600), ..options() };
    let echo = Stub::new("echo").task(|input: Json, _| async { Ok(input) });
    let mut worker = Worker::new(&Client::new(fake.config()).unwrap()).options(options).register(echo).start().unwrap();
    let error = within("the worker ends", worker.ended()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.to_string().contains("HATCHET_CLIENT_TOKEN"), "{error}");
    assert!(fake.script(|script| script.registered.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_reconnects_after_a_temporary_token_refusal() {
    let fake = Fake::start().await;
    let worker = worker(fake.config());
    fake.until_listening().await;
    run_a_task(&fake).await;
    let mut state = worker.state();
    fake.script(|script| script.accepted_token = Some("another".to_owned()));
    fake.break_stream(Status::unavailable("its database is unavailable")).await;
    let refused = state.wait_for(|state| match state {
        WorkerState::Connecting(Some(reason)) => {
            reason.contains("accepted before") && reason.contains("invalid auth token")
        }
        _ => false,
    });
    within("the worker shows the refusal as its state", refused).await.unwrap();
    fake.script(|script| script.accepted_token = None);
    let listens = state.wait_for(|state| matches!(state, WorkerState::Listening(_)));
    within("the worker listens again", listens).await.unwrap();
    run_a_task(&fake).await;
    assert_eq!(fake.script(|script| script.registered.len()), 1, "under the same id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcome_survives_a_temporary_token_refusal() {
    let fake = Fake::start().await;
    let worker = worker(fake.config());
    fake.until_listening().await;
    fake.script(|script| {
        script.outcome_failures.extend((0..4).map(|_| Status::unauthenticated("invalid auth token")));
    });
    run_a_task(&fake).await;
    assert_eq!(fake.script(|script| script.refused_outcomes), 4);
    let drained = within("the worker stops", worker.stop()).await.unwrap();
    assert!(drained.still_running.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_survives_a_temporary_token_refusal() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    // The token was accepted by these two calls only.
    let runs = [(); 2].map(|()| client.run_no_wait(&named("echo"), &json!({})).into_future());
    let runs = futures_util::future::try_join_all(runs).await.unwrap();
    fake.script(|script| {
        script.details_failures.extend((0..4).map(|_| Status::unauthenticated("invalid auth token")));
        for run in &runs {
            script.set_run(&run.id().to_string(), v1::RunStatus::Completed, Some("{}"));
        }
    });
    let single = async { runs[0].outcome().await };
    let among_many = async { client.outcomes([runs[1].clone()]).next().await.unwrap().1 };
    let (single, among_many) = within("both waits end", async { tokio::join!(single, among_many) }).await;
    let status = |outcome: Result<RunOutcome, _>| outcome.unwrap().status;
    assert_eq!([single, among_many].map(status), [RunStatus::Completed; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_engine_with_a_new_token_is_followed() {
    let first = Fake::start().await;
    let folder = EngineFolder::new(&first.handshake());
    let config = folder.config(&first);
    let client = Client::new(config.clone()).unwrap();
    let _worker = worker(config);
    first.until_listening().await;
    run_a_task(&first).await;
    client.engine_version().await.unwrap();
    let second = Fake::start().await;
    second.script(|script| script.accepted_token = Some(second.token()));
    folder.announce(&second.handshake());
    first.script(|script| script.accepted_token = Some(second.token()));
    first.break_stream(Status::unavailable("stops")).await;
    second.until_listening().await;
    run_a_task(&second).await;
    // The first call is refused, and the next call uses the new address.
    within("the client uses the new address", async { while client.engine_version().await.is_err() {} }).await;
    assert_eq!(client.config().host_port, second.address.to_string());
    assert_eq!(client.config().token.expose(), second.token());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_token_at_the_same_address_is_used() {
    let fake = Fake::start().await;
    let folder = EngineFolder::new(&fake.handshake());
    let config = folder.config(&fake);
    let token = crate::fake::token(&fake.address.to_string(), r#","token_id":"another""#);
    folder.announce(&Handshake { token: token.clone(), ..fake.handshake() });
    fake.script(|script| script.accepted_token = Some(token));
    let client = Client::new(config).unwrap();
    // The old token was never accepted, so its refusal alone would be final.
    let run = within("the run is triggered", client.run_no_wait(&named("echo"), &json!({}))).await;
    assert!(run.is_ok(), "{run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_token_is_kept_when_the_engine_announces_another() {
    let fake = Fake::start().await;
    let folder = EngineFolder::new(&fake.handshake());
    let client = Client::new(folder.config(&fake)).unwrap();
    let run = within("the run is triggered", client.run_no_wait(&named("echo"), &json!({}))).await.unwrap();
    let token = crate::fake::token(&fake.address.to_string(), r#","token_id":"another""#);
    folder.announce(&Handshake { token, ..fake.handshake() });
    // The failed call makes the client read the handshake file.
    fake.script(|script| script.details_failures.push_back(Status::unavailable("restarting")));
    let waiting = tokio::spawn({
        let run = run.clone();
        async move { run.outcome().await }
    });
    fake.until("the call fails", |script| script.details_failures.is_empty().then_some(())).await;
    fake.script(|script| script.set_run(&run.id().to_string(), v1::RunStatus::Completed, Some("{}")));
    let outcome = within("the wait ends", waiting).await.unwrap().unwrap();
    assert_eq!(outcome.status, RunStatus::Completed);
    assert_eq!(client.config().token.expose(), fake.token(), "the connection is not replaced");
}
