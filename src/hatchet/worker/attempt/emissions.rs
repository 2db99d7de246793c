//! Sends the log lines and stream chunks of a body while it runs.
//!
//! Up to [`PARALLEL_CALLS`] calls are in flight. Chunks are numbered, and the engine restores their order. When the
//! body has finished, queued emissions have [`FLUSH_TIMEOUT`] to be sent: they reach the engine before the outcome, but
//! cannot delay it indefinitely.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use serde_json::{Map, Value};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};

use super::{
    assignment::Assignment,
    report::{CALL_TIMEOUT, await_acknowledgement},
    resources::WorkerResources,
};
use crate::hatchet::{
    task::Emission,
    transport::{Backoff, with_timeout},
    wire::{has_nul, proto, timestamp_now},
    worker::{health::DeliveryGuard, message_size::check_size},
};

/// Maximum number of lines and chunks in flight.
const PARALLEL_CALLS: usize = 16;
/// Time to send one line or chunk, including retries after 50 ms, doubling to 2 s.
const EMISSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of the fields of a log line as JSON. Longer fields are not sent.
const MAX_FIELDS_LENGTH: usize = 16 * 1024;
/// Upper bound of the bytes that a message adds to its line or chunk.
const MESSAGE_OVERHEAD: usize = MAX_FIELDS_LENGTH + 1024;
/// Time to send queued lines and chunks after the body has finished.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(15);

/// Forwards emissions to the engine until the body has finished and the queue is sent, or [`FLUSH_TIMEOUT`] later.
pub(super) async fn forward(
    resources: &WorkerResources,
    assignment: &Assignment,
    mut emissions: mpsc::Receiver<Emission>,
    body_finished: oneshot::Receiver<()>,
) {
    let mut in_flight = FuturesUnordered::new();
    let mut next_chunk_index = 0_i64;
    let mut body_finished = body_finished.fuse();
    let mut deadline = None;
    loop {
        let flush_timeout = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = &mut body_finished => {
                // Queued emissions stay readable. Clones of the context that outlive the body can send no more.
                emissions.close();
                deadline = Some(Instant::now() + FLUSH_TIMEOUT);
            }
            Some(()) = in_flight.next() => {}
            emission = emissions.recv(), if in_flight.len() < PARALLEL_CALLS => match emission {
                Some(emission) => {
                    let is_chunk = matches!(emission, Emission::Chunk(_));
                    let delivery = resources.counters.track_delivery(is_chunk);
                    in_flight.push(send(resources, assignment, emission, next_chunk_index, delivery));
                    next_chunk_index += i64::from(is_chunk);
                }
                None => break,
            },
            () = flush_timeout => break,
        }
    }
    while let Ok(emission) = emissions.try_recv() {
        // Dropped without a delivery, so counted as lost.
        drop(resources.counters.track_delivery(matches!(emission, Emission::Chunk(_))));
    }
    let flushed = async { while in_flight.next().await.is_some() {} };
    let deadline = deadline.unwrap_or_else(|| Instant::now() + FLUSH_TIMEOUT);
    if timeout_at(deadline, flushed).await.is_err() {
        tracing::warn!(run = %assignment.key.0, "lost log lines or chunks: the engine did not accept them in time");
    }
}

/// Returns the fields of a line as JSON; empty without fields, or if they are over [`MAX_FIELDS_LENGTH`].
fn log_metadata(fields: &Map<String, Value>) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let json = serde_json::to_string(fields).unwrap_or_default();
    if json.len() > MAX_FIELDS_LENGTH || has_nul(&json) { String::new() } else { json }
}

/// Sends one line or chunk, with retries.
async fn send(
    resources: &WorkerResources,
    assignment: &Assignment,
    emission: Emission,
    chunk_index: i64,
    delivery: DeliveryGuard,
) {
    let client = &resources.client;
    let created_at = Some(timestamp_now());
    let run = assignment.key.0;
    let (Emission::Log { message: text, .. } | Emission::Chunk(text)) = &emission;
    if let Err(error) = check_size(client, "sending a log line or chunk", text.len() + MESSAGE_OVERHEAD) {
        tracing::warn!(%run, %error, "lost a log line or chunk");
        return;
    }
    let deadline = Instant::now() + EMISSION_TIMEOUT;
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        let mut stub = client.connection().events();
        let sent = match &emission {
            Emission::Log { level, message, fields } => {
                let line = proto::PutLogRequest {
                    task_run_external_id: assignment.info.run_id.clone(),
                    created_at,
                    message: message.replace('\0', "\\0"),
                    level: Some(level.as_str().to_owned()),
                    metadata: log_metadata(fields),
                    task_retry_count: Some(assignment.key.1),
                };
                let call = Box::pin(stub.put_log(with_timeout(CALL_TIMEOUT, line)));
                await_acknowledgement(client, "sending a log line", call).await
            }
            Emission::Chunk(chunk) => {
                let chunk = proto::PutStreamEventRequest {
                    task_run_external_id: assignment.info.run_id.clone(),
                    created_at,
                    message: chunk.clone().into_bytes(),
                    metadata: String::new(),
                    event_index: Some(chunk_index),
                };
                let call = Box::pin(stub.put_stream_event(with_timeout(CALL_TIMEOUT, chunk)));
                await_acknowledgement(client, "sending a stream chunk", call).await
            }
        };
        let Err(error) = sent else { return delivery.delivered() };
        if !error.is_temporary() || Instant::now() >= deadline {
            tracing::warn!(%run, %error, "lost a log line or chunk");
            return;
        }
        sleep(backoff.next_delay()).await;
    }
}
