//! Waits for runs to end: one subscription that all waits share, raced with a poll that does not depend on it.
//!
//! The subscription is fast and can fall silent; the poll is slow and cannot. Whichever knows first answers, so a
//! wait neither hangs nor lags. While the subscription tells of other runs' ends the poll holds back, or ten thousand
//! waits would be as many calls a second.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::RunDetails;
use crate::hatchet::{
    client::RunHandle,
    transport::{Backoff, ClientError, ErrorKind},
    wire::{RunId, RunStatus, proto},
};

/// The poll starts here and slows down to [`POLL_SLOWEST`].
pub(super) const POLL_FIRST: Duration = Duration::from_millis(250);
pub(super) const POLL_SLOWEST: Duration = Duration::from_secs(5);
/// Without an answer of use for this long, a wait ends, be it for one run or for many.
pub(super) const SILENCE_PATIENCE: Duration = Duration::from_secs(300);

/// How a run ended, by the engine's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutcome {
    /// The run.
    pub run: RunId,
    /// [`RunStatus::Completed`], [`RunStatus::Failed`] or [`RunStatus::Cancelled`].
    pub status: RunStatus,
    /// The output of a completed run, JSON. With several tasks: an object of outputs by task name.
    pub output: Option<String>,
    /// The error text of a failed run.
    pub error: Option<String>,
}

/// The run itself failed: the call that asked about it did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunFailed {
    /// The last attempt failed with this error text.
    #[error("run {run} failed: {error}")]
    Failed {
        /// The run.
        run: RunId,
        /// As the worker reported it.
        error: String,
    },
    /// It was cancelled, or no worker took it within its schedule timeout.
    #[error("run {run} was cancelled")]
    Cancelled {
        /// The run.
        run: RunId,
    },
    /// It completed with an output of another shape than asked for.
    #[error("run {run} completed, but its output cannot be read: {reason}")]
    Unreadable {
        /// The run.
        run: RunId,
        /// Why.
        reason: String,
    },
}

impl RunOutcome {
    /// The output of a completed run, as a type.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T, RunFailed> {
        match self.status {
            RunStatus::Completed => serde_json::from_str(self.output.as_deref().unwrap_or("{}"))
                .map_err(|e| RunFailed::Unreadable { run: self.run, reason: e.to_string() }),
            RunStatus::Cancelled => Err(RunFailed::Cancelled { run: self.run }),
            RunStatus::Failed | RunStatus::Queued | RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_) => {
                Err(RunFailed::Failed { run: self.run, error: self.error.clone().unwrap_or_default() })
            }
        }
    }

    /// The outcome in a run's details, if they are final.
    pub fn from_details(run: RunId, details: &RunDetails) -> Option<Self> {
        if !(details.done && details.status.is_final()) {
            return None;
        }
        let output = match (&details.status, details.tasks.as_slice()) {
            (RunStatus::Completed, [task]) => task.output.clone(),
            (RunStatus::Completed, tasks) => {
                Some(by_name(tasks.iter().map(|t| (t.name.as_str(), t.output.as_deref()))))
            }
            _ => None,
        };
        let error = details.tasks.iter().find_map(|task| task.error.clone());
        Some(Self { run, status: details.status, output, error })
    }

    /// The outcome in a subscription's answer, where it is beyond doubt. A cancelled run reads there like one without
    /// output, so the doubtful ones are asked for.
    pub(super) fn from_event(run: RunId, event: &proto::WorkflowRunEvent) -> Option<Self> {
        let [task] = event.results.as_slice() else { return None };
        match (&task.output, &task.error) {
            (Some(output), None) if !output.is_empty() => {
                Some(Self { run, status: RunStatus::Completed, output: Some(output.clone()), error: None })
            }
            (None, Some(error)) if !error.is_empty() => {
                Some(Self { run, status: RunStatus::Failed, output: None, error: Some(error.clone()) })
            }
            _ => None,
        }
    }
}

fn by_name<'a>(tasks: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let outputs: serde_json::Map<String, serde_json::Value> =
        tasks.filter_map(|(name, output)| Some((name.to_owned(), serde_json::from_str(output?).ok()?))).collect();
    serde_json::Value::Object(outputs).to_string()
}

impl RunHandle {
    /// Waits until the run has ended, and says how.
    ///
    /// Ends with [`ErrorKind::NotFound`] where the engine does not know the run for 10 s (2 s for an id from
    /// [`super::Client::run`], [`ErrorKind::RunLost`] where it knew the run before), with [`ErrorKind::Unreachable`] where it
    /// does not answer for 5 minutes, with what it answers last where that is failures for as long, and at once where the
    /// token is refused. An engine that asks to slow down is waited for however long it does.
    pub async fn outcome(&self) -> Result<RunOutcome, ClientError> {
        let subscription = self.client().results().subscribe(self.id()).await;
        let told = async {
            match subscription.await {
                Ok(event) => match RunOutcome::from_event(self.id(), &event) {
                    Some(outcome) => Ok(outcome),
                    // It has ended: its details follow within some 50 ms.
                    None => self.poll(Duration::from_millis(20), Pace::Ended).await,
                },
                // The subscription is gone, as with a client that is being dropped; the poll remains.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = told => outcome,
            outcome = self.poll(POLL_FIRST, Pace::Unsure) => outcome,
        }
    }

    /// Asks for the details, ever slower, until they are final.
    async fn poll(&self, first: Duration, pace: Pace) -> Result<RunOutcome, ClientError> {
        let results = self.client().results();
        let mut waits = Backoff::new(first, POLL_SLOWEST);
        let (mut unknown_since, mut heard) = (None, Instant::now());
        let connection = self.client().connection();
        if pace == Pace::Unsure {
            results.quiet(&mut waits, connection.replaced()).await;
        }
        loop {
            let left = connection.replaced();
            let permit = results.poll_permit().await;
            let answer = self.details_once().await;
            drop(permit);
            match answer {
                Ok(details) => {
                    (unknown_since, heard) = (None, Instant::now());
                    if let Some(outcome) = RunOutcome::from_details(self.id(), &details) {
                        return Ok(outcome);
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    heard = Instant::now();
                    if unknown_since.get_or_insert(heard).elapsed() > self.patience() {
                        return Err(self.unknown());
                    }
                    waits.reset();
                }
                Err(error) if error.is_temporary() => {
                    if error.kind() == ErrorKind::Exhausted {
                        heard = Instant::now();
                    }
                    if heard.elapsed() > SILENCE_PATIENCE {
                        return Err(given_up(error));
                    }
                }
                Err(error) => return Err(error),
            }
            match pace {
                Pace::Ended => sleep(waits.next_delay()).await,
                Pace::Unsure => results.quiet(&mut waits, left).await,
            }
        }
    }
}

/// What a wait ends with that has heard nothing of use for too long. What the engine said itself, or a proxy before it,
/// stays as it was said.
pub(super) fn given_up(error: ClientError) -> ClientError {
    let is_silence = match error.kind() {
        ErrorKind::TimedOut => true,
        ErrorKind::Unreachable => error.is_from_connection(),
        _ => false,
    };
    if !is_silence {
        return error;
    }
    let message = format!("the engine has not answered for {SILENCE_PATIENCE:?}: {error}");
    error.into_kind(ErrorKind::Unreachable, message)
}

/// Why a run is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// It has ended; its details follow at any moment.
    Ended,
    /// Its end may have been missed.
    Unsure,
}
