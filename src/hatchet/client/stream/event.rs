//! Events of runs, as decoded from the wire.

use crate::hatchet::{
    client::TRIGGER_KEY,
    wire::{RunId, TriggerId, proto},
};

/// The runs of a subscription to events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamSelector {
    /// One run.
    ///
    /// A real engine starts such a subscription up to 1 s late, sends no earlier events, and closes it after the first
    /// failed attempt.
    Run(RunId),
    /// All runs with this pair in their metadata; the value is a string. A subscription that is opened before the
    /// trigger misses no event of the run.
    ///
    /// The engine closes it when every run with an event has completed. A failed or cancelled run counts as open, so
    /// the subscription stays open then. Runs that are triggered after the end need another subscription.
    Metadata {
        /// A key of the metadata's top level.
        key: String,
        /// The exact value.
        value: String,
    },
}

impl StreamSelector {
    /// Selects the run with this trigger id, by [`TRIGGER_KEY`], and its children.
    pub fn trigger(id: TriggerId) -> Self {
        Self::Metadata { key: TRIGGER_KEY.to_owned(), value: id.to_string() }
    }
}

/// An event that a subscription to a run received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunEvent {
    /// The run's id, as received.
    pub run: String,
    /// The number of the attempt, from 0; `None` if the engine did not send it.
    pub retry_count: Option<i32>,
    /// The kind of the event, with its data.
    pub kind: RunEventKind,
}

/// The kind of a [`RunEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEventKind {
    /// The task was created. It may still wait for a worker.
    Created,
    /// A chunk that the task has streamed. The chunks of an attempt arrive in order.
    Chunk {
        /// The chunk, exactly as the task passed it to `put_stream`.
        text: String,
        /// The chunk's number within the attempt, from 0; `None` if the worker did not send it.
        index: Option<i64>,
    },
    /// An attempt completed.
    Completed,
    /// An attempt failed. More may follow.
    Failed {
        /// The type, the message and the causes of the error, as the worker reported them.
        error: String,
    },
    /// An attempt was cancelled.
    Cancelled,
    /// An attempt exceeded its execution timeout. Another may follow.
    TimedOut,
    /// The run has finished, according to the engine's list of runs. A real engine also sends this after each failed
    /// attempt.
    RunFinished,
    /// Chunks of this attempt were not received: they were sent before the subscription, or lost.
    Missed {
        /// The number of missing chunks.
        chunks: i64,
        /// The number of the next chunk.
        before: i64,
    },
    /// The subscription broke, and is opened again until that succeeds. Events between the previous and the next event
    /// may be missing.
    Gap,
    /// An event that this version of the crate does not know.
    Unknown {
        /// The value of `ResourceEventType` on the wire.
        number: i32,
    },
}

impl RunEvent {
    pub(super) fn from_wire(event: proto::WorkflowEvent) -> Self {
        use proto::{ResourceEventType as E, ResourceType as R};
        let kind = match (R::try_from(event.resource_type), E::try_from(event.event_type)) {
            (Ok(R::WorkflowRun), _) => RunEventKind::RunFinished,
            (_, Ok(E::Started)) => RunEventKind::Created,
            (_, Ok(E::Stream)) => RunEventKind::Chunk { text: event.event_payload, index: event.event_index },
            (_, Ok(E::Completed)) => RunEventKind::Completed,
            (_, Ok(E::Failed)) => RunEventKind::Failed { error: event.event_payload },
            (_, Ok(E::Cancelled)) => RunEventKind::Cancelled,
            (_, Ok(E::TimedOut)) => RunEventKind::TimedOut,
            (_, Ok(E::Unknown) | Err(_)) => RunEventKind::Unknown { number: event.event_type },
        };
        Self { run: event.workflow_run_id, retry_count: event.retry_count, kind }
    }
}
