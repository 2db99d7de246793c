//! How a run ended.

use serde::de::DeserializeOwned;

use super::RunDetails;
use crate::hatchet::wire::{RunId, RunStatus, proto};

/// How a run ended, as reported by the engine.
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

/// The run itself failed. A failed call is a [`ClientError`](super::super::ClientError) instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunFailed {
    /// The last attempt failed with this error text.
    #[error("run {run} failed: {error}")]
    Failed {
        /// The run.
        run: RunId,
        /// The error text that the worker reported.
        error: String,
    },
    /// The run was cancelled, or no worker took it within its schedule timeout.
    #[error("run {run} was cancelled")]
    Cancelled {
        /// The run.
        run: RunId,
    },
    /// The run completed, and its output does not fit the requested type.
    #[error("run {run} completed, but its output cannot be read: {reason}")]
    Unreadable {
        /// The run.
        run: RunId,
        /// Why.
        reason: String,
    },
}

impl RunOutcome {
    /// The output of a completed run, deserialized.
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

    /// The outcome in a run's details, if the run has finished.
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

    /// The outcome in an event of the subscription, if the event is conclusive.
    ///
    /// The event has no status: a cancelled run looks like a completed one without output. Only a non-empty output or a
    /// non-empty error of a single task is conclusive; the run's details decide everything else.
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
