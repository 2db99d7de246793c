//! Follows a run's status to its end.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    super::{Exit, deadline::Deadline},
    context::explain_error,
    queued,
    screen::Screen,
};
use crate::hatchet::{
    client::{ClientError, ErrorKind, RunOutcome, RunRef, RunUpdate},
    wire::RunStatus,
};

/// A run that is still queued after this long gets a word on why.
pub(super) const QUEUED_PATIENCE: Duration = Duration::from_secs(3);

/// Follows a run, shows its end, and makes the exit code of it.
pub(super) async fn to_the_end(run: &RunRef, screen: &mut Screen, deadline: Deadline) -> Result<(), Exit> {
    let outcome = outcome(run, screen, deadline).await?;
    conclude(screen, &outcome)
}

/// Shows the end and makes the exit code of it.
pub(super) fn conclude(screen: &mut Screen, outcome: &RunOutcome) -> Result<(), Exit> {
    let never_taken = screen.never_taken();
    screen.result(outcome)?;
    match outcome.status {
        RunStatus::Completed => Ok(()),
        RunStatus::Cancelled => {
            // A schedule timeout reads like a cancellation over gRPC.
            if never_taken {
                screen.note(
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
pub(super) async fn outcome(run: &RunRef, screen: &mut Screen, deadline: Deadline) -> Result<RunOutcome, Exit> {
    let mut limits = Limits::new(run, deadline);
    let mut updates = run.updates();
    loop {
        tokio::select! {
            biased;
            Some(update) = updates.next() => {
                if let Some(outcome) = show(run, update, screen, deadline).await? {
                    return Ok(outcome);
                }
            }
            exit = limits.next(screen) => return Err(exit),
        }
    }
}

/// Shows an update. Returns the outcome of a run that has finished.
pub(super) async fn show(
    run: &RunRef,
    update: Result<RunUpdate, ClientError>,
    screen: &mut Screen,
    deadline: Deadline,
) -> Result<Option<RunOutcome>, Exit> {
    match update {
        Ok(RunUpdate::Status(status)) => screen.status(status)?,
        Ok(RunUpdate::EngineSilent(error)) => {
            screen.note(&format!("waits for the engine, which does not answer: {error}"));
        }
        Ok(RunUpdate::EngineAnswers) => screen.note("the engine answers again"),
        Ok(RunUpdate::Finished(outcome)) => return Ok(Some(outcome)),
        // A real engine returns the id of a run that is never created if it does not know the task.
        Err(error) if error.kind() == ErrorKind::NotFound && screen.was_triggered() => {
            return Err(Exit::not_registered(error.to_string()));
        }
        Err(error) => return Err(explain_error(run.client(), error, deadline).await),
    }
    Ok(None)
}

/// The time limit of a wait, and the word after the first seconds in the queue.
pub(super) struct Limits<'a> {
    run: &'a RunRef,
    deadline: Deadline,
    queued_word: Option<Instant>,
}

impl<'a> Limits<'a> {
    pub(super) fn new(run: &'a RunRef, deadline: Deadline) -> Self {
        Self { run, deadline, queued_word: Some(Instant::now() + QUEUED_PATIENCE) }
    }

    /// Waits for the first of them. May be dropped and called again.
    pub(super) async fn next(&mut self, screen: &Screen) -> Exit {
        let queued = async {
            if let Some(at) = self.queued_word {
                sleep_until(at).await;
                if screen.is_waiting() {
                    screen.note(&queued::explain(self.run, screen.task(), screen.commands()).await);
                }
                // Only now: had this been dropped before, the word would still be owed.
                self.queued_word = None;
            }
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            limit = self.deadline.passed() => screen.timed_out(self.run, limit),
            never = queued => match never {},
        }
    }
}
