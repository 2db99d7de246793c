//! Follows a run's status to its end.
//!
//! Three sources are raced: the wait for the outcome, the polled status, and the [`Limits`] of the wait.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep, sleep_until};

use super::{context::explain_error, display::RunDisplay, queued};
use crate::{
    cli::{Exit, deadline::Deadline},
    hatchet::{
        client::{ClientError, ErrorKind, RunDetails, RunHandle, RunOutcome},
        wire::RunStatus,
    },
};

/// First interval of polling the status: 20 ms. It grows by half with each poll.
const FIRST_INTERVAL: Duration = Duration::from_millis(20);
/// Maximum interval: 1 s.
const MAX_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum interval for a run that is running after [`SLOW_POLL_AFTER`]: 5 s. Only its end is left, which the wait for
/// the outcome reports.
const SLOW_INTERVAL: Duration = Duration::from_secs(5);
const SLOW_POLL_AFTER: Duration = Duration::from_secs(10);
/// The reason is shown for a run that is still queued after 3 s.
const EXPLAIN_QUEUED_AFTER: Duration = Duration::from_secs(3);

/// Follows a run, shows its result, and returns its exit code.
pub(super) async fn to_the_end(run: &RunHandle, display: &mut RunDisplay, deadline: Deadline) -> Result<(), Exit> {
    let outcome = outcome(run, display, deadline).await?;
    conclude(display, &outcome)
}

/// Shows the result of a run and returns its exit code.
pub(super) fn conclude(display: &mut RunDisplay, outcome: &RunOutcome) -> Result<(), Exit> {
    let never_taken = display.never_taken();
    display.result(outcome)?;
    match outcome.status {
        RunStatus::Completed => Ok(()),
        RunStatus::Cancelled => {
            // Over gRPC, a schedule timeout looks like a cancellation.
            if never_taken {
                display.note(
                    "it was never seen running: either it was cancelled, or no worker took it within its schedule timeout",
                );
            }
            Err(Exit::cancelled())
        }
        RunStatus::Failed | RunStatus::Queued | RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_) => {
            Err(Exit::run_failed())
        }
    }
}

/// Follows a run until it has ended, showing each status.
pub(super) async fn outcome(run: &RunHandle, display: &mut RunDisplay, deadline: Deadline) -> Result<RunOutcome, Exit> {
    let mut limits = Limits::new(run, deadline);
    let ended = run.outcome();
    tokio::pin!(ended);
    let polled = poll_status(run);
    tokio::pin!(polled);
    loop {
        tokio::select! {
            biased;
            outcome = &mut ended => return finish(run, outcome, display, deadline).await,
            Some(seen) = polled.next() => {
                if let Some(outcome) = display.seen(run, seen)? {
                    return Ok(outcome);
                }
            }
            exit = limits.next(display) => return Err(exit),
        }
    }
}

/// Polls the run's details, with growing intervals.
pub(super) fn poll_status(run: &RunHandle) -> impl Stream<Item = Result<RunDetails, ClientError>> {
    let began = Instant::now();
    stream::unfold(FIRST_INTERVAL, move |wait| async move {
        sleep(wait).await;
        let seen = run.details().await;
        let is_running = seen.as_ref().is_ok_and(|details| details.status == RunStatus::Running);
        let max = if is_running && began.elapsed() > SLOW_POLL_AFTER { SLOW_INTERVAL } else { MAX_INTERVAL };
        Some((seen, (wait * 3 / 2).min(max)))
    })
}

/// The outcome of a wait, or the exit for its error.
pub(super) async fn finish(
    run: &RunHandle,
    outcome: Result<RunOutcome, ClientError>,
    display: &RunDisplay,
    deadline: Deadline,
) -> Result<RunOutcome, Exit> {
    match outcome {
        Ok(outcome) => Ok(outcome),
        // A real engine returns an id for a task that no worker has registered, but creates no run.
        Err(error) if error.kind() == ErrorKind::NotFound && display.was_triggered() => {
            Err(Exit::not_registered(error.to_string()))
        }
        Err(error) => Err(explain_error(run.client(), error, deadline).await),
    }
}

/// The time limit of a wait, and the explanation for a run that stays queued.
pub(super) struct Limits<'a> {
    run: &'a RunHandle,
    deadline: Deadline,
    /// When to explain. `None` afterwards.
    explain_at: Option<Instant>,
}

impl<'a> Limits<'a> {
    pub(super) fn new(run: &'a RunHandle, deadline: Deadline) -> Self {
        Self { run, deadline, explain_at: Some(Instant::now() + EXPLAIN_QUEUED_AFTER) }
    }

    /// Waits for the time limit and returns its exit. Shows the explanation when it is due. Cancel-safe.
    pub(super) async fn next(&mut self, display: &RunDisplay) -> Exit {
        let queued = async {
            if let Some(at) = self.explain_at {
                sleep_until(at).await;
                if display.is_waiting() {
                    display.note(&queued::explain(self.run, display.task(), display.commands()).await);
                }
                // Set last, so that a dropped call is repeated.
                self.explain_at = None;
            }
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            limit = self.deadline.passed() => display.timed_out(self.run, limit),
            never = queued => match never {},
        }
    }
}
