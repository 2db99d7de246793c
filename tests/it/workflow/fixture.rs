//! Workers and payloads of the tests.

use std::time::Duration;

use hatchet_quickstart::{
    hatchet::{
        client::Client,
        task::ErasedWorkflow,
        worker::{RunningWorker, WorkerOptions},
    },
    prelude::*,
};
use serde_json::Value;

use crate::support::{Target, within_timeout};

/// A number, as the input or output of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct N {
    pub n: i64,
}

/// An input with a key, by which runs are grouped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Keyed {
    pub key: String,
}

pub fn keyed(key: &str) -> Keyed {
    Keyed { key: key.to_owned() }
}

pub type Json = serde_json::Map<String, Value>;

/// The engine under test with a client and a listening worker.
pub struct Fixture {
    pub target: Target,
    pub client: Client,
    pub worker: RunningWorker,
}

impl Fixture {
    /// Starts a worker for the workflows that `declare` creates.
    pub async fn start(target: Target, workflows: Vec<ErasedWorkflow>) -> Self {
        let client = target.client();
        let worker = worker(&target, WorkerOptions::default(), workflows).await;
        Self { target, client, worker }
    }

    pub async fn stop(self) {
        self.worker.stop().await.unwrap();
    }
}

/// Starts a worker with the name of these options, prefixed for this test.
pub async fn worker(target: &Target, options: WorkerOptions, workflows: Vec<ErasedWorkflow>) -> RunningWorker {
    let options = WorkerOptions { name: target.name(&options.name), grace: Duration::ZERO, ..options };
    let worker = Worker::new(&target.client()).options(options).register_all(workflows);
    let mut worker = worker.start().unwrap();
    within_timeout("the worker listens", worker.listening()).await.unwrap();
    worker
}

/// Starts a worker whose registration fails, and returns the error.
pub async fn registration_error(target: &Target, workflow: impl Into<ErasedWorkflow>) -> ClientError {
    let mut worker = Worker::new(&target.client()).name(target.name("invalid")).register(workflow).start().unwrap();
    within_timeout("the registration fails", worker.listening()).await.unwrap_err()
}
