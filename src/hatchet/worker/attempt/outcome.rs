//! The report at the end of an attempt: an outcome, a timeout, or nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    assignment::Assignment,
    report::{self, OUTCOME_TIMEOUT},
    resources::WorkerResources,
};
use crate::hatchet::{
    task::{CancelReason, Outcome},
    transport::{Backoff, ErrorKind},
    wire::readable_duration,
    worker::health::AttemptEnd,
};

/// Time between an attempt's execution timeout and its end by the worker. The engine ends an attempt at the timeout,
/// but checks only about once a second and may have extended the deadline.
pub(super) const TIMEOUT_MARGIN: Duration = Duration::from_secs(5);

/// Maximum delay between two queries for the run's status before a timeout is reported. The first is 50 ms.
const MAX_STATUS_DELAY: Duration = Duration::from_secs(5);

/// The outstanding report of an attempt.
pub(super) enum PendingReport {
    Outcome(Outcome),
    /// The attempt exceeded this execution timeout. Reported unless the engine has ended the attempt.
    Timeout(Duration),
    /// No report: the engine has ended the attempt.
    None,
}

impl PendingReport {
    /// The error text of a failure.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Outcome(Outcome::Failed { error, .. }) => Some(error),
            Self::Outcome(Outcome::Completed(_) | Outcome::Cancelled) | Self::Timeout(_) | Self::None => None,
        }
    }
}

/// Reports the end of an attempt until the engine acknowledges it or [`OUTCOME_TIMEOUT`] has elapsed.
pub(super) async fn report_outcome(resources: &WorkerResources, assignment: &Assignment, report: PendingReport) {
    let _counted = resources.counters.reports.enter();
    let outcome = match report {
        PendingReport::Outcome(outcome) => Some(outcome),
        PendingReport::Timeout(limit) => resolve_timeout(resources, assignment, limit).await,
        PendingReport::None => None,
    };
    if let Some(outcome) = outcome {
        report::send_outcome(resources, assignment, outcome).await;
    }
}

/// Classifies the end of an attempt for the counters.
pub(super) fn classify_end(report: &PendingReport, reason: Option<CancelReason>) -> AttemptEnd {
    match (report, reason) {
        (PendingReport::Outcome(Outcome::Completed(_)), _) => AttemptEnd::Completed,
        (PendingReport::Outcome(Outcome::Failed { may_retry: false, .. }), _) => AttemptEnd::Fatal,
        (PendingReport::Outcome(_), Some(CancelReason::Shutdown)) => AttemptEnd::Shutdown,
        (PendingReport::Outcome(_), Some(CancelReason::TimedOut)) => AttemptEnd::TimedOut,
        (PendingReport::Outcome(_), _) => AttemptEnd::Failed,
        (PendingReport::Timeout(_), _) | (PendingReport::None, Some(CancelReason::TimedOut)) => AttemptEnd::TimedOut,
        (PendingReport::None, _) => AttemptEnd::Cancelled,
    }
}

/// Returns the failure to report for an attempt that the worker ended at its timeout, or `None` if the engine has ended
/// it.
///
/// The engine may have ended the attempt while its cancellation was lost with the connection. A failure reported then
/// would overwrite the run's status. So the worker first queries the run, and retries the query until it succeeds or
/// [`OUTCOME_TIMEOUT`] has elapsed. A response that is too large to receive contains an output, so the run has
/// finished. No query is needed for an attempt that was retried in the meantime, since the engine ignores its report.
async fn resolve_timeout(resources: &WorkerResources, assignment: &Assignment, limit: Duration) -> Option<Outcome> {
    let run = resources.client.run_ref::<()>(assignment.key.0);
    let deadline = Instant::now() + OUTCOME_TIMEOUT;
    let mut backoff = Backoff::new(Duration::from_millis(50), MAX_STATUS_DELAY);
    loop {
        match run.details_once().await {
            Ok(details) if details.done => return None,
            Err(error) if error.kind() == ErrorKind::TooLarge => return None,
            Err(error) if error.is_temporary() && Instant::now() < deadline => sleep(backoff.next_delay()).await,
            // The run has not finished, or the query was refused. In both cases the engine decides whether the report
            // applies.
            Ok(_) | Err(_) => break,
        }
    }
    let message = format!(
        "the attempt ran longer than its execution timeout of {}; the engine had not ended it {} later, so the \
         worker did",
        readable_duration(limit),
        readable_duration(TIMEOUT_MARGIN)
    );
    Some(Outcome::retryable("TimedOut", &message))
}
