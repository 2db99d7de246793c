//! The stream chunks of a run as server-sent events.
//!
//! ```text
//! event: chunk
//! data: {"task":"…","attempt":1,"index":0,"text":"…"}
//!
//! event: end
//! data: {"status":"COMPLETED"}
//! ```
//!
//! `task` is the id of the task that sent the chunk, `attempt` counts from 1, and `index` is null for a chunk that was
//! sent without one. The stream ends after `end`, or after `error` with a `message` if its client has not read fast
//! enough. It starts with the next chunk, since chunks are not stored.

use std::{convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;
use tonic::Status;

use crate::engine::{
    driver::{QueueReader, RunEvent, RunEventKind},
    state::TaskEvent,
};

/// Time without an event after which a comment is sent: 15 s. Writing it detects a client that is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The response with the chunks of a run. The number of queued events is bounded by the subscription, and only as many
/// are taken from it as the client reads.
pub(crate) fn chunk_stream(events: QueueReader<RunEvent>) -> Response {
    let events = events.filter_map(|event| to_server_sent(event).map(Ok::<Event, Infallible>));
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// Converts an event; `None` for an event of a task that is no chunk.
fn to_server_sent(event: Result<RunEvent, Status>) -> Option<Event> {
    let (name, data): (&str, Value) = match event.map(|event| event.kind) {
        Ok(RunEventKind::Task { task, attempt, event: TaskEvent::Chunk { text, index } }) => {
            ("chunk", json!({ "task": task.to_string(), "attempt": attempt + 1, "index": index, "text": &*text }))
        }
        Ok(RunEventKind::Task {
            event: TaskEvent::Created | TaskEvent::Completed(_) | TaskEvent::Failed(_) | TaskEvent::Cancelled,
            ..
        }) => return None,
        Ok(RunEventKind::Finished(status)) => ("end", json!({ "status": status.as_str() })),
        Err(status) => ("error", json!({ "message": status.message() })),
    };
    // JSON has no line breaks, which the format of the events forbids.
    Some(Event::default().event(name).data(data.to_string()))
}
