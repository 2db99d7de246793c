//! Runs.

use std::time::SystemTime;

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
pub struct RunSummary {
    /// The run's id.
    pub workflow_run_external_id: String,
    /// The status in upper case, such as `RUNNING`.
    pub status: String,
    /// The parent task of a child run.
    #[serde(default)]
    pub parent_task_external_id: Option<String>,
    /// When the run was created, RFC 3339.
    pub created_at: Option<String>,
    /// When the run was first started, RFC 3339.
    pub started_at: Option<String>,
    /// When the run finished, RFC 3339.
    pub finished_at: Option<String>,
    /// The additional metadata that the run was triggered with.
    #[serde(default, deserialize_with = "null_is_default")]
    pub additional_metadata: serde_json::Map<String, Value>,
}

/// A list of runs that is read page by page.
#[must_use = "pages are fetched by `next`"]
pub struct RunPages {
    pages: Pages<RunSummary>,
    metadata: Vec<(String, String)>,
}

impl RestClient {
    /// The runs that were triggered since `since` and have all of these metadata pairs, most recent first: those with one
    /// of these statuses, or all if there is none.
    pub fn runs(&self, since: SystemTime, metadata: &[(&str, &str)], statuses: &[RunStatus]) -> RunPages {
        let path = format!("/api/v1/stable/tenants/{}/workflow-runs", self.tenant());
        RunPages::new(self, path, since, metadata, statuses)
    }

    /// A run's status in upper case. The REST store of a real engine lags behind gRPC, by 0.05 to 0.5 s and more.
    pub async fn run_status(&self, run: RunId) -> Result<String, ClientError> {
        self.call(Method::GET, &format!("/api/v1/stable/workflow-runs/{run}/status"), &[], None).await
    }

    /// A run with its tasks, as the engine's JSON.
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
            // Without it, any of the pairs is enough.
            ("additional_metadata_operator", "AND".to_owned()),
        ];
        query.extend(statuses.iter().map(|status| ("statuses", status.to_string())));
        // The engine splits a filter at its first colon, so it cannot filter by a key with a colon.
        let filters = metadata.iter().filter(|(key, _)| !key.contains(':'));
        query.extend(filters.map(|(key, value)| ("additional_metadata", format!("{key}:{value}"))));
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { pages: Pages::new(rest.clone(), path, query), metadata }
    }

    /// The next runs; `None` at the end of the list. Each run is returned once; a page may be empty. After an error, the same
    /// call reads the same page again.
    pub async fn next(&mut self) -> Result<Option<Vec<RunSummary>>, ClientError> {
        let Some(mut rows) = self.pages.next().await? else { return Ok(None) };
        // Old engines ignore the operator.
        rows.retain(|run| self.metadata.iter().all(|(key, value)| run.has(key, value)));
        Ok(Some(rows))
    }

    /// All remaining runs.
    pub async fn all(mut self) -> Result<Vec<RunSummary>, ClientError> {
        let mut all = Vec::new();
        while let Some(rows) = self.next().await? {
            all.extend(rows);
        }
        Ok(all)
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
