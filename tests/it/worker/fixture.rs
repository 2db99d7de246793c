//! An embedded engine in memory with a client and a worker.

use std::{future::IntoFuture, time::Duration};

use crate::{fake::Fake, support::named};
use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, RunOutcome, RunRef, Sources},
        task::ErasedWorkflow,
        worker::{RunningWorker, Worker, WorkerOptions},
    },
};
use serde_json::Value;

/// Timeout of every wait in a test. Far longer than a wait takes, since many tests run concurrently.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Awaits `work`. Panics with `what` after [`TIMEOUT`].
pub async fn within<T>(what: &str, work: impl IntoFuture<Output = T>) -> T {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(value) => value,
        Err(_) => panic!("not within {TIMEOUT:?}: {what}"),
    }
}

/// Options of a worker with short grace periods.
pub fn options() -> WorkerOptions {
    WorkerOptions {
        name: "test".to_owned(),
        slots: 10,
        cpu_threads: 2,
        grace: Duration::ZERO,
        cancel_grace: Duration::from_millis(100),
        ..WorkerOptions::default()
    }
}

/// Starts a worker of a scripted engine, and waits until it listens.
pub async fn listening_worker(
    fake: &Fake,
    options: WorkerOptions,
    tasks: impl IntoIterator<Item = impl Into<ErasedWorkflow>>,
) -> RunningWorker {
    let client = Client::new(fake.config()).unwrap();
    let worker = Worker::new(&client).options(options).register_all(tasks).start().unwrap();
    fake.until_listening().await;
    worker
}

/// Waits until no worker of the engine is active, since all are paused.
pub async fn until_paused(client: &Client) {
    let rest = client.rest().unwrap();
    within("every worker is paused", async {
        while rest.workers().await.unwrap().iter().any(|worker| worker.status == "ACTIVE") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// A running engine, a client of it and a worker that listens.
pub struct Fixture {
    pub client: Client,
    pub worker: RunningWorker,
    pub engine: Engine,
}

impl Fixture {
    pub async fn start(tasks: impl IntoIterator<Item = impl Into<ErasedWorkflow>>) -> Self {
        Self::with(options(), &[], tasks).await
    }

    pub async fn with(
        options: WorkerOptions,
        settings: &[(&str, &str)],
        tasks: impl IntoIterator<Item = impl Into<ErasedWorkflow>>,
    ) -> Self {
        let engine = Engine::start(EngineOptions::default()).await.unwrap();
        let sources = Sources::from_pairs(settings.iter().copied());
        let config = ClientConfig::from_handshake(engine.handshake(), &sources).unwrap();
        let client = Client::new(config.clone()).unwrap();
        let mut worker =
            Worker::new(&Client::new(config).unwrap()).options(options).register_all(tasks).start().unwrap();
        within("the worker listens", worker.listening()).await.unwrap();
        Self { client, worker, engine }
    }

    pub async fn trigger(&self, name: &str, input: Value) -> RunRef {
        self.client.run_no_wait(&named(name), &input).await.unwrap()
    }

    /// Triggers a run and waits for its outcome.
    pub async fn run(&self, name: &str, input: Value) -> RunOutcome {
        outcome(&self.trigger(name, input).await).await
    }

    /// Returns the free slots of the worker of this name, as reported by the engine.
    pub async fn free_slots(&self, name: &str) -> i64 {
        let workers = self.client.rest().unwrap().workers().await.unwrap();
        let named = workers.iter().filter(|worker| worker.name == name);
        named.map(|worker| worker.slot_config["default"].available).sum()
    }
}

pub async fn outcome(run: &RunRef) -> RunOutcome {
    within("the run finishes", run.outcome()).await.unwrap()
}
