//! An embedded engine, a worker and a client in this process, joined by nothing but the wire.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, Sources},
        task::{self, Stub, Task, TaskError},
        worker::{RunningWorker, Worker, WorkerOptions},
    },
    tasks,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{sleep, timeout};

/// The task that does nothing.
pub(crate) const NO_OP: &str = "no-op";

/// How often a worker's count is looked at: rarely enough to take nothing from it.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A full queue takes a second or so.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

pub(crate) const NO_OP_STUB: Stub<Nothing, Nothing> = Stub::new(NO_OP);

pub(crate) fn no_op() -> Task<Nothing, Nothing> {
    NO_OP_STUB.task(async |_: Nothing, _: task::Context| Ok::<_, TaskError>(Nothing {}))
}

pub(crate) struct Rig {
    pub(crate) client: Client,
    /// Where the worker finds the engine.
    link: ClientConfig,
    /// None only while [`Rig::work_off`] fills the queue.
    worker: Option<RunningWorker>,
    engine: Engine,
}

impl Rig {
    /// Everything on loopback.
    pub(crate) async fn start() -> Result<Self> {
        Self::behind(async |config| Ok(config)).await
    }

    /// With an engine that keeps everything in a folder.
    #[cfg(feature = "durable")]
    pub(crate) async fn kept(folder: &std::path::Path) -> Result<Self> {
        let options = EngineOptions { folder: Some(folder.to_owned()), ..EngineOptions::default() };
        Self::on(Engine::start(options).await?, async |config| Ok(config)).await
    }

    /// The worker's settings go through `link`, which may put something between it and the engine.
    pub(crate) async fn behind(link: impl AsyncFnOnce(ClientConfig) -> Result<ClientConfig>) -> Result<Self> {
        Self::on(Engine::start(EngineOptions::default()).await?, link).await
    }

    async fn on(engine: Engine, link: impl AsyncFnOnce(ClientConfig) -> Result<ClientConfig>) -> Result<Self> {
        // Nothing of the environment: the figures are of the defaults.
        let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default())?;
        let client = Client::new(config.clone())?;
        let link = link(config).await?;
        let worker = Some(listening(&link).await?);
        Ok(Self { client, link, worker, engine })
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
    pub(crate) async fn run_many(&self, task: &str, input: &serde_json::Value, count: usize) -> Result<()> {
        run_many(&self.client, task, input, count).await
    }

    /// Runs of nothing a second, so many in bulk, from their trigger to their outcomes.
    pub(crate) async fn no_ops_per_second(&self, count: usize) -> Result<f64> {
        let begun = Instant::now();
        self.run_many(NO_OP, &serde_json::json!({}), count).await?;
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    }

    pub(crate) async fn stop(self) -> Result<()> {
        if let Some(worker) = self.worker {
            worker.stop().await?;
        }
        self.engine.stop().await;
        Ok(())
    }

    /// How long a worker takes for runs that are queued already, from its first connection until the engine has taken
    /// the last report: engine and worker alone, without the trigger's and the waiting runner's messages.
    pub(crate) async fn work_off(&mut self, task: &str, count: usize) -> Result<Duration> {
        if let Some(worker) = self.worker.take() {
            worker.stop().await?;
        }
        let input = serde_json::json!({});
        let stub = Stub::<Value, Value>::from_name(task);
        let runs = self
            .client
            .run_many_no_wait(&stub, std::iter::repeat_n(&input, count))
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let begun = Instant::now();
        let worker = self.worker.insert(listening(&self.link).await?);
        let ended = |worker: &RunningWorker| {
            let stats = worker.stats();
            let ended = stats.tasks.get(task).map_or(0, |task| task.ended.values().sum::<u64>());
            stats.attempts == 0 && ended >= count as u64
        };
        let all = async {
            while !ended(worker) {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(PATIENCE, all).await.with_context(|| format!("{count} queued runs have not ended in {PATIENCE:?}"))?;
        let took = begun.elapsed();
        for outcome in try_join_all(runs.iter().map(|run| run.outcome())).await? {
            outcome.output::<serde_json::Value>()?;
        }
        Ok(took)
    }
}

/// A worker that receives work.
async fn listening(link: &ClientConfig) -> Result<RunningWorker> {
    let mut worker = Worker::new(&Client::new(link.clone())?)
        .options(WorkerOptions::default())
        .register(no_op())
        .register_all(tasks::all())
        .start()?;
    worker.listening().await?;
    Ok(worker)
}

pub(crate) async fn run_many(client: &Client, task: &str, input: &serde_json::Value, count: usize) -> Result<()> {
    let stub = Stub::<Value, Value>::from_name(task);
    let inputs = std::iter::repeat_n(input, count);
    let runs = client.run_many_no_wait(&stub, inputs).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let outcomes = try_join_all(runs.iter().map(|run| run.outcome())).await?;
    for outcome in outcomes {
        outcome.output::<serde_json::Value>()?;
    }
    Ok(())
}
