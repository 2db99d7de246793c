//! Tasks of runs, and their history.

use serde::Deserialize;
use serde_json::Value;
use tonic::codegen::http::Method;

use super::{
    RestClient,
    list::{Rows, null_is_default},
};
use crate::hatchet::{transport::ClientError, wire::RunId};

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
    /// A text for people.
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

impl RestClient {
    /// Returns a task run, as the engine's JSON.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::NotFound`](crate::hatchet::client::ErrorKind::NotFound) for an
    /// unknown task.
    pub async fn task(&self, task: RunId) -> Result<Value, ClientError> {
        self.call(Method::GET, &format!("/api/v1/stable/tasks/{task}"), &[], None).await
    }

    /// Returns the history of a task run, most recent event first: at most 1,000 events. The run of a single task has the id
    /// of its task; [`RunDetails::tasks`](crate::hatchet::client::RunDetails::tasks) has the ids of several tasks.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::task`].
    pub async fn task_events(&self, task: RunId) -> Result<Vec<TaskEvent>, ClientError> {
        let query = [("limit", PAGE_SIZE.to_string()), ("offset", "0".to_owned())];
        let path = format!("/api/v1/stable/tasks/{task}/task-events");
        let Rows { rows } = self.call(Method::GET, &path, &query, None).await?;
        Ok(rows)
    }
}
