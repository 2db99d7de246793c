//! The fixtures of the figures: an embedded engine, a worker and a client in this process, connected over the network;
//! and gRPC stubs, for figures without this crate's client.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, RunRef, Sources},
        system::Handshake,
        task::{self, Stub, Task, TaskError},
        wire::readable_duration,
        worker::{RunningWorker, Worker, WorkerOptions},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// A task that does nothing.
pub(crate) const NO_OP: &str = "no-op";

/// Interval of reading a worker's counters: 2 ms, long enough not to disturb it.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Timeout of draining a full queue: 60 s. A drain takes about a second.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

pub(crate) const NO_OP_STUB: Stub<Nothing, Nothing> = Stub::new(NO_OP);

pub(crate) fn no_op() -> Task<Nothing, Nothing> {
    NO_OP_STUB.task(async |_: Nothing, _: task::Context| Ok::<_, TaskError>(Nothing {}))
}

/// An engine, a worker and a client.
pub(crate) struct Fixture {
    pub(crate) client: Client,
    /// The worker's settings.
    worker_config: ClientConfig,
    /// `None` while [`Fixture::drain_queue`] fills the queue.
    worker: Option<RunningWorker>,
    engine: Engine,
}

impl Fixture {
    /// Starts an engine in memory and connects on loopback.
    pub(crate) async fn start() -> Result<Self> {
        Self::with_config(async |config| Ok(config)).await
    }

    /// Starts a persistent engine and connects on loopback.
    #[cfg(feature = "durable")]
    pub(crate) async fn persistent(folder: &std::path::Path) -> Result<Self> {
        let options = EngineOptions { folder: Some(folder.to_owned()), ..EngineOptions::default() };
        Self::on(Engine::start(options).await?, async |config| Ok(config)).await
    }

    /// Starts an engine in memory. `map_config` changes the worker's settings, for example to insert a proxy.
    pub(crate) async fn with_config(
        map_config: impl AsyncFnOnce(ClientConfig) -> Result<ClientConfig>,
    ) -> Result<Self> {
        Self::on(Engine::start(EngineOptions::default()).await?, map_config).await
    }

    async fn on(engine: Engine, map_config: impl AsyncFnOnce(ClientConfig) -> Result<ClientConfig>) -> Result<Self> {
        // The environment is ignored, so that the default settings are measured.
        let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default())?;
        let client = Client::new(config.clone())?;
        let worker_config = map_config(config).await?;
        let worker = Some(start_worker(&worker_config).await?);
        Ok(Self { client, worker_config, worker, engine })
    }

    pub(crate) fn token(&self) -> &str {
        &self.engine.handshake().token
    }

    /// Triggers a task and waits for its output.
    pub(crate) async fn run(&self, task: &str) -> Result<()> {
        self.client.run_by_name(task, &serde_json::json!({})).await?;
        Ok(())
    }

    /// Triggers many runs in bulk and waits for all their outputs.
    pub(crate) async fn run_many(&self, task: &str, input: &Value, count: usize) -> Result<()> {
        run_many(&self.client, task, input, count).await
    }

    /// Measures no-op runs per second, triggered in bulk, from their trigger to their outcomes.
    pub(crate) async fn no_ops_per_second(&self, count: usize) -> Result<f64> {
        let started = Instant::now();
        self.run_many(NO_OP, &serde_json::json!({}), count).await?;
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }

    pub(crate) async fn stop(self) -> Result<()> {
        if let Some(worker) = self.worker {
            worker.stop().await?;
        }
        self.engine.stop().await;
        Ok(())
    }

    /// Measures the time in which a worker runs a queue, from its connection until the engine has accepted the last
    /// report. Triggers and waits for outcomes are outside the measured time.
    pub(crate) async fn drain_queue(&mut self, task: &str, count: usize) -> Result<Duration> {
        if let Some(worker) = self.worker.take() {
            worker.stop().await?;
        }
        let input = serde_json::json!({});
        let runs = trigger_many(&self.client, task, &input, count).await?;
        let started = Instant::now();
        let worker = self.worker.insert(start_worker(&self.worker_config).await?);
        let is_drained = |worker: &RunningWorker| {
            let stats = worker.stats();
            let finished = stats.tasks.get(task).map_or(0, |task| task.finished.values().sum::<u64>());
            stats.attempts == 0 && finished >= count as u64
        };
        let all = async {
            while !is_drained(worker) {
                sleep(POLL_INTERVAL).await;
            }
        };
        timeout(QUEUE_TIMEOUT, all).await.with_context(|| {
            format!("{count} queued runs have not finished within {}", readable_duration(QUEUE_TIMEOUT))
        })?;
        let elapsed = started.elapsed();
        wait_for_all(&runs).await?;
        Ok(elapsed)
    }
}

/// Starts a worker and waits until it is registered.
async fn start_worker(config: &ClientConfig) -> Result<RunningWorker> {
    let mut worker = Worker::new(&Client::new(config.clone())?)
        .options(WorkerOptions::default())
        .register(no_op())
        .register_all(super::tasks::all())
        .start()?;
    worker.listening().await?;
    Ok(worker)
}

/// Triggers many runs in bulk.
pub(crate) async fn trigger_many(
    client: &Client,
    task: &str,
    input: &Value,
    count: usize,
) -> Result<Vec<RunRef<Value>>> {
    let stub = Stub::<Value, Value>::from_name(task);
    let runs = client.run_many_no_wait(&stub, std::iter::repeat_n(input, count)).await;
    Ok(runs.into_iter().collect::<Result<Vec<_>, _>>()?)
}

/// Triggers many runs in bulk and waits for all their outputs.
pub(crate) async fn run_many(client: &Client, task: &str, input: &Value, count: usize) -> Result<()> {
    wait_for_all(&trigger_many(client, task, input, count).await?).await
}

async fn wait_for_all(runs: &[RunRef<Value>]) -> Result<()> {
    for outcome in try_join_all(runs.iter().map(|run| run.outcome())).await? {
        outcome.output::<Value>()?;
    }
    Ok(())
}

/// A connection that adds the token to each call.
pub(crate) type AuthenticatedChannel = InterceptedService<Channel, Bearer>;

/// Adds the token to each call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Connects to an engine.
pub(crate) async fn connect(engine: &Handshake) -> Result<AuthenticatedChannel> {
    let bearer = Bearer(format!("bearer {}", engine.token).parse()?);
    let endpoint = Endpoint::from_shared(format!("http://{}", engine.grpc_address))?.tcp_nodelay(true);
    Ok(InterceptedService::new(endpoint.connect().await?, bearer))
}
