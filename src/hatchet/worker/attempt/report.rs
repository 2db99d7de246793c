//! Reports the start and the outcome of an attempt.
//!
//! Retry policy of an outcome: each call times out after [`CALL_TIMEOUT`]; temporary failures are retried after 50 ms,
//! doubling to 5 s, for up to [`OUTCOME_TIMEOUT`]. The delay ends early when a stream has been reopened, since after an
//! outage little of the attempt's time may be left. An outcome that is too large to send is replaced by a failure with
//! that reason, because the run would otherwise wait for its timeout. An outcome that the engine refuses is counted as
//! lost.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, timeout};

use super::{assignment::Assignment, resources::WorkerResources};
use crate::hatchet::{
    client::Client,
    task::Outcome,
    transport::{Backoff, ClientError, ErrorKind, with_timeout},
    wire::{
        failure_text,
        proto::{StepActionEvent, StepActionEventType},
        timestamp_now, with_attempt,
    },
    worker::message_size::check_message,
};

/// Time without a response after which a call is repeated.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to report an outcome, including retries. An engine that was unavailable for longer has reassigned the attempt
/// (30 s after the last heartbeat). A restart of a real engine took up to a minute.
pub(super) const OUTCOME_TIMEOUT: Duration = Duration::from_secs(300);
/// Maximum length of a reported error text in bytes. A failure must always fit into a message.
const MAX_ERROR_LENGTH: usize = 64 * 1024;

fn event(assignment: &Assignment, kind: StepActionEventType, payload: String) -> StepActionEvent {
    StepActionEvent {
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

/// Returns the event of a failure that is not retried. Its text has the attempt on a separate line, since the Python
/// SDK reads the first line as the message.
fn failed_event(assignment: &Assignment, error: &str, max_length: usize) -> StepActionEvent {
    let text = with_attempt(error, &assignment.info.task_name, assignment.info.retry_count.saturating_add(1));
    StepActionEvent {
        should_not_retry: Some(true),
        ..event(assignment, StepActionEventType::StepEventTypeFailed, shorten(&text, max_length))
    }
}

/// Reports the start of an attempt. Not retried, since the report is only informative.
pub(super) fn send_started(client: &Client, assignment: &Assignment) -> impl Future<Output = ()> + use<> {
    let event = event(assignment, StepActionEventType::StepEventTypeStarted, String::new());
    let mut stub = client.connection().dispatcher();
    async move {
        if let Err(status) = Box::pin(stub.send_step_action_event(with_timeout(CALL_TIMEOUT, event))).await {
            tracing::debug!(%status, "reporting the start of an attempt failed");
        }
    }
}

/// Reports the outcome of an attempt. A cancellation is not reported.
pub(super) async fn send_outcome(resources: &WorkerResources, assignment: &Assignment, outcome: Outcome) {
    let event = match outcome {
        Outcome::Completed(output) => event(assignment, StepActionEventType::StepEventTypeCompleted, output),
        Outcome::Failed { error, may_retry, retry_after } => {
            let max_length = MAX_ERROR_LENGTH.min(resources.client.config().max_send_message / 2);
            StepActionEvent {
                should_not_retry: Some(!may_retry),
                retry_after_ms: retry_after.map(round_up_to_millis),
                ..failed_event(assignment, &error, max_length)
            }
        }
        Outcome::Cancelled => return,
    };
    let run = assignment.key.0;
    let Err(mut error) = send_event(resources, event).await else { return };
    if error.kind() == ErrorKind::TooLarge {
        tracing::error!(%run, %error, "the outcome is too large to report, so the run fails");
        let text = failure_text("OutputTooLarge", &error.to_string());
        match send_event(resources, failed_event(assignment, &text, MAX_ERROR_LENGTH)).await {
            Ok(()) => return,
            Err(substitute_error) => error = substitute_error,
        }
    }
    resources.counters.outcomes_lost.add(1);
    tracing::error!(%run, task = assignment.info.task_name, %error, "reporting an outcome failed, so it is lost");
}

fn round_up_to_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// Truncates an error text to about `limit` bytes, and escapes NUL, which the engine's database cannot store.
fn shorten(error: &str, limit: usize) -> String {
    let mut error = error.replace('\0', "\\0");
    if error.len() > limit {
        error.truncate(error.floor_char_boundary(limit));
        error.push_str(" … (cut)");
    }
    error
}

/// Sends an event until the engine acknowledges it, refuses it, or [`OUTCOME_TIMEOUT`] has elapsed.
async fn send_event(resources: &WorkerResources, event: StepActionEvent) -> Result<(), ClientError> {
    let client = &resources.client;
    check_message(client, "reporting the outcome", &event)?;
    let deadline = Instant::now() + OUTCOME_TIMEOUT;
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        let mut stub = client.connection().dispatcher();
        let call = Box::pin(stub.send_step_action_event(with_timeout(CALL_TIMEOUT, event.clone())));
        let Err(error) = await_acknowledgement(client, "reporting an outcome", call).await else { return Ok(()) };
        if !error.is_temporary() || Instant::now() >= deadline {
            return Err(error);
        }
        tracing::debug!(%error, "reporting an outcome failed, retrying");
        let _ = timeout(backoff.next_delay(), resources.connected.notified()).await;
    }
}

/// Awaits a call whose response has no content. `operation` describes the call in its error. Calls are boxed, since
/// each is several kilobytes and would be copied several times before its first poll.
pub(super) async fn await_acknowledgement<T>(
    client: &Client,
    operation: &str,
    call: Pin<Box<impl Future<Output = Result<tonic::Response<T>, tonic::Status>>>>,
) -> Result<(), ClientError> {
    call.await.map(drop).map_err(|status| client.connection().call_error(operation, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_error_text_is_truncated_at_a_character() {
        assert_eq!(shorten("a\0b", 10), "a\\0b");
        assert_eq!(shorten("éé", 4), "éé");
        assert_eq!(shorten("éé", 3), "é … (cut)");
    }
}
