//! Effects: the work of the driver after an event.

use std::sync::Arc;

use super::workers::StreamId;
use crate::hatchet::wire::{RunId, RunStatus};

/// A message to send after an event. The driver carries out effects in the order in which they occurred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Sends an attempt to a worker.
    StartAttempt { stream: StreamId, task: RunId, attempt: i32 },
    /// Sends a worker the request to stop an attempt.
    StopAttempt { stream: StreamId, task: RunId, attempt: i32 },
    /// Sends subscribers of a run an event of one of its tasks.
    NotifyTask { task: RunId, run: RunId, attempt: i32, event: TaskEvent },
    /// Sends subscribers of a run its final status.
    NotifyFinished { run: RunId, status: RunStatus },
}

/// An event of a task, for the subscribers of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskEvent {
    /// The task was created; `STARTED` in messages, as in a real engine.
    Created,
    /// The task streamed a chunk.
    Chunk { text: Arc<str>, index: Option<i64> },
    /// An attempt finished with an output.
    Completed(Arc<str>),
    /// An attempt finished with an error, whether or not another attempt follows.
    Failed(Arc<str>),
    /// The task was cancelled.
    Cancelled,
}
