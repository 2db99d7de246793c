//! The outcome of a finished run.

use std::collections::{BTreeMap, HashSet};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::details::RunDetails;
use crate::hatchet::{
    client::{RunError, RunFailure},
    wire::{RunId, RunStatus, is_skipped, proto},
};

/// The outcome of a finished run, as reported by the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOutcome {
    /// The id of the finished run.
    pub run: RunId,
    /// [`RunStatus::Completed`], [`RunStatus::Failed`] or [`RunStatus::Cancelled`].
    pub status: RunStatus,
    /// The output of a completed run, JSON. Of a workflow: an object of outputs by task name.
    pub output: Option<String>,
    /// Whether [`RunOutcome::output`] is an object of outputs by task name.
    pub is_by_task: bool,
    /// The error text of a failed run, or the recorded reason of a cancelled one.
    pub error: Option<String>,
}

impl RunOutcome {
    /// Deserializes the output of a completed run. In an object of outputs by task name, a skipped task has the output
    /// `null`.
    ///
    /// # Errors
    ///
    /// - [`RunError::Output`] with the field that does not fit `T`.
    /// - [`RunError::Failed`] or [`RunError::Cancelled`] if the run did not complete.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T, RunError> {
        match self.status {
            RunStatus::Completed => {
                let json = self.output.as_deref().unwrap_or("{}");
                if self.is_by_task {
                    return self.decode(&by_name(outputs_by_task(json).iter().map(|(name, output)| {
                        (name.as_str(), Some(if is_skipped(output.get()) { "null" } else { output.get() }))
                    })));
                }
                self.decode(json)
            }
            RunStatus::Cancelled => Err(RunError::Cancelled { run: self.run, reason: self.error.clone() }),
            RunStatus::Failed | RunStatus::Queued | RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_) => {
                Err(RunError::Failed(RunFailure::new(self.run, self.error.clone().unwrap_or_default())))
            }
        }
    }

    /// Deserializes the output of one task of a completed workflow. A run of a single task has one output,
    /// which any name selects. A skipped task has the output `null`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunOutcome::output`], and [`RunError::Output`] if the run has no task of this name.
    pub fn output_of<T: DeserializeOwned>(&self, task: &str) -> Result<T, RunError> {
        if self.status != RunStatus::Completed || !self.is_by_task {
            return self.output();
        }
        let outputs = outputs_by_task(self.output.as_deref().unwrap_or("{}"));
        let output_error =
            |reason: String| RunError::Output { run: self.run, reason: format!("task `{task}`: {reason}") };
        match outputs.get(&task.to_lowercase()) {
            Some(output) if is_skipped(output.get()) => serde_json::from_str("null")
                .map_err(|_| output_error("it was skipped. Use an `Option` as the type".to_owned())),
            Some(output) => self.decode(output.get()),
            None => Err(output_error("the run has no task of this name with an output".to_owned())),
        }
    }

    fn decode<T: DeserializeOwned>(&self, json: &str) -> Result<T, RunError> {
        let mut reader = serde_json::Deserializer::from_str(json);
        serde_path_to_error::deserialize(&mut reader).or_else(|e| {
            // The output of a unit type.
            if json == "{}"
                && let Ok(unit) = serde_json::from_str("null")
            {
                return Ok(unit);
            }
            let reason = match e.path().to_string().as_str() {
                "." => e.inner().to_string(),
                path => format!("field `{path}`: {}", e.inner()),
            };
            Err(RunError::Output { run: self.run, reason })
        })
    }

    /// Reads the outcome from the details of a finished run; `None` for other runs.
    pub(super) fn from_details(run: RunId, details: &RunDetails) -> Option<Self> {
        if !(details.done && details.status.is_final()) {
            return None;
        }
        // The only task of a run has the id of the run. In a workflow of several tasks, one task may be left: others
        // were cancelled before they existed.
        let only_task = match details.tasks.as_slice() {
            [task] if task.id.parse() == Ok(run) => Some(task),
            _ => None,
        };
        let output = match (&details.status, only_task) {
            (RunStatus::Completed, Some(task)) => task.output.clone(),
            (RunStatus::Completed, None) => {
                Some(by_name(details.tasks.iter().map(|task| (task.name.as_str(), task.output.as_deref()))))
            }
            (RunStatus::Failed | RunStatus::Cancelled, _) => None,
            (RunStatus::Queued | RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_), _) => None,
        };
        let is_by_task = output.is_some() && only_task.is_none();
        let error = details.tasks.iter().find_map(|task| task.error.clone());
        Some(Self { run, status: details.status, output, is_by_task, error })
    }

    /// Reads the outcome from an event of the subscription; `None` if the event is not conclusive, and the run's
    /// details decide.
    ///
    /// The event has no status: a cancelled task looks like one without an output. So these events are conclusive:
    ///
    /// - Of a run of a single task, which has the id of the run: a non-empty output or a non-empty error.
    /// - Of a workflow of several tasks: a non-empty output of each task. A real engine sends the event only once there
    ///   is a result for each task of the workflow. Two results of one task count as one, so another may be missing.
    pub(super) fn from_event(run: RunId, event: &proto::WorkflowRunEvent) -> Option<Self> {
        match event.results.as_slice() {
            [task] if task.task_run_external_id.parse() == Ok(run) => Self::from_single_result(run, task),
            [] | [_] => None,
            results => Self::from_results(run, results),
        }
    }

    fn from_single_result(run: RunId, result: &proto::StepRunResult) -> Option<Self> {
        let (status, output, error) = match (&result.output, &result.error) {
            (Some(output), None) if !output.is_empty() => (RunStatus::Completed, Some(output.clone()), None),
            (None, Some(error)) if !error.is_empty() => (RunStatus::Failed, None, Some(error.clone())),
            _ => return None,
        };
        Some(Self { run, status, output, is_by_task: false, error })
    }

    fn from_results(run: RunId, results: &[proto::StepRunResult]) -> Option<Self> {
        let mut tasks = HashSet::new();
        let is_completed = |result: &proto::StepRunResult| {
            result.error.is_none() && result.output.as_deref().is_some_and(|output| !output.is_empty())
        };
        let are_all_completed =
            results.iter().all(|result| is_completed(result) && tasks.insert(result.task_run_external_id.as_str()));
        are_all_completed.then(|| Self {
            run,
            status: RunStatus::Completed,
            output: Some(by_name(results.iter().map(|result| (result.task_name.as_str(), result.output.as_deref())))),
            is_by_task: true,
            error: None,
        })
    }
}

/// A JSON object of the tasks' outputs by name.
fn by_name<'a>(tasks: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let outputs: BTreeMap<&str, &RawValue> =
        tasks.filter_map(|(name, output)| Some((name, serde_json::from_str(output?).ok()?))).collect();
    serde_json::to_string(&outputs).unwrap_or_else(|_| "{}".to_owned())
}

/// The outputs of tasks, from the object of [`by_name`].
fn outputs_by_task(json: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn outcome(output: &str) -> RunOutcome {
        let (run, status) = (RunId::random(), RunStatus::Completed);
        RunOutcome { run, status, output: Some(output.to_owned()), is_by_task: true, error: None }
    }

    /// A run of a single task.
    fn outcome_of(output: &str) -> RunOutcome {
        RunOutcome { is_by_task: false, ..outcome(output) }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Output {
        n: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outputs {
        a: Output,
        b: Option<Output>,
    }

    #[test]
    fn event_of_a_workflow_is_conclusive_if_each_task_has_an_output() {
        let result = |name: &str, id: &str, output: Option<&str>, error: Option<&str>| proto::StepRunResult {
            task_run_external_id: id.to_owned(),
            task_name: name.to_owned(),
            output: output.map(str::to_owned),
            error: error.map(str::to_owned),
            ..Default::default()
        };
        let run = RunId::random();
        let outcome = |results: [proto::StepRunResult; 2]| {
            RunOutcome::from_event(run, &proto::WorkflowRunEvent { results: results.into(), ..Default::default() })
        };
        let completed = || result("a", "1", Some(r#"{"n":1}"#), None);
        let whole = outcome([completed(), result("b", "2", Some(r#"{"skipped":true}"#), None)]).unwrap();
        assert_eq!(whole.status, RunStatus::Completed);
        assert_eq!(whole.output.as_deref(), Some(r#"{"a":{"n":1},"b":{"skipped":true}}"#));
        assert_eq!(whole.output_of::<Output>("a").unwrap(), Output { n: 1 });
        for other in [
            result("b", "2", None, Some("")),
            result("b", "2", None, Some("no stock")),
            result("b", "2", Some(""), None),
            result("b", "2", Some("{}"), Some("")),
            result("b", "2", None, None),
            result("a", "1", Some("{}"), None),
        ] {
            assert_eq!(outcome([completed(), other.clone()]), None, "{other:?}");
        }
    }

    #[test]
    fn output_of_task_is_read_by_name() {
        let outcome = outcome(r#"{"a":{"n":1},"b":{"skipped":true}}"#);
        assert_eq!(outcome.output_of::<Output>("A").unwrap(), Output { n: 1 });
        assert_eq!(outcome.output_of::<Option<Output>>("b").unwrap(), None);
        assert_eq!(outcome.output::<Outputs>().unwrap(), Outputs { a: Output { n: 1 }, b: None });
        assert_eq!(outcome_of("{}").output_of::<serde_json::Value>("a").unwrap(), serde_json::json!({}));
        outcome_of("{}").output_of::<()>("a").unwrap();
        for (task, reason) in [("b", "task `b`: it was skipped"), ("c", "task `c`: the run has no task")] {
            let error = outcome.output_of::<Output>(task).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
