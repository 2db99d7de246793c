//! Lists and queries of runs.

use std::{fmt, time::SystemTime};

use serde::Deserialize;
use serde_json::Value;
use tonic::codegen::http::Method;

use super::{
    RestClient,
    http::rfc3339,
    list::{Pages, Row, null_is_default},
};
use crate::hatchet::{
    transport::ClientError,
    wire::{EventId, RunId, RunStatus, WorkerId, WorkflowId},
};

/// A run in the engine's list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RunSummary {
    /// The id of the run, as in [`RunRef::id`](crate::hatchet::client::RunRef::id).
    pub workflow_run_external_id: String,
    /// The name of the workflow, namespace included.
    #[serde(default, deserialize_with = "null_is_default")]
    pub workflow_name: String,
    /// The status in upper case, such as `RUNNING`.
    pub status: String,
    /// The task run that triggered a child run; `None` for other runs.
    #[serde(default)]
    pub parent_task_external_id: Option<String>,
    /// Creation time, RFC 3339.
    pub created_at: Option<String>,
    /// Start time of the first attempt, RFC 3339.
    pub started_at: Option<String>,
    /// End time, RFC 3339.
    pub finished_at: Option<String>,
    /// The error text of a failed run.
    #[serde(default, deserialize_with = "null_is_default")]
    pub error_message: String,
    /// The additional metadata that the run was triggered with.
    #[serde(default, deserialize_with = "null_is_default")]
    pub additional_metadata: serde_json::Map<String, Value>,
}

/// Selects runs that meet all criteria.
///
/// ```no_run
/// # use std::time::{Duration, SystemTime};
/// # use hatchet_quickstart::{hatchet::{client::RunFilter, wire::RunStatus}, prelude::*};
/// # async fn example(client: Client) -> Result<(), ClientError> {
/// let hour_ago = SystemTime::now() - Duration::from_secs(3600);
/// let failed = RunFilter::since(hour_ago).status(RunStatus::Failed).metadata("team", "a");
/// println!("{} runs are replayed", client.replay_where(&failed).await?.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a filter does nothing until it is passed to a call"]
pub struct RunFilter {
    query: Vec<(&'static str, String)>,
    metadata: Vec<(String, String)>,
}

/// A list of runs that is read page by page. Returned by [`RestClient::runs`].
#[must_use = "pages are fetched by `next`"]
pub struct RunPages {
    pages: Pages<RunSummary>,
    metadata: Vec<(String, String)>,
}

impl RestClient {
    /// Lists the runs that a filter selects, most recent first. Sends nothing until the first page is read.
    pub fn runs(&self, filter: &RunFilter) -> RunPages {
        let path = format!("/api/v1/stable/tenants/{}/workflow-runs", self.tenant());
        RunPages::new(self, path, filter)
    }

    /// Returns a run's status in upper case. The REST store of a real engine lags behind gRPC by 0.05 to 0.5 s, at
    /// times more.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn run_status(&self, run: RunId) -> Result<String, ClientError> {
        self.call(Method::GET, &format!("/api/v1/stable/workflow-runs/{run}/status"), &[], None).await
    }

    /// Returns a run with its tasks, as the engine's JSON.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn run(&self, run: RunId) -> Result<Value, ClientError> {
        self.call(Method::GET, &format!("/api/v1/stable/workflow-runs/{run}"), &[], None).await
    }
}

impl RunFilter {
    /// Selects the runs that were triggered since this time.
    pub fn since(time: SystemTime) -> Self {
        Self { query: vec![("since", rfc3339(time))], metadata: Vec::new() }
    }

    /// Selects runs that were triggered before this time.
    pub fn until(mut self, time: SystemTime) -> Self {
        self.query.push(("until", rfc3339(time)));
        self
    }

    /// Selects runs with this status. Several calls select runs with any of the statuses.
    pub fn status(mut self, status: RunStatus) -> Self {
        self.query.push(("statuses", status.to_string()));
        self
    }

    /// Selects runs of this workflow. Several calls select runs of any of the workflows.
    pub fn workflow(mut self, id: WorkflowId) -> Self {
        self.query.push(("workflow_ids", id.to_string()));
        self
    }

    /// Selects runs with this metadata pair. Several calls select runs with all of the pairs. A value that is not a
    /// string never matches.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Selects runs that a worker has executed.
    pub fn worker(mut self, id: WorkerId) -> Self {
        self.query.push(("worker_id", id.to_string()));
        self
    }

    /// Selects the children of a task run.
    pub fn parent(mut self, task: RunId) -> Self {
        self.query.push(("parent_task_external_id", task.to_string()));
        self
    }

    /// Selects the runs that an event has started.
    pub fn event(mut self, id: EventId) -> Self {
        self.query.push(("triggering_event_external_id", id.to_string()));
        self
    }
}

impl RunPages {
    fn new(rest: &RestClient, path: String, filter: &RunFilter) -> Self {
        let mut query = filter.query.clone();
        query.extend([
            ("only_tasks", "false".to_owned()),
            ("include_payloads", "false".to_owned()),
            // Without the operator, the engine selects runs that have any of the pairs.
            ("additional_metadata_operator", "AND".to_owned()),
        ]);
        // The engine splits a filter at its first colon, so a key with a colon is only filtered by `next`.
        let pairs = filter.metadata.iter().filter(|(key, _)| !key.contains(':'));
        query.extend(pairs.map(|(key, value)| ("additional_metadata", format!("{key}:{value}"))));
        Self { pages: Pages::new(rest.clone(), path, query), metadata: filter.metadata.clone() }
    }

    /// Sets the number of runs that one request reads, from 10 to 1000; other numbers are raised or lowered to these.
    /// Default 1000.
    pub fn page_size(mut self, runs: usize) -> Self {
        self.pages = self.pages.page_size(runs);
        self
    }

    /// Returns the next runs; `None` at the end of the list. Each run is returned once; a page may be empty. After an
    /// error, the next call reads the same page again.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`], and [`ErrorKind::TooLarge`](crate::hatchet::client::ErrorKind::TooLarge)
    /// after 5,000 pages.
    pub async fn next(&mut self) -> Result<Option<Vec<RunSummary>>, ClientError> {
        let Some(mut rows) = self.pages.next().await? else { return Ok(None) };
        // Old engines ignore the operator.
        rows.retain(|run| self.metadata.iter().all(|(key, value)| run.has(key, value)));
        Ok(Some(rows))
    }

    /// Returns all remaining runs.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunPages::next`].
    pub async fn all(mut self) -> Result<Vec<RunSummary>, ClientError> {
        let mut all = Vec::new();
        while let Some(rows) = self.next().await? {
            all.extend(rows);
        }
        Ok(all)
    }
}

impl fmt::Debug for RunPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunPages").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

impl RunSummary {
    /// The run's id, if it is a UUID.
    pub fn id(&self) -> Option<RunId> {
        self.workflow_run_external_id.parse().ok()
    }

    /// Whether the run has this metadata pair. A value that is not a string never matches.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.additional_metadata.get(key).and_then(Value::as_str) == Some(value)
    }
}

impl Row for RunSummary {
    fn id(&self) -> &str {
        &self.workflow_run_external_id
    }
}
