//! Waits for a body to end, and handles its cancellation and timeout.
//!
//! ```text
//!            ┌──────────── body ends ─────────────────────────▶ outcome
//!  running ──┤
//!            └─ cancel or timeout ─▶ cancelling ─ body ends ──▶ outcome
//!                                        │
//!                                        └─ cancel_grace elapsed ─ async: dropped at its next await
//!                                                                  thread: logged, keeps its slot until it ends
//! ```

use futures_util::future::join;
use tokio::time::{Instant, timeout};

use super::{
    assignment::Assignment,
    body::RunningBody,
    control::Adjustable,
    outcome::{PendingReport, TIMEOUT_MARGIN, report_outcome},
    resources::WorkerResources,
};
use crate::hatchet::{
    task::{CancelReason, Canceller, ErasedTask, Outcome},
    wire::readable_duration,
};

/// Waits until the body has finished, and returns the report for it.
pub(super) async fn supervise(
    resources: &WorkerResources,
    assignment: &Assignment,
    task: &ErasedTask,
    body: &mut RunningBody,
    canceller: &Canceller,
    adjustable: &Adjustable<'_>,
) -> PendingReport {
    let started = Instant::now();
    let limit = task.options().execution_timeout;
    let reason = tokio::select! {
        biased;
        outcome = body.outcome() => return match (outcome, canceller.reason()) {
            (outcome, Some(reason)) => report_after_cancellation(outcome, reason),
            // Without a report the run would continue until its timeout.
            (Outcome::Cancelled, None) => PendingReport::Outcome(Outcome::retryable(
                "Cancelled",
                "the task stopped as if cancelled, but it was not cancelled",
            )),
            (outcome, None) => PendingReport::Outcome(outcome),
        },
        reason = canceller.cancelled() => reason,
        () = adjustable.elapsed(started, limit.saturating_add(TIMEOUT_MARGIN)) => {
            canceller.cancel(CancelReason::TimedOut);
            CancelReason::TimedOut
        }
    };
    let (run, name) = (assignment.key.0, task.name());
    let (cancel_grace, readable_grace) = (resources.cancel_grace, readable_duration(resources.cancel_grace));
    let outcome = match timeout(cancel_grace, body.outcome()).await {
        Ok(outcome) => outcome,
        Err(_) if body.abort() => {
            tracing::warn!(%run, task = name, "dropped the body: it did not end within {readable_grace} after its cancellation ({reason})");
            body.outcome().await
        }
        Err(_) => {
            resources.counters.cancellations_ignored.add(1);
            tracing::warn!(%run, task = name, "ignores its cancellation ({reason}) and keeps its slot: call ctx.check_cancelled()? in its loop");
            if reason == CancelReason::TimedOut {
                // Reports the timeout without waiting for the body, which keeps its slot.
                join(report_outcome(resources, assignment, PendingReport::Timeout(limit)), body.outcome()).await;
                return PendingReport::None;
            }
            body.outcome().await
        }
    };
    match reason {
        CancelReason::TimedOut => PendingReport::Timeout(limit),
        CancelReason::Requested | CancelReason::Shutdown => report_after_cancellation(outcome, reason),
    }
}

/// Returns the report for a cancelled body.
pub(super) fn report_after_cancellation(outcome: Outcome, reason: CancelReason) -> PendingReport {
    match (reason, outcome) {
        // The engine has ended the attempt, and a late report would overwrite its status.
        (CancelReason::Requested | CancelReason::TimedOut, _) => PendingReport::None,
        // May be retried, since the task has not failed.
        (CancelReason::Shutdown, Outcome::Cancelled) => PendingReport::Outcome(Outcome::retryable(
            "Shutdown",
            "the worker was stopped before the task had finished",
        )),
        (CancelReason::Shutdown, outcome) => PendingReport::Outcome(outcome),
    }
}
