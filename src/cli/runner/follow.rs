//! Follows a run's status to its end.
//!
//! Waits concurrently for the client's updates of the run and for the [`Limits`] of the wait.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    context::explain_error,
    display::{ElapsedLine, RunDisplay},
    queued,
};
use crate::{
    cli::{Exit, deadline::Deadline},
    hatchet::{
        client::{ClientError, ErrorKind, RunOutcome, RunRef, RunUpdate},
        wire::RunStatus,
    },
};

/// Time after which the reason is shown why a run is still queued: 3 s.
const EXPLAIN_QUEUED_AFTER: Duration = Duration::from_secs(3);

/// Follows a run, shows its result, and returns its exit code.
pub(super) async fn follow(run: &RunRef, display: &mut RunDisplay, deadline: Deadline) -> Result<(), Exit> {
    let outcome = wait_for_outcome(run, display, deadline).await?;
    conclude(display, &outcome)
}

/// Shows the result of a run and returns its exit code.
pub(super) fn conclude(display: &mut RunDisplay, outcome: &RunOutcome) -> Result<(), Exit> {
    let never_taken = display.never_taken();
    display.show_result(outcome)?;
    exit(display, outcome.status, never_taken)
}

/// Shows the status and the error of a run, but not its output, and returns its exit code.
pub(super) fn conclude_without_output(display: &mut RunDisplay, outcome: &RunOutcome) -> Result<(), Exit> {
    let never_taken = display.never_taken();
    display.show_end(outcome)?;
    exit(display, outcome.status, never_taken)
}

/// The exit code of a run with this status.
fn exit(display: &RunDisplay, status: RunStatus, never_taken: bool) -> Result<(), Exit> {
    match status {
        RunStatus::Completed => Ok(()),
        RunStatus::Cancelled => {
            // Over gRPC, a schedule timeout looks like a cancellation.
            if never_taken {
                display.note(
                    "the run was never seen running: either it was cancelled, or no worker took it within its \
                     schedule timeout",
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
pub(super) async fn wait_for_outcome(
    run: &RunRef,
    display: &mut RunDisplay,
    deadline: Deadline,
) -> Result<RunOutcome, Exit> {
    let mut limits = Limits::new(run, deadline);
    let mut updates = run.updates();
    loop {
        tokio::select! {
            biased;
            Some(update) = updates.next() => {
                if let Some(outcome) = show(run, update, display, deadline).await? {
                    return Ok(outcome);
                }
            }
            exit = limits.next(display) => return Err(exit),
        }
    }
}

/// Shows an update. Returns the outcome of a run that has finished.
pub(super) async fn show(
    run: &RunRef,
    update: Result<RunUpdate, ClientError>,
    display: &mut RunDisplay,
    deadline: Deadline,
) -> Result<Option<RunOutcome>, Exit> {
    match update {
        Ok(RunUpdate::Status(status)) => display.show_status(status)?,
        Ok(RunUpdate::EngineSilent(error)) => {
            display.note(&format!("waiting for the engine, which does not respond: {error}"));
        }
        Ok(RunUpdate::EngineResponds) => display.note("the engine responds again"),
        Ok(RunUpdate::Finished(outcome)) => return Ok(Some(outcome)),
        // For an unknown task, a real engine returns the id of a run that is never created.
        Err(error) if error.kind() == ErrorKind::NotFound && display.was_triggered() => {
            return Err(Exit::not_registered(error.to_string()));
        }
        Err(error) => return Err(explain_error(run.client(), error, deadline).await),
    }
    Ok(None)
}

/// The time limit of a wait, the note about a run that stays queued, and the elapsed time on a terminal.
pub(super) struct Limits<'a> {
    run: &'a RunRef,
    deadline: Deadline,
    /// Time of the note. `None` afterwards.
    explain_at: Option<Instant>,
    elapsed: ElapsedLine,
}

impl<'a> Limits<'a> {
    pub(super) fn new(run: &'a RunRef, deadline: Deadline) -> Self {
        Self { run, deadline, explain_at: Some(Instant::now() + EXPLAIN_QUEUED_AFTER), elapsed: ElapsedLine }
    }

    /// Waits for the time limit and returns its exit. Shows the note when it is due, and updates the elapsed time.
    /// Cancel-safe.
    pub(super) async fn next(&mut self, display: &RunDisplay) -> Exit {
        let queued = async {
            if let Some(instant) = self.explain_at {
                sleep_until(instant).await;
                if display.is_waiting() {
                    display.note(&queued::explain(self.run, display.task(), display.commands()).await);
                }
                // Set last, so that a dropped call is repeated.
                self.explain_at = None;
            }
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            limit = self.deadline.passed() => display.show_timeout(self.run, self.deadline, limit),
            never = queued => match never {},
            never = display.update_elapsed(&self.elapsed) => match never {},
        }
    }
}
