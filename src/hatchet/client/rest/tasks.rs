//! Tasks of runs, and their history.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tonic::codegen::http::Method;

use super::{
    RestClient,
    http::rfc3339,
    list::{Pages, Row, Rows, null_is_default},
};
use crate::hatchet::{
    transport::ClientError,
    wire::{RunId, RunStatus, WorkerId},
};

/// Events of a page. A real engine returns 50 by default.
const PAGE_SIZE: usize = 1000;

/// An event in the history of a task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TaskEvent {
    /// The kind, such as `QUEUED`, `ASSIGNED`, `STARTED`, `FINISHED`, `FAILED`, `RETRYING` or `CANCELLED`.
    pub event_type: String,
    /// The time, RFC 3339.
    pub timestamp: String,
    /// A human-readable text.
    #[serde(default, deserialize_with = "null_is_default")]
    pub message: String,
    /// The error text of a failed attempt.
    #[serde(default, deserialize_with = "null_is_default")]
    pub error_message: String,
    /// The id of the task run.
    #[serde(default, deserialize_with = "null_is_default")]
    pub task_id: String,
    /// The number of earlier attempts.
    #[serde(default, deserialize_with = "null_is_default")]
    pub retry_count: u32,
    /// The worker, if the event has one.
    #[serde(default)]
    pub worker_id: Option<String>,
}

/// A task run with its latest attempt, as the engine lists it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::hatchet) struct TaskRow {
    pub(in crate::hatchet) task_external_id: String,
    pub(in crate::hatchet) workflow_run_external_id: RunId,
    pub(in crate::hatchet) tenant_id: String,
    pub(in crate::hatchet) workflow_id: String,
    #[serde(default)]
    pub(in crate::hatchet) workflow_version_id: Option<String>,
    pub(in crate::hatchet) action_id: String,
    pub(in crate::hatchet) step_id: String,
    /// The name of the task and the time of its creation in milliseconds, separated by a hyphen.
    pub(in crate::hatchet) display_name: String,
    #[serde(default)]
    pub(in crate::hatchet) additional_metadata: Option<Box<RawValue>>,
    pub(in crate::hatchet) retry_count: i32,
    /// The status in upper case.
    pub(in crate::hatchet) status: String,
    /// The time at which the worker reported the start of the latest attempt; `None` if it has not.
    #[serde(default)]
    pub(in crate::hatchet) started_at: Option<String>,
    /// In the details of a run, the payload of the task's first assignment: the input with the outputs of the parents.
    #[serde(default)]
    pub(in crate::hatchet) input: Option<Box<RawValue>>,
    /// In the details of a run, the output of a completed task.
    #[serde(default)]
    pub(in crate::hatchet) output: Option<Box<RawValue>>,
    /// The task that has started the run as a child.
    #[serde(default)]
    pub(in crate::hatchet) parent_task_external_id: Option<String>,
}

impl TaskRow {
    /// The name of the task.
    pub(in crate::hatchet) fn name(&self) -> &str {
        match self.display_name.rsplit_once('-') {
            Some((name, time)) if !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => &self.display_name,
        }
    }
}

impl Row for TaskRow {
    fn id(&self) -> &str {
        &self.task_external_id
    }
}

impl RestClient {
    /// Lists the running task runs that are assigned to a worker and that were created since this time. The latest
    /// attempt of each may have started or not.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub(in crate::hatchet) async fn assigned_tasks(
        &self,
        worker: WorkerId,
        since: SystemTime,
    ) -> Result<Vec<TaskRow>, ClientError> {
        let path = format!("/api/v1/stable/tenants/{}/workflow-runs", self.tenant());
        let query = vec![
            ("since", rfc3339(since)),
            ("only_tasks", "true".to_owned()),
            ("include_payloads", "false".to_owned()),
            ("statuses", RunStatus::Running.to_string()),
            ("worker_id", worker.to_string()),
        ];
        Pages::new(self.clone(), path, query).all().await
    }

    /// Returns the task runs of a workflow run.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub(in crate::hatchet) async fn tasks_of(&self, run: RunId) -> Result<Vec<TaskRow>, ClientError> {
        #[derive(Deserialize)]
        struct Details {
            #[serde(default, deserialize_with = "null_is_default")]
            tasks: Vec<TaskRow>,
        }
        let path = format!("/api/v1/stable/workflow-runs/{run}");
        let details: Details = self.call(Method::GET, &path, &[], None).await?;
        Ok(details.tasks)
    }

    /// Returns a task run, as the engine's JSON.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::NotFound`](crate::hatchet::client::ErrorKind::NotFound) for
    /// an unknown task.
    pub async fn task(&self, task: RunId) -> Result<Value, ClientError> {
        self.call(Method::GET, &format!("/api/v1/stable/tasks/{task}"), &[], None).await
    }

    /// Returns the history of a task run, most recent event first: at most 1,000 events. The run of a single task has
    /// the id of its task; [`RunDetails::tasks`](crate::hatchet::client::RunDetails::tasks) has the ids of several
    /// tasks.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::task`].
    pub async fn task_events(&self, task: RunId) -> Result<Vec<TaskEvent>, ClientError> {
        let query = [("limit", PAGE_SIZE.to_string()), ("offset", "0".to_owned())];
        let path = format!("/api/v1/stable/tasks/{task}/task-events");
        let Rows { rows, .. } = self.call(Method::GET, &path, &query, None).await?;
        Ok(rows)
    }
}
