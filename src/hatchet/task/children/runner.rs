//! The interface through which a context starts child runs.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI32, Ordering},
};
use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, value::RawValue};
use tokio::runtime::Handle;

use super::ChildError;
use crate::hatchet::{
    task::{Priority, RunInfo},
    wire::RunId,
};

/// A validated request for a child run.
#[derive(Debug, Clone)]
pub(in crate::hatchet) struct ChildRequest {
    pub(in crate::hatchet) input: Box<RawValue>,
    /// The number of the call in the attempt, from 0.
    pub(in crate::hatchet) index: i32,
    pub(in crate::hatchet) key: Option<String>,
    pub(in crate::hatchet) priority: Option<Priority>,
    pub(in crate::hatchet) metadata: Map<String, Value>,
    /// Whether the child desires the worker of its parent.
    pub(in crate::hatchet) sticky: bool,
}

/// The outcome of a child that has finished.
#[derive(Debug, Clone)]
pub(in crate::hatchet) enum ChildOutcome {
    /// The output, a JSON object.
    Completed(String),
    /// The error text.
    Failed(String),
    /// The reason, if it is known.
    Cancelled(Option<String>),
}

/// Starts child runs and waits for them. Implemented by the worker, with its client, and by tests of a body.
pub(in crate::hatchet) trait ChildRunner: Send + Sync {
    /// Starts runs of one task as children of an attempt. Returns a result for each request, in their order.
    fn start(
        &self,
        parent: &RunInfo,
        task: &str,
        children: Vec<ChildRequest>,
    ) -> BoxFuture<'static, Vec<Result<RunId, ChildError>>>;

    /// Waits until a child has finished. Of a workflow, returns the output of `output_task`, or of all tasks by name.
    fn outcome(
        &self,
        child: RunId,
        output_task: Option<&'static str>,
    ) -> BoxFuture<'static, Result<ChildOutcome, ChildError>>;

    /// The runtime on which a thread waits for the futures of this trait.
    fn runtime(&self) -> Handle;
}

/// The child runs of an attempt.
pub(in crate::hatchet) struct Children {
    pub(in crate::hatchet::task) runner: Arc<dyn ChildRunner>,
    next_index: AtomicI32,
    started: Mutex<Vec<RunId>>,
}

impl Children {
    /// No children yet.
    pub(in crate::hatchet) fn new(runner: Arc<dyn ChildRunner>) -> Self {
        Self { runner, next_index: AtomicI32::new(0), started: Mutex::default() }
    }

    /// Returns the number of the next call.
    pub(in crate::hatchet::task) fn next_index(&self) -> i32 {
        self.next_index.fetch_add(1, Ordering::Relaxed)
    }

    pub(in crate::hatchet::task) fn add_started(&self, runs: impl Iterator<Item = RunId>) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).extend(runs);
    }

    /// Returns the children that the attempt has started so far.
    pub(in crate::hatchet) fn started(&self) -> Vec<RunId> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The runtime on which a thread waits.
    pub(in crate::hatchet) fn runtime(&self) -> Handle {
        self.runner.runtime()
    }
}

impl fmt::Debug for Children {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children").field("started", &self.started()).finish_non_exhaustive()
    }
}
