//! Follows a run's status to its end.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    super::{Exit, deadline::Deadline},
    context::explain_error,
    queued,
    screen::Screen,
};
use crate::hatchet::{
    client::{ClientError, ErrorKind, RunDetails, RunHandle, RunOutcome},
    wire::RunStatus,
};

/// The status is asked for this soon, then ever less often.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const SLOW_LOOK: Duration = Duration::from_secs(1);
/// After [`SETTLED`], of a run that runs. All that is left to be seen is its end, which the wait does not have from here.
const SLOWEST_LOOK: Duration = Duration::from_secs(5);
const SETTLED: Duration = Duration::from_secs(10);
/// A run that is still queued after this long gets a word on why.
pub(super) const QUEUED_PATIENCE: Duration = Duration::from_secs(3);

/// Follows a run, shows its end, and makes the exit code of it.
pub(super) async fn to_the_end(run: &RunHandle, screen: &mut Screen, deadline: Deadline) -> Result<(), Exit> {
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
pub(super) async fn outcome(run: &RunHandle, screen: &mut Screen, deadline: Deadline) -> Result<RunOutcome, Exit> {
    let mut limits = Limits::new(run, deadline);
    let ended = run.outcome();
    tokio::pin!(ended);
    let looks = looks(run);
    tokio::pin!(looks);
    loop {
        tokio::select! {
            biased;
            outcome = &mut ended => return finish(run, outcome, screen, deadline).await,
            Some(seen) = looks.next() => {
                if let Some(outcome) = screen.seen(run, seen)? {
                    return Ok(outcome);
                }
            }
            exit = limits.next(screen) => return Err(exit),
        }
    }
}

/// Asks for the run again and again, soon at first and then ever less often.
pub(super) fn looks(run: &RunHandle) -> impl Stream<Item = Result<RunDetails, ClientError>> {
    let begun = Instant::now();
    stream::unfold(FIRST_LOOK, move |wait| async move {
        sleep(wait).await;
        let seen = run.details().await;
        let runs = seen.as_ref().is_ok_and(|details| details.status == RunStatus::Running);
        let slowest = if runs && begun.elapsed() > SETTLED { SLOWEST_LOOK } else { SLOW_LOOK };
        Some((seen, (wait * 3 / 2).min(slowest)))
    })
}

/// The outcome, or the exit of a wait that ended without one.
pub(super) async fn finish(
    run: &RunHandle,
    outcome: Result<RunOutcome, ClientError>,
    screen: &Screen,
    deadline: Deadline,
) -> Result<RunOutcome, Exit> {
    match outcome {
        Ok(outcome) => Ok(outcome),
        // A real engine gives the id of a run that never comes to be.
        Err(error) if error.kind() == ErrorKind::NotFound && screen.was_triggered() => {
            Err(Exit::not_registered(error.to_string()))
        }
        Err(error) => Err(explain_error(run.client(), error, deadline).await),
    }
}

/// The time limit of a wait, and the word after the first seconds in the queue.
pub(super) struct Limits<'a> {
    run: &'a RunHandle,
    deadline: Deadline,
    queued_word: Option<Instant>,
}

impl<'a> Limits<'a> {
    pub(super) fn new(run: &'a RunHandle, deadline: Deadline) -> Self {
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
