//! Live events of runs: chunks, failed attempts and outcomes.
//!
//! A subscription delivers the events that occur while it is open. Events can be lost, so take the outcome of a run
//! from [`RunRef::outcome`](super::RunRef::outcome).
//!
//! ```text
//!  SubscribeToWorkflowEvents ──▶ RunEvent::from_wire ──▶ OrderedEvents ──▶ channel ──▶ RunEvents::next
//!            ▲                                                │
//!            └────── opened again after a break ◀─────────────┘   one ReorderBuffer for all streams
//! ```

mod event;
mod ordered;
mod reorder_buffer;

use std::{fmt, time::Duration};

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

/// Capacity of the channel of events. A slower reader delays the subscription.
const MAX_BUFFERED_EVENTS: usize = 256;
/// Bounds of the delay before a broken subscription is opened again.
const MIN_REOPEN_DELAY: Duration = Duration::from_millis(100);
const MAX_REOPEN_DELAY: Duration = Duration::from_secs(2);
/// A subscription that was open for this time resets that delay.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// A subscription to events. Ends when the engine closes it.
///
/// ```no_run
/// use hatchet_quickstart::{hatchet::client::RunEventKind, prelude::*};
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Input { name: String }
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Output { message: String }
/// # const STUB: Stub<Input, Output> = Stub::new("externally-triggered-task");
///
/// # async fn example(client: Client) -> Result<(), ClientError> {
/// let (run, mut events) = client.run_no_wait(&STUB, &Input { name: "Ada".into() }).with_events().await?;
/// while let Some(event) = events.next().await {
///     if let RunEventKind::Chunk { text, .. } = event?.kind {
///         print!("{text}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "events are delivered by `next`"]
pub struct RunEvents {
    events: mpsc::Receiver<Result<RunEvent, ClientError>>,
    _task: AbortOnDropHandle<()>,
}

impl RunEvents {
    /// Returns the next event; `None` when the engine has closed the subscription. Cancel safe.
    ///
    /// # Errors
    ///
    /// The error that ended the subscription, such as a refused token. A temporary failure does not end it: the
    /// subscription is opened again, which [`RunEventKind::Gap`] reports.
    pub async fn next(&mut self) -> Option<Result<RunEvent, ClientError>> {
        self.events.recv().await
    }
}

impl fmt::Debug for RunEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunEvents").field("buffered", &self.events.len()).finish_non_exhaustive()
    }
}

impl Client {
    /// Subscribes to events, and returns when the engine has received the subscription. [`RunEvents::next`] returns the
    /// error of a subscription that the engine refuses.
    pub async fn events(&self, selector: StreamSelector) -> RunEvents {
        let (sender, events) = mpsc::channel(MAX_BUFFERED_EVENTS);
        let (opened, is_open) = oneshot::channel();
        let task = AbortOnDropHandle::new(tokio::spawn(deliver(self.clone(), selector, sender, opened)));
        // Fails only if the runtime shuts down.
        let _ = is_open.await;
        RunEvents { events, _task: task }
    }
}

type WireEvents = BoxStream<'static, Result<proto::WorkflowEvent, tonic::Status>>;

/// Delivers events, and opens the subscription again after a break, until the engine closes or refuses it, or the
/// reader is dropped.
async fn deliver(
    client: Client,
    selector: StreamSelector,
    sender: mpsc::Sender<Result<RunEvent, ClientError>>,
    opened: oneshot::Sender<()>,
) {
    let mut opened = Some(opened);
    let mut backoff = Backoff::new(MIN_REOPEN_DELAY, MAX_REOPEN_DELAY);
    let mut buffer = ReorderBuffer::default();
    // No event has arrived since the last gap, so a further break belongs to the same gap.
    let mut in_gap = false;
    loop {
        let mut wire = subscribe(&client, &selector);
        if let Some(opened) = opened.take() {
            wire = await_confirmation(&client, wire).await;
            // Fails if the caller was dropped, which the next event detects.
            let _ = opened.send(());
        }
        let opened_at = Instant::now();
        let wire = wire.map_ok(|event| (event.hangup, RunEvent::from_wire(event)));
        let mut events = OrderedEvents::new(wire, &mut buffer);
        let broken = loop {
            match events.next().await {
                Some(Ok(event)) => {
                    in_gap = false;
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
                Some(Err(status)) => break status,
                None => return,
            }
        };
        let delay = backoff.next_delay_after(opened_at.elapsed(), STABLE_AFTER);
        let error = client.connection().call_error("streaming events", broken);
        if !error.is_temporary() {
            let _ = sender.send(Err(error)).await;
            return;
        }
        tracing::debug!(%error, "the subscription to events broke");
        sleep(delay).await;
        let gap = RunEvent { run: String::new(), retry_count: None, kind: RunEventKind::Gap };
        if !in_gap && sender.send(Ok(gap)).await.is_err() {
            return;
        }
        in_gap = true;
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

/// Waits until the engine has received the subscription.
///
/// An engine may confirm a subscription only by its first event. So the confirmation is that event, or the response to
/// a call that was sent after the subscription on the same connection.
async fn await_confirmation(client: &Client, mut wire: WireEvents) -> WireEvents {
    tokio::select! {
        // The first branch sends the subscription, so it is polled before the call.
        biased;
        first = wire.next() => stream::iter(first).chain(wire).boxed(),
        _ = client.engine_version() => wire,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::hatchet::{transport::fixtures::config, wire::RunId};

    #[tokio::test]
    async fn outage_is_reported_as_one_gap() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(config(listener.local_addr().unwrap().to_string())).unwrap();
        // Closes each connection, so every subscription breaks.
        let accept = async || drop(listener.accept().await.unwrap());
        let mut closing = std::pin::pin!(async {
            loop {
                accept().await
            }
        });
        let mut events = tokio::select! {
            events = client.events(StreamSelector::Run(RunId::random())) => events,
            () = &mut closing => unreachable!(),
        };
        let first = tokio::select! { event = events.next() => event, () = &mut closing => unreachable!() };
        assert!(matches!(first, Some(Ok(RunEvent { kind: RunEventKind::Gap, .. }))), "{first:?}");
        for _ in 0..4 {
            accept().await;
        }
        assert!(events.events.try_recv().is_err());
    }
}
