//! Lists and queries of runs.

use std::{fmt, time::SystemTime};

use serde::Deserialize;
use serde_json::Value;
use tonic::codegen::http::Method;

use super::{
    RestClient,
    pages::Pages,
    row::{Row, null_is_default},
};
use crate::hatchet::{
    transport::ClientError,
    wire::{RunId, RunStatus},
};

/// A run in the engine's list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RunSummary {
    /// The id of the run, as in [`RunRef::id`](crate::hatchet::client::RunRef::id).
    pub workflow_run_external_id: String,
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
    /// The additional metadata that the run was triggered with.
    #[serde(default, deserialize_with = "null_is_default")]
    pub additional_metadata: serde_json::Map<String, Value>,
}

/// A list of runs that is read page by page. Returned by [`RestClient::runs`].
#[must_use = "pages are fetched by `next`"]
pub struct RunPages {
    pages: Pages<RunSummary>,
    metadata: Vec<(String, String)>,
}

impl RestClient {
    /// Lists the runs that were triggered since `since`, have all of these metadata pairs, and have one of these
    /// statuses, most recent first. An empty list of statuses selects all. Sends nothing until the first page is read.
    pub fn runs(&self, since: SystemTime, metadata: &[(&str, &str)], statuses: &[RunStatus]) -> RunPages {
        let path = format!("/api/v1/stable/tenants/{}/workflow-runs", self.tenant());
        RunPages::new(self, path, since, metadata, statuses)
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

impl RunPages {
    fn new(
        rest: &RestClient,
        path: String,
        since: SystemTime,
        metadata: &[(&str, &str)],
        statuses: &[RunStatus],
    ) -> Self {
        let mut query = vec![
            ("since", prost_types::Timestamp::from(since).to_string()),
            ("only_tasks", "false".to_owned()),
            ("include_payloads", "false".to_owned()),
            // Without the operator, the engine selects runs that have any of the pairs.
            ("additional_metadata_operator", "AND".to_owned()),
        ];
        query.extend(statuses.iter().map(|status| ("statuses", status.to_string())));
        // The engine splits a filter at its first colon, so a key with a colon is only filtered by `next`.
        let filters = metadata.iter().filter(|(key, _)| !key.contains(':'));
        query.extend(filters.map(|(key, value)| ("additional_metadata", format!("{key}:{value}"))));
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { pages: Pages::new(rest.clone(), path, query), metadata }
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
