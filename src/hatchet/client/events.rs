//! Events: each starts a run of every task that has a trigger for its key.
//!
//! ```no_run
//! # use hatchet_quickstart::{hatchet::client::NewEvent, prelude::*};
//! # #[derive(Serialize, Deserialize, JsonSchema)]
//! # struct Input { name: String }
//! # async fn example(client: Client) -> Result<(), ClientError> {
//! let order = Input { name: "Ada".into() };
//! client.push_event("order:created", &order).scope("eu").metadata("source", "web").await?;
//!
//! let events = ["Ada", "Bob"].map(|name| NewEvent::new("order:created", &Input { name: name.into() }));
//! for event in client.push_events(events).await {
//!     println!("{}", event?.id);
//! }
//! # Ok(())
//! # }
//! ```

use std::{fmt, future::IntoFuture};

use futures_util::{
    future::BoxFuture,
    stream::{self, StreamExt as _},
};
use prost::Message as _;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Client, ClientError, ErrorKind,
    span::{event_attributes, in_span, in_span_of_many},
    template::{metadata_json, object, text},
    trigger::{BULK_CALLS, may_be_repeated},
};
use crate::hatchet::{
    task::{CallSpan, Priority},
    transport::retry_until,
    wire::{
        EventId,
        proto::{BulkPushEventRequest, PushEventRequest},
        timestamp_now,
    },
};

/// Maximum number of events in one call. An engine refuses more.
const MAX_EVENTS: usize = 1_000;

/// Bytes of a call that are reserved for the envelope of the events.
const MARGIN: usize = 4 * 1024;

/// Maximum number of bytes that the encoding adds to an event: a length of up to 5 bytes and a tag of 1.
const EVENT_OVERHEAD: usize = 6;

impl Client {
    /// Pushes an event, and returns its id when the engine has accepted it. The payload is the input of the runs that
    /// the event starts; its JSON form must be an object.
    ///
    /// The client's namespace is added to the key, as the official SDKs do.
    ///
    /// # Errors
    ///
    /// By [`ClientError::kind`]:
    ///
    /// - [`Invalid`](ErrorKind::Invalid) for an empty key or scope, or a payload or metadata that is no JSON object or
    ///   contains NUL.
    /// - [`TooLarge`](ErrorKind::TooLarge) over the message limit, 4 MiB by default.
    /// - Otherwise the error of the call. If the response was lost, the engine may have accepted the event: the call is
    ///   not repeated then, because that could start runs twice.
    pub fn push_event<P: Serialize>(&self, key: &str, payload: &P) -> PushEvent {
        PushEvent { client: self.clone(), event: NewEvent::new(key, payload) }
    }

    /// Pushes many events, in calls of at most 1,000 events, four of them concurrent. Returns a result for each event,
    /// in their order.
    ///
    /// A call also ends at the message limit, 4 MiB by default. The engine may receive the calls in another order. If
    /// the order of events that do not fit into one call matters, await [`Client::push_event`] for each of them.
    ///
    /// An invalid event fails alone. If a call fails, its events fail with its error, and the other calls are still made.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::push_event`], separately for each event.
    pub async fn push_events(
        &self,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Vec<Result<PushedEvent, ClientError>> {
        let events: Vec<NewEvent> = events.into_iter().collect();
        let span = CallSpan::start("hatchet.bulk_push_event", |attributes| {
            let mut keys: Vec<&str> = events.iter().map(|event| event.key.as_str()).collect();
            keys.sort_unstable();
            keys.dedup();
            attributes
                .number("hatchet.num_events", i64::try_from(events.len()).ok())
                .text("hatchet.unique_event_keys", &Value::from(keys).to_string())
        });
        in_span_of_many(span, self.send_events(events)).await
    }

    async fn send_events(&self, events: Vec<NewEvent>) -> Vec<Result<PushedEvent, ClientError>> {
        let limit = self.config().max_send_message.saturating_sub(MARGIN);
        let mut results: Vec<Option<Result<PushedEvent, ClientError>>> = Vec::new();
        // The requests of each call, with their positions.
        let mut calls: Vec<(usize, Vec<(usize, PushEventRequest)>)> = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            let request = match event.request(self) {
                Ok(request) => request,
                Err(error) => {
                    results.push(Some(Err(error)));
                    continue;
                }
            };
            results.push(None);
            let size = request.encoded_len() + EVENT_OVERHEAD;
            match calls.last_mut() {
                Some((bytes, call)) if call.len() < MAX_EVENTS && *bytes + size <= limit => {
                    *bytes += size;
                    call.push((index, request));
                }
                _ => calls.push((size, vec![(index, request)])),
            }
        }
        let calls = calls.into_iter().map(|(_, call)| async {
            let (indices, requests): (Vec<usize>, Vec<PushEventRequest>) = call.into_iter().unzip();
            (indices, self.push_call(requests).await)
        });
        let mut calls = stream::iter(calls).buffer_unordered(BULK_CALLS);
        while let Some((indices, response)) = calls.next().await {
            match response {
                Ok(pushed) => {
                    indices.into_iter().zip(pushed).for_each(|(index, event)| results[index] = Some(Ok(event)));
                }
                Err(error) => indices.into_iter().for_each(|index| results[index] = Some(Err(error.clone()))),
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(too_few_events()))).collect()
    }

    /// Pushes valid events in one call. Returns them with their ids, in their order.
    async fn push_call(&self, events: Vec<PushEventRequest>) -> Result<Vec<PushedEvent>, ClientError> {
        let operation = &format!("pushing {} events", events.len());
        let events = &events;
        let response = retry_until(None, may_be_repeated, || async move {
            let connection = self.connection();
            connection.ensure_reachable(operation).await?;
            let request = BulkPushEventRequest { events: events.clone() };
            let response = connection.events().bulk_push(request).await;
            response.map_err(|status| connection.call_error(operation, status))
        });
        response.await?.into_inner().events.into_iter().map(|event| parse(&event.event_id)).collect()
    }
}

/// A call that pushes an event. Returned by [`Client::push_event`], awaited directly.
#[must_use = "a call does nothing until it is awaited"]
pub struct PushEvent {
    client: Client,
    event: NewEvent,
}

/// An event with its own options, for [`Client::push_events`].
#[derive(Debug, Clone)]
#[must_use = "an event does nothing until it is passed to a call"]
pub struct NewEvent {
    key: String,
    /// The payload's JSON, or the error of its serialization.
    payload: Result<String, String>,
    scope: Option<String>,
    metadata: Map<String, Value>,
    priority: Option<Priority>,
}

/// An event that the engine has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushedEvent {
    /// The event's id. [`RestClient::event`](super::RestClient::event) returns the runs that it has started.
    pub id: EventId,
}

impl NewEvent {
    /// Creates an event with this key and payload, without options.
    pub fn new<P: Serialize>(key: &str, payload: &P) -> Self {
        let payload = serde_json::to_string(payload).map_err(|e| e.to_string());
        Self { key: key.to_owned(), payload, scope: None, metadata: Map::new(), priority: None }
    }

    /// Sets the scope. A task with filters is started only if one of its filters has this scope and matches the event.
    /// Default: none.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Adds a pair to the metadata of the event and of the runs that it starts. Replaces an earlier value for the key.
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Sets the priority of the runs that the event starts. Default: each task's priority.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    fn request(self, client: &Client) -> Result<PushEventRequest, ClientError> {
        text("event key", &self.key)?;
        if let Some(scope) = &self.scope {
            text("event scope", scope)?;
        }
        let payload = object(&format!("payload of event {}", self.key), self.payload)?;
        let metadata = metadata_json(self.metadata)?;
        let request = PushEventRequest {
            key: client.config().namespaced(&self.key),
            payload,
            event_timestamp: Some(timestamp_now()),
            additional_metadata: Some(metadata),
            priority: self.priority.map(|priority| i32::from(priority.number())),
            scope: self.scope,
        };
        let (size, limit) = (request.encoded_len(), client.config().max_send_message);
        if size > limit.saturating_sub(MARGIN) {
            let cause = format!("the event makes a message of {size} bytes, over the limit of {limit}. Send less");
            return Err(ClientError::new(ErrorKind::TooLarge, format!("pushing event {} failed: {cause}", self.key)));
        }
        Ok(request)
    }
}

impl PushEvent {
    /// Sets the scope, as [`NewEvent::scope`] does.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.event = self.event.scope(scope);
        self
    }

    /// Adds a pair to the metadata, as [`NewEvent::metadata`] does.
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.event = self.event.metadata(key, value);
        self
    }

    /// Sets the priority, as [`NewEvent::priority`] does.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.event = self.event.priority(priority);
        self
    }

    async fn send(self) -> Result<PushedEvent, ClientError> {
        let span = CallSpan::start("hatchet.push_event", |attributes| {
            let NewEvent { key, scope, metadata, priority, .. } = &self.event;
            event_attributes(attributes, metadata, *priority)
                .text("hatchet.event_key", key)
                .text("hatchet.scope", scope.as_deref().unwrap_or_default())
        });
        in_span(span, self.push()).await
    }

    async fn push(self) -> Result<PushedEvent, ClientError> {
        let Self { client, event } = self;
        let operation = &format!("pushing event {}", event.key);
        let request = &event.request(&client)?;
        let connection = client.connection();
        let response = retry_until(None, may_be_repeated, || async move {
            connection.ensure_reachable(operation).await?;
            let response = connection.events().push(request.clone()).await;
            response.map_err(|status| connection.call_error(operation, status))
        });
        parse(&response.await?.into_inner().event_id)
    }
}

impl IntoFuture for PushEvent {
    type Output = Result<PushedEvent, ClientError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for PushEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushEvent").field("event", &self.event).finish_non_exhaustive()
    }
}

fn parse(id: &str) -> Result<PushedEvent, ClientError> {
    let id = id
        .parse()
        .map_err(|e| ClientError::new(ErrorKind::Engine, format!("reading the engine's response failed: {e}")))?;
    Ok(PushedEvent { id })
}

fn too_few_events() -> ClientError {
    ClientError::new(
        ErrorKind::Engine,
        "pushing events failed: the engine's response has fewer events than the request",
    )
}
