//! What an attempt tells the engine: that it started, lines and chunks on the way, and how it ended.

use std::{pin::Pin, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use prost::Message as _;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::dispatch::Assignment;
use crate::hatchet::{
    client::Client,
    task::Emission,
    transport::{Backoff, ClientError, ErrorKind, with_timeout},
    wire::{proto, timestamp_now},
    worker::health::{OnItsWay, Stats},
};

/// A call without a response for this long is made again.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// An outcome is offered this long. An engine that was away longer has given the attempt to another worker (30 s after
/// the last heartbeat), and restarts of a real one were seen to take a minute.
pub(in crate::hatchet::worker) const OUTCOME_PATIENCE: Duration = Duration::from_secs(300);
/// Lines and chunks on their way at once. They are numbered, and the engine restores their order.
const PARALLEL_EMISSIONS: usize = 16;
/// A line or chunk is offered this long.
const EMISSION_PATIENCE: Duration = Duration::from_secs(10);
/// A longer error text is cut, in bytes: nobody reads it, and a failure must always fit into a message.
const LONGEST_ERROR: usize = 64 * 1024;
/// More than a message adds around its line or chunk, in bytes.
const EMISSION_MARGIN: usize = 1024;
/// What waits to be sent when the body ends has this long, so that the outcome is not held up for ever.
const FLUSH_PATIENCE: Duration = Duration::from_secs(15);

/// How an attempt ended.
#[derive(Debug, Clone)]
pub(in crate::hatchet::worker) enum Terminal {
    Completed(String),
    Failed { error: String, may_retry: bool },
}

fn event(assignment: &Assignment, kind: proto::StepActionEventType, payload: String) -> proto::StepActionEvent {
    proto::StepActionEvent {
        worker_id: assignment.worker.to_string(),
        job_id: assignment.job_id.clone(),
        job_run_id: assignment.job_run_id.clone(),
        task_id: assignment.task_id.clone(),
        task_run_external_id: assignment.info.run_id.clone(),
        action_id: assignment.action_id.clone(),
        event_timestamp: Some(timestamp_now()),
        event_type: kind.into(),
        event_payload: payload,
        retry_count: Some(assignment.key.1),
        should_not_retry: Some(false),
        retry_after_ms: None,
    }
}

/// Says that the attempt has started: one try, since it only informs.
pub(in crate::hatchet::worker) fn started(
    client: &Client,
    assignment: &Assignment,
) -> impl Future<Output = ()> + use<> {
    let event = event(assignment, proto::StepActionEventType::StepEventTypeStarted, String::new());
    let mut stub = client.connection().dispatcher();
    async move {
        if let Err(status) = Box::pin(stub.send_step_action_event(with_timeout(CALL_TIMEOUT, event))).await {
            tracing::debug!(%status, "the engine was not told of a start");
        }
    }
}

/// Tells the engine how the attempt ended, until it has acknowledged it or never will.
pub(in crate::hatchet::worker) async fn terminal(
    client: &Client,
    stats: &Stats,
    assignment: &Assignment,
    terminal: Terminal,
) {
    let event = match terminal {
        Terminal::Completed(output) => event(assignment, proto::StepActionEventType::StepEventTypeCompleted, output),
        Terminal::Failed { error, may_retry } => {
            // An engine's database cannot hold the character.
            let mut error = error.replace('\0', "\\0");
            let most = LONGEST_ERROR.min(client.config().max_send_message / 2);
            if error.len() > most {
                error.truncate(error.floor_char_boundary(most));
                error.push_str(" … (cut)");
            }
            proto::StepActionEvent {
                should_not_retry: Some(!may_retry),
                ..event(assignment, proto::StepActionEventType::StepEventTypeFailed, error)
            }
        }
    };
    let run = assignment.key.0;
    let error = match send(client, stats, event).await {
        Ok(()) => return,
        Err(error) => error,
    };
    // An outcome that can never arrive must not leave the run to its timeout.
    if error.kind() == ErrorKind::TooLarge {
        tracing::error!(%run, %error, "the outcome is too large to report; the run fails with that");
        let text = format!("OutputTooLarge: {error}\n    in task {}", assignment.info.task_name);
        let substitute = proto::StepActionEvent {
            should_not_retry: Some(true),
            ..self::event(assignment, proto::StepActionEventType::StepEventTypeFailed, text)
        };
        if let Err(error) = send(client, stats, substitute).await {
            stats.outcomes_lost.add(1);
            tracing::error!(%run, %error, "an outcome is lost");
        }
    } else {
        stats.outcomes_lost.add(1);
        tracing::error!(%run, task = assignment.info.task_name, %error, "an outcome is lost: the engine did not take it");
    }
}

/// A message over the own limit breaks its call in a way that looks like a broken connection, so it is seen before.
fn fits(client: &Client, size: usize) -> Result<(), ClientError> {
    let limit = client.config().max_send_message;
    if size <= limit {
        return Ok(());
    }
    Err(ClientError::new(
        ErrorKind::TooLarge,
        format!(
            "a message of {size} bytes is over the limit of {limit}: send a reference instead, or raise the engine's limit \
             and HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"
        ),
    ))
}

/// Offers it until it is taken, at once when the link is back: after an outage little may be left of the attempt's time.
async fn send(client: &Client, stats: &Stats, event: proto::StepActionEvent) -> Result<(), ClientError> {
    fits(client, event.encoded_len())?;
    let give_up = Instant::now() + OUTCOME_PATIENCE;
    let mut waits = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        let mut stub = client.connection().dispatcher();
        let call = Box::pin(stub.send_step_action_event(with_timeout(CALL_TIMEOUT, event.clone())));
        let error = match taken(client, call).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !error.is_temporary() || Instant::now() >= give_up {
            return Err(error);
        }
        tracing::debug!(%error, "an outcome was not taken; it is offered again");
        let _ = timeout(waits.next_delay(), stats.link_comes_back()).await;
    }
}

/// Sends what the body emits while it runs, and what is left when it has ended, which `finished` tells.
pub(in crate::hatchet::worker) async fn pump(
    client: &Client,
    stats: &Stats,
    assignment: &Assignment,
    mut emissions: mpsc::Receiver<Emission>,
    finished: oneshot::Receiver<()>,
) {
    let mut sending = FuturesUnordered::new();
    let mut index = 0_i64;
    let mut finished = finished.fuse();
    let mut deadline = None;
    loop {
        let flush_over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = &mut finished => {
                // What was sent before stays readable; clones of the context that outlive the body send nothing more.
                emissions.close();
                deadline = Some(Instant::now() + FLUSH_PATIENCE);
            }
            Some(()) = sending.next() => {}
            next = emissions.recv(), if sending.len() < PARALLEL_EMISSIONS => match next {
                Some(emission) => {
                    let chunk = matches!(emission, Emission::Chunk(_));
                    sending.push(emit(client.clone(), assignment, emission, index, stats.on_its_way(chunk)));
                    index += i64::from(chunk);
                }
                None => break,
            },
            () = flush_over => break,
        }
    }
    // What nobody takes any more.
    while let Ok(emission) = emissions.try_recv() {
        drop(stats.on_its_way(matches!(emission, Emission::Chunk(_))));
    }
    let flushed = async { while sending.next().await.is_some() {} };
    let deadline = deadline.unwrap_or_else(|| Instant::now() + FLUSH_PATIENCE);
    if timeout_at(deadline, flushed).await.is_err() {
        tracing::warn!(run = %assignment.key.0, "log lines or chunks are lost: the engine did not take them in time");
    }
}

async fn emit(client: Client, assignment: &Assignment, emission: Emission, index: i64, on_its_way: OnItsWay) {
    let created_at = Some(timestamp_now());
    let run = assignment.key.0;
    let (Emission::Log { message: text, .. } | Emission::Chunk(text)) = &emission;
    if let Err(error) = fits(&client, text.len() + EMISSION_MARGIN) {
        tracing::warn!(%run, %error, "a log line or chunk is lost");
        return;
    }
    let give_up = Instant::now() + EMISSION_PATIENCE;
    let mut waits = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        let mut stub = client.connection().events();
        let sent = match &emission {
            Emission::Log { level, message } => {
                let line = proto::PutLogRequest {
                    task_run_external_id: assignment.info.run_id.clone(),
                    created_at,
                    message: message.replace('\0', "\\0"),
                    level: Some(level.word().to_owned()),
                    metadata: String::new(),
                    task_retry_count: Some(assignment.key.1),
                };
                taken(&client, Box::pin(stub.put_log(with_timeout(CALL_TIMEOUT, line)))).await
            }
            Emission::Chunk(chunk) => {
                let chunk = proto::PutStreamEventRequest {
                    task_run_external_id: assignment.info.run_id.clone(),
                    created_at,
                    message: chunk.clone().into_bytes(),
                    metadata: String::new(),
                    event_index: Some(index),
                };
                taken(&client, Box::pin(stub.put_stream_event(with_timeout(CALL_TIMEOUT, chunk)))).await
            }
        };
        let Err(error) = sent else { return on_its_way.arrived() };
        if !error.is_temporary() || Instant::now() >= give_up {
            tracing::warn!(%run, %error, "a log line or chunk is lost");
            return;
        }
        sleep(waits.next_delay()).await;
    }
}

/// A call whose response has no content. Calls come boxed: each is some kilobytes, and would be copied at every step on
/// the way to its poll.
async fn taken<T>(
    client: &Client,
    call: Pin<Box<impl Future<Output = Result<tonic::Response<T>, tonic::Status>>>>,
) -> Result<(), ClientError> {
    call.await.map(drop).map_err(|status| client.connection().call_error("report on a run", status))
}
