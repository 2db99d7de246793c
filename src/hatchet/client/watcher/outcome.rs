//! The outcome of a finished run.

use serde::de::DeserializeOwned;

use super::details::RunDetails;
use crate::hatchet::{
    client::{RunError, RunFailure},
    wire::{RunId, RunStatus, proto},
};

/// The outcome of a finished run, as reported by the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOutcome {
    /// The id of the finished run.
    pub run: RunId,
    /// [`RunStatus::Completed`], [`RunStatus::Failed`] or [`RunStatus::Cancelled`].
    pub status: RunStatus,
    /// The output of a completed run, JSON. With several tasks: an object of outputs by task name.
    pub output: Option<String>,
    /// The error text of a failed run, or the recorded reason of a cancelled one.
    pub error: Option<String>,
}

impl RunOutcome {
    /// Deserializes the output of a completed run.
    ///
    /// # Errors
    ///
    /// - [`RunError::Output`] with the field that does not fit `T`.
    /// - [`RunError::Failed`] or [`RunError::Cancelled`] if the run did not complete.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T, RunError> {
        match self.status {
            RunStatus::Completed => {
                let mut reader = serde_json::Deserializer::from_str(self.output.as_deref().unwrap_or("{}"));
                serde_path_to_error::deserialize(&mut reader).map_err(|e| {
                    let reason = match e.path().to_string().as_str() {
                        "." => e.inner().to_string(),
                        path => format!("field `{path}`: {}", e.inner()),
                    };
                    RunError::Output { run: self.run, reason }
                })
            }
            RunStatus::Cancelled => Err(RunError::Cancelled { run: self.run, reason: self.error.clone() }),
            RunStatus::Failed | RunStatus::Queued | RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_) => {
                Err(RunError::Failed(RunFailure::new(self.run, self.error.clone().unwrap_or_default())))
            }
        }
    }

    /// Reads the outcome from the details of a finished run; `None` for other runs.
    pub(super) fn from_details(run: RunId, details: &RunDetails) -> Option<Self> {
        if !(details.done && details.status.is_final()) {
            return None;
        }
        let output = match (&details.status, details.tasks.as_slice()) {
            (RunStatus::Completed, [task]) => task.output.clone(),
            (RunStatus::Completed, tasks) => {
                Some(by_name(tasks.iter().map(|task| (task.name.as_str(), task.output.as_deref()))))
            }
            _ => None,
        };
        let error = details.tasks.iter().find_map(|task| task.error.clone());
        Some(Self { run, status: details.status, output, error })
    }

    /// Reads the outcome from an event of the subscription; `None` if the event is not conclusive.
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

/// A JSON object of the tasks' outputs by name.
fn by_name<'a>(tasks: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let outputs: serde_json::Map<String, serde_json::Value> =
        tasks.filter_map(|(name, output)| Some((name.to_owned(), serde_json::from_str(output?).ok()?))).collect();
    serde_json::Value::Object(outputs).to_string()
}
