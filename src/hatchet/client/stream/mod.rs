//! Live events of runs: chunks, failed attempts, ends.
//!
//! Events show what happens while a subscription is open. They can be lost, so how a run ended is the business of
//! [`RunRef::outcome`](super::RunRef::outcome).
//!
//! ```text
//!  SubscribeToWorkflowEvents ──▶ RunEvent::from_wire ──▶ OrderedEvents ──▶ channel ──▶ RunEvents::next
//!            ▲                                                │
//!            └────── opened again after a break ◀─────────────┘   the ReorderBuffer outlives the stream
//! ```

mod event;
mod ordered;
mod reorder_buffer;

use std::time::Duration;

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

pub use self::event::{RunEvent, RunEventKind, StreamSelector};
use self::{ordered::OrderedEvents, reorder_buffer::ReorderBuffer};
use crate::hatchet::{
    client::Client,
    transport::{Backoff, ClientError, response_messages},
    wire::proto,
};

/// Events that [`RunEvents::next`] has not returned yet. A reader that is slower than this delays the subscription.
const BUFFERED_EVENTS: usize = 256;
/// Bounds of the wait before a broken subscription is opened again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A subscription that worked for this long resets that wait.
const STABLE: Duration = Duration::from_secs(5);

/// A subscription to events. Ends when the engine closes it.
#[must_use = "events are delivered by `next`"]
pub struct RunEvents {
    events: mpsc::Receiver<Result<RunEvent, ClientError>>,
    _task: AbortOnDropHandle<()>,
}

impl RunEvents {
    /// The next event; `None` when the engine has closed the subscription. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<RunEvent, ClientError>> {
        self.events.recv().await
    }
}

impl Client {
    /// Subscribes to events, and returns when the engine has the subscription.
    ///
    /// An engine may confirm a subscription with its first event only. So the call that follows the subscription on the
    /// same connection is its confirmation: when that is answered, the subscription has been received.
    ///
    /// A subscription that breaks is opened again, which [`RunEventKind::Gap`] reports.
    ///
    /// # Errors
    ///
    /// Never fails. [`RunEvents::next`] returns the error that ended the subscription, such as a refused token.
    pub async fn events(&self, selector: StreamSelector) -> Result<RunEvents, ClientError> {
        let (sender, events) = mpsc::channel(BUFFERED_EVENTS);
        let (opened, is_open) = oneshot::channel();
        let task = AbortOnDropHandle::new(tokio::spawn(deliver(self.clone(), selector, sender, opened)));
        // It fails only if the runtime shuts down.
        let _ = is_open.await;
        Ok(RunEvents { events, _task: task })
    }
}

type WireEvents = BoxStream<'static, Result<proto::WorkflowEvent, tonic::Status>>;

/// Delivers the events of all subscriptions in turn, until the engine closes one, refuses one, or the reader is gone.
async fn deliver(
    client: Client,
    selector: StreamSelector,
    sender: mpsc::Sender<Result<RunEvent, ClientError>>,
    opened: oneshot::Sender<()>,
) {
    let mut opened = Some(opened);
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let mut buffer = ReorderBuffer::default();
    loop {
        let mut wire = subscribe(&client, &selector);
        if let Some(opened) = opened.take() {
            wire = confirmed(&client, wire).await;
            // A failed send: the caller has dropped its call, which the next send shows.
            let _ = opened.send(());
        }
        let since = Instant::now();
        let wire = wire.map_ok(|event| (event.hangup, RunEvent::from_wire(event)));
        let mut events = OrderedEvents::new(wire, &mut buffer);
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
        let wait = backoff.next_delay_after(since.elapsed(), STABLE);
        let error = client.connection().call_error("streaming the run's events", broken);
        if !error.is_temporary() {
            let _ = sender.send(Err(error)).await;
            return;
        }
        tracing::debug!(%error, "the subscription to events broke");
        sleep(wait).await;
        let gap = RunEvent { run: String::new(), retry_count: None, kind: RunEventKind::Gap };
        if sender.send(Ok(gap)).await.is_err() {
            return;
        }
    }
}

fn subscribe(client: &Client, selector: &StreamSelector) -> WireEvents {
    let mut request = proto::SubscribeToWorkflowEventsRequest::default();
    match selector {
        StreamSelector::Run(run) => request.workflow_run_id = Some(run.to_string()),
        StreamSelector::Metadata { key, value } => {
            request.additional_meta_key = Some(key.clone());
            request.additional_meta_value = Some(value.clone());
        }
    }
    let mut stub = client.connection().dispatcher();
    response_messages(async move { stub.subscribe_to_workflow_events(request).await })
}

/// Waits until the engine has the subscription, or has sent the first message of it.
async fn confirmed(client: &Client, mut wire: WireEvents) -> WireEvents {
    tokio::select! {
        // The subscription is polled first, so that it is sent first.
        biased;
        first = wire.next() => stream::iter(first).chain(wire).boxed(),
        _ = client.engine_version() => wire,
    }
}
