//! The engine of a fault test, and tasks that record their executions.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hatchet_quickstart::{
    engine::{Engine, EngineOptions, Timings},
    hatchet::{
        client::{Client, ClientConfig, RunItem, RunOutcome, RunRef, Sources},
        task::{Context, ErasedWorkflow, Stub, Task},
        wire::RunStatus,
        worker::{RunningWorker, Worker, WorkerOptions, WorkerState},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{proxy::Proxy, table::real};
use crate::support::named;

/// An in-memory engine, or the real engine of the environment with a namespace for this test.
pub struct TestEngine {
    pub config: ClientConfig,
    _engine: Option<Engine>,
}

impl TestEngine {
    pub async fn start() -> Self {
        if !real() {
            return Self::embedded(Timings::default()).await;
        }
        let mut config = ClientConfig::from_sources(&Sources::read(Path::new("/nonexistent"))).unwrap();
        config.namespace = format!("chaos-{}_", &Uuid::new_v4().simple().to_string()[..8]);
        Self { config, _engine: None }
    }

    pub async fn embedded(timings: Timings) -> Self {
        // Tests query runs long after their end.
        let options = EngineOptions { timings, keep_finished: 1_000_000, ..EngineOptions::default() };
        let engine = Engine::start(options).await.unwrap();
        let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default()).unwrap();
        Self { config, _engine: Some(engine) }
    }

    pub fn client(&self) -> Client {
        Client::new(self.config.clone()).unwrap()
    }

    /// Starts a proxy in front of the engine. Returns it with the settings of a client that uses it.
    pub async fn proxied(&self) -> (Proxy, ClientConfig) {
        let upstream: SocketAddr = tokio::net::lookup_host(&self.config.host_port).await.unwrap().next().unwrap();
        let proxy = Proxy::to(upstream).await;
        let config = ClientConfig { host_port: proxy.address.to_string(), ..self.config.clone() };
        (proxy, config)
    }
}

/// The input of the task `count`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Count {
    /// Duration of an execution in milliseconds.
    pub ms: u64,
}

#[derive(Debug, Clone)]
pub struct Execution {
    pub attempt: u32,
    pub finished: Option<Instant>,
}

/// All executions by run id.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<HashMap<String, Vec<Execution>>>>);

impl Ledger {
    pub fn all(&self) -> MutexGuard<'_, HashMap<String, Vec<Execution>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn of(&self, run: &RunRef) -> Vec<Execution> {
        self.all().get(&run.id().to_string()).cloned().unwrap_or_default()
    }

    /// Creates the task `count`, which sleeps and records its execution. A real engine repeats a lost assignment only
    /// after the execution timeout, so callers choose a short timeout, and the task has many retries.
    pub fn task(&self, timeout: Duration) -> Task<Count, serde_json::Value> {
        let ledger = self.clone();
        Stub::new("count")
            .task(move |input: Count, ctx: Context| {
                let ledger = ledger.clone();
                async move {
                    let index = ledger.begin(&ctx);
                    tokio::time::sleep(Duration::from_millis(input.ms)).await;
                    ledger.end(&ctx, index);
                    Ok(json!({ "attempt": ctx.retry_count() }))
                }
            })
            .execution_timeout(timeout)
            .retries(10)
    }

    pub fn begin(&self, ctx: &Context) -> usize {
        let mut all = self.all();
        let executions = all.entry(ctx.run_id().to_owned()).or_default();
        executions.push(Execution { attempt: ctx.retry_count(), finished: None });
        executions.len() - 1
    }

    pub fn end(&self, ctx: &Context, index: usize) {
        if let Some(execution) = self.all().get_mut(ctx.run_id()).and_then(|all| all.get_mut(index)) {
            execution.finished = Some(Instant::now());
        }
    }
}

pub fn options() -> WorkerOptions {
    WorkerOptions { name: "chaos".to_owned(), grace: Duration::ZERO, cpu_threads: 2, ..WorkerOptions::default() }
}

/// Starts a worker and waits until it listens.
pub async fn worker(
    config: &ClientConfig,
    tasks: impl IntoIterator<Item = impl Into<ErasedWorkflow>>,
) -> RunningWorker {
    let mut worker =
        Worker::new(&Client::new(config.clone()).unwrap()).options(options()).register_all(tasks).start().unwrap();
    within(30, "the worker listens", worker.listening()).await.unwrap();
    worker
}

pub async fn trigger(client: &Client, task: &str, input: &(impl Serialize + 'static)) -> RunRef {
    client.run_no_wait(&named(task), input).await.unwrap()
}

/// Triggers `count` runs with the same input.
pub async fn trigger_many(client: &Client, task: &str, input: &impl Serialize, count: usize) -> Vec<RunRef> {
    let runs = client.run_many_no_wait(&named(task), (0..count).map(|_| RunItem::new(input))).await;
    runs.into_iter().map(Result::unwrap).collect()
}

/// Waits for a run and asserts that it completes.
pub async fn completed(run: &RunRef) -> RunOutcome {
    let outcome = within(300, "the run finishes", run.outcome()).await.unwrap();
    assert_eq!(outcome.status, RunStatus::Completed, "{outcome:?}");
    outcome
}

/// Waits until the worker listens if `listening` is true, otherwise until it does not.
pub async fn until_listening(worker: &RunningWorker, listening: bool) {
    let mut state = worker.state();
    let what = if listening { "the worker listens again" } else { "the worker detects the lost connection" };
    let reached = state.wait_for(|state| matches!(state, WorkerState::Listening(_)) == listening);
    within(60, what, reached).await.unwrap();
}

/// Awaits `work` and panics with `what` after that many seconds.
pub async fn within<T>(seconds: u64, what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(seconds), work).await {
        Ok(value) => value,
        Err(_) => panic!("not within {seconds} s: {what}"),
    }
}
