//! Events of runs, as decoded from the wire.

use crate::hatchet::wire::{RunId, proto};

/// The runs of a subscription to events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamSelector {
    /// One run.
    ///
    /// A real engine starts such a subscription up to a second late, replays nothing, and closes it after the first
    /// failed attempt.
    Run(RunId),
    /// All runs with this pair in their metadata; the value is a string. A subscription that is opened before the trigger
    /// misses nothing of a run.
    ///
    /// The engine closes it when every run that it has seen has completed. A failed or cancelled run counts as open, so
    /// the subscription stays open then. Runs that are triggered after the end need another subscription.
    Metadata {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEvent {
    /// The run's id, as received.
    pub run: String,
    /// The number of the attempt, from 0, if the engine sent it.
    pub retry_count: Option<i32>,
    /// What happened.
    pub kind: RunEventKind,
}

/// The kind of a [`RunEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEventKind {
    /// The task was created. It may still wait for a worker.
    Created,
    /// A chunk that the task has streamed. The chunks of an attempt arrive in order.
    Chunk {
        /// The text.
        text: String,
        /// The chunk's number within the attempt, from 0, if the worker sent it.
        index: Option<i64>,
    },
    /// An attempt completed.
    Completed,
    /// An attempt failed. More may follow.
    Failed {
        /// The error text.
        error: String,
    },
    /// An attempt was cancelled.
    Cancelled,
    /// An attempt timed out.
    TimedOut,
    /// The run has finished, according to the engine's store for lists. A real engine also sends this after each failed
    /// attempt.
    RunEnded,
    /// Chunks of this attempt were not received: they were sent before the subscription, or lost.
    Missed {
        /// How many.
        chunks: i64,
        /// The number of the chunk that follows.
        before: i64,
    },
    /// The subscription broke and was opened again. Events may be missing.
    Gap,
    /// An event that this version does not know.
    Unknown {
        /// The number on the wire.
        number: i32,
    },
}

impl RunEvent {
    pub(super) fn from_wire(event: proto::WorkflowEvent) -> Self {
        use proto::{ResourceEventType as E, ResourceType as R};
        let kind = match (R::try_from(event.resource_type), E::try_from(event.event_type)) {
            (Ok(R::WorkflowRun), _) => RunEventKind::RunEnded,
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
