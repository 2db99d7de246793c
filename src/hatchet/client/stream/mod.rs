//! Live events of runs. They tell what happens while one looks; how a run ended is [`super::RunHandle::outcome`]'s.

mod ordered;
mod reorder;

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use self::{ordered::InOrder, reorder::ChunkOrder};
use crate::hatchet::{
    client::Client,
    transport::{Backoff, ClientError, response_messages},
    wire::{RunId, proto},
};

/// A subscription that held this long was a good one: after it, the next try is soon again.
const GOOD: Duration = Duration::from_secs(5);

/// Which runs to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamSelector {
    /// One run. A real engine starts such a subscription up to a second late, replays nothing, and hangs up after the
    /// first failed attempt.
    Run(RunId),
    /// All runs with this pair in their metadata, the value a string. Opened before the trigger, it misses nothing of a
    /// run.
    ///
    /// The engine ends it when every run that it has seen has completed. A run that was triggered before is not cut off
    /// by the end of another; for runs that are triggered later, subscribe again. A run that failed or was cancelled
    /// counts as open, so then the subscription stays.
    Metadata {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEvent {
    /// The run, as the engine wrote it.
    pub run: String,
    /// The attempt, where the engine said it.
    pub retry_count: Option<i32>,
    /// What.
    pub kind: RunEventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEventKind {
    /// The task came to be. It says nothing about a worker.
    Created,
    /// A chunk that the task streams; those of an attempt come in order.
    Chunk {
        /// The text.
        text: String,
        /// Its number within the attempt, from 0, where the worker gave one.
        index: Option<i64>,
    },
    /// An attempt completed.
    Completed,
    /// An attempt failed; more may follow.
    Failed {
        /// The error text.
        error: String,
    },
    /// An attempt was cancelled.
    Cancelled,
    /// An attempt timed out.
    TimedOut,
    /// The engine says that the run as a whole has ended, in its store for lists. On a real engine this also comes
    /// after each failed attempt.
    RunEnded,
    /// Chunks of this attempt were not received: they were sent before one looked, or got lost.
    Missed {
        /// How many.
        chunks: i64,
        /// The number of the chunk that comes next instead.
        before: i64,
    },
    /// The subscription broke and was made again: events may be missing.
    Gap,
    /// Something that this version does not know.
    Unknown {
        /// The number on the wire.
        number: i32,
    },
}

/// A subscription to events. Ends when the engine hangs up.
pub struct RunEvents {
    events: mpsc::Receiver<Result<RunEvent, ClientError>>,
    _owner: AbortOnDropHandle<()>,
}

impl RunEvents {
    /// The next event, or none when the engine has hung up.
    pub async fn next(&mut self) -> Option<Result<RunEvent, ClientError>> {
        self.events.recv().await
    }
}

impl Client {
    /// Subscribes to events, and comes back when the engine has the subscription.
    ///
    /// An engine may confirm a subscription with its first event only; what comes back here is the answer to a call
    /// that was sent behind it on the same connection.
    pub async fn events(&self, selector: StreamSelector) -> Result<RunEvents, ClientError> {
        let (sender, events) = mpsc::channel(256);
        let (opened, is_open) = tokio::sync::oneshot::channel();
        let pump = pump(self.clone(), selector, sender, opened);
        let owner = AbortOnDropHandle::new(tokio::spawn(pump));
        // The pump is gone only with the runtime.
        let _ = is_open.await;
        Ok(RunEvents { events, _owner: owner })
    }
}

async fn pump(
    client: Client,
    selector: StreamSelector,
    sender: mpsc::Sender<Result<RunEvent, ClientError>>,
    opened: tokio::sync::oneshot::Sender<()>,
) {
    let mut opened = Some(opened);
    let mut waits = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let mut order = ChunkOrder::default();
    loop {
        let request = match &selector {
            StreamSelector::Run(run) => {
                proto::SubscribeToWorkflowEventsRequest { workflow_run_id: Some(run.to_string()), ..Default::default() }
            }
            StreamSelector::Metadata { key, value } => proto::SubscribeToWorkflowEventsRequest {
                additional_meta_key: Some(key.clone()),
                additional_meta_value: Some(value.clone()),
                ..Default::default()
            },
        };
        let mut stub = client.connection().dispatcher();
        let mut wire = response_messages(async move { stub.subscribe_to_workflow_events(request).await });
        if let Some(opened) = opened.take() {
            // Polled first, so that the subscription leaves first.
            let mut first = None;
            tokio::select! {
                biased;
                early = wire.next() => first = Some(early),
                _ = client.engine_version() => {}
            }
            if let Some(first) = first {
                wire = stream::iter(first).chain(wire).boxed();
            }
            // A failed send: the caller has stopped waiting, which the next send to it shows.
            let _ = opened.send(());
        }
        let since = Instant::now();
        let mut events = InOrder::new(wire.map_ok(|event| (event.hangup, read(event))), &mut order);
        let broken = loop {
            match events.next().await {
                Some(Ok(event)) => {
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
                Some(Err(status)) => break status,
                None => return,
            }
        };
        let wait = waits.next_delay_after(since.elapsed(), GOOD);
        let error = client.connection().call_error("stream the run's events", broken);
        if !error.is_temporary() {
            let _ = sender.send(Err(error)).await;
            return;
        }
        tracing::debug!(%error, "the subscription to events broke");
        tokio::time::sleep(wait).await;
        let gap = RunEvent { run: String::new(), retry_count: None, kind: RunEventKind::Gap };
        if sender.send(Ok(gap)).await.is_err() {
            return;
        }
    }
}

fn read(event: proto::WorkflowEvent) -> RunEvent {
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
    RunEvent { run: event.workflow_run_id, retry_count: event.retry_count, kind }
}
