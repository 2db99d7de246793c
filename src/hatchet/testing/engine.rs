//! An engine in the test's process, whose time the test moves forward.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::de::DeserializeOwned;

use crate::{
    engine::VirtualEngine,
    hatchet::{
        client::{Client, ClientConfig, Sources},
        task::{ErasedWorkflow, Stub},
        worker::{RunningWorker, Worker},
    },
};

/// An engine in memory, with a client and workers, whose time the test moves forward: retries with backoff, timeouts,
/// schedules and crons take milliseconds. Requires the cargo feature `testing`.
///
/// ```
/// use std::time::Duration;
/// use hatchet_quickstart::{hatchet::testing::TestEngine, prelude::*};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Report { day: u32 }
///
/// const REPORT: Stub<Report, Report> = Stub::new("report");
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), ClientError> {
/// let mut engine = TestEngine::start().await;
/// engine.work([REPORT.task(|input: Report, _| async { Ok(input) })]).await;
/// engine.client().schedule(&REPORT, &Report { day: 1 }).at(engine.now() + Duration::from_secs(3_600)).await?;
/// assert!(engine.triggered(&REPORT).is_empty());
///
/// engine.advance(Duration::from_secs(3_600)).await;
/// engine.assert_triggered(&REPORT, |report| report.day == 1);
/// engine.stop().await;
/// # Ok(())
/// # }
/// ```
///
/// The engine's time also passes by itself, like real time. The time of the test's process does not change: a body that
/// sleeps for an hour sleeps for an hour, and [`Schedule::after`](crate::hatchet::client::Schedule::after) counts from
/// the time of the process, so use [`TestEngine::now`] with `at`.
///
/// # Panics
///
/// Every method panics on a failure, so that the test fails.
pub struct TestEngine {
    engine: VirtualEngine,
    client: Client,
    workers: Vec<RunningWorker>,
}

impl TestEngine {
    /// Starts an engine without workers, on a loopback port that the system chooses.
    pub async fn start() -> Self {
        let started = async {
            let engine = VirtualEngine::start().await.map_err(|e| e.to_string())?;
            let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default());
            let client = config.and_then(Client::new).map_err(|e| e.to_string())?;
            Ok::<_, String>(Self { engine, client, workers: Vec::new() })
        };
        started.await.unwrap_or_else(|error| panic!("starting the test engine failed: {error}"))
    }

    /// The engine's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Starts a worker for these tasks, and waits until it receives work.
    pub async fn work(&mut self, tasks: impl IntoIterator<Item = impl Into<ErasedWorkflow>>) {
        let worker = Worker::new(&self.client).name("test-worker").register_all(tasks).grace(Duration::ZERO);
        let started = async {
            let mut worker = worker.start()?;
            worker.listening().await?;
            Ok::<_, crate::hatchet::client::ClientError>(worker)
        };
        self.workers.push(started.await.unwrap_or_else(|error| panic!("starting the worker failed: {error}")));
    }

    /// Moves the engine's time forward. Stops at each timer that is due in between (a retry, a timeout, a schedule, a
    /// cron), so that the tasks that it starts are executed before the next.
    ///
    /// A body counts as waiting if it runs for 100 ms of real time without a call to the engine. So if a body computes
    /// for longer, wait for its run before you move the time.
    pub async fn advance(&self, by: Duration) {
        self.engine.advance(by).await;
    }

    /// Waits until the engine and its workers have nothing to do at the current time. A running body counts as in
    /// [`TestEngine::advance`].
    pub async fn settle(&self) {
        self.engine.settle().await;
    }

    /// Returns the engine's time.
    pub fn now(&self) -> SystemTime {
        self.engine.now()
    }

    /// Returns the inputs of all runs of a task, in the order of their triggers: by calls, parents, events, schedules
    /// and crons.
    pub fn triggered<I: DeserializeOwned, O>(&self, task: &Stub<I, O>) -> Vec<I> {
        let read = |json: String| match serde_json::from_str(&json) {
            Ok(input) => input,
            Err(error) => {
                panic!("a run of {} has the input {json}, which does not match its type: {error}", task.name())
            }
        };
        self.engine.inputs_of(task.name()).into_iter().map(read).collect()
    }

    /// Asserts that a run of the task was triggered whose input satisfies the condition.
    #[track_caller]
    pub fn assert_triggered<I: DeserializeOwned, O>(&self, task: &Stub<I, O>, condition: impl Fn(&I) -> bool) {
        if !self.triggered(task).iter().any(condition) {
            let inputs = self.engine.inputs_of(task.name());
            panic!("no run of {} satisfies the condition. The inputs of its runs: {inputs:?}", task.name());
        }
    }

    /// Stops the workers and the engine. Dropping them stops them too, without waiting for their end.
    pub async fn stop(self) {
        for worker in self.workers {
            if let Err(error) = worker.stop().await {
                panic!("stopping a worker failed: {error}");
            }
        }
        self.engine.stop().await;
    }
}

impl fmt::Debug for TestEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestEngine").field("client", &self.client).finish_non_exhaustive()
    }
}
