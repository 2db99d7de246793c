//! The library's client and worker on the engine under test.

use std::{future::IntoFuture, time::Duration};

use hatchet_quickstart::hatchet::{
    client::Client,
    task::{ErasedWorkflow, Stub},
    worker::{RunningWorker, Worker},
};
use serde_json::Value;

use crate::support::{Target, within_timeout};

/// Input and output of the tasks.
pub type Json = serde_json::Map<String, Value>;

/// Converts `json!({…})`.
#[track_caller]
pub fn json_object(value: Value) -> Json {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

pub struct Library {
    pub target: Target,
    pub client: Client,
    workers: Vec<RunningWorker>,
}

impl Library {
    /// A client without a worker.
    pub async fn start() -> Self {
        Self::of(Target::start().await)
    }

    /// For tasks that fail; see [`Target::for_failures`].
    pub async fn for_failures() -> Self {
        Self::of(Target::for_failures().await)
    }

    fn of(target: Target) -> Self {
        let client = target.client();
        Self { target, client, workers: Vec::new() }
    }

    /// A stub with a name that is unique to this test.
    pub fn stub(&self, base: &str) -> Stub<Json, Json> {
        Stub::from_name(self.target.name(base))
    }

    /// Starts a worker for these tasks, and waits until it receives work.
    pub async fn work(&mut self, tasks: impl IntoIterator<Item = impl Into<ErasedWorkflow>>) {
        let worker = Worker::new(&self.client)
            .name(self.target.name("worker"))
            .register_all(tasks)
            .grace(Duration::ZERO)
            .cancel_grace(Duration::from_millis(100));
        let mut worker = worker.start().unwrap();
        within_timeout("the worker listens", worker.listening()).await.unwrap();
        self.workers.push(worker);
    }

    /// Stops the workers.
    pub async fn stop(self) {
        for worker in self.workers {
            within_timeout("the worker stops", worker.stop()).await.unwrap();
        }
    }
}

/// Awaits a builder or a future.
pub async fn within<T>(what: &str, work: impl IntoFuture<Output = T>) -> T {
    within_timeout(what, work.into_future()).await
}
