//! Workflows: their list, pause and deletion. A single task is a workflow of its name.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tonic::codegen::http::Method;

use super::{
    RestClient,
    list::{Pages, ResourceMetadata, Row, null_is_default},
};
use crate::hatchet::{
    transport::ClientError,
    wire::{WorkflowId, format_duration},
};

/// A workflow in the engine's list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WorkflowSummary {
    /// The id.
    pub metadata: ResourceMetadata,
    /// The name, namespace included.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// The description that the declaration contains.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Whether the engine assigns none of its runs to workers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_paused: bool,
}

/// The handling of the runs that a schedule or a cron of a paused workflow would start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedRuns {
    /// They are queued until the workflow is resumed.
    Queue,
    /// They are not started. The run of a schedule starts when the workflow is resumed.
    Drop,
}

impl PausedRuns {
    fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "QUEUE",
            Self::Drop => "DROP",
        }
    }
}

impl WorkflowSummary {
    /// The workflow's id, if it is a UUID.
    pub fn id(&self) -> Option<WorkflowId> {
        self.metadata.id.parse().ok()
    }
}

impl RestClient {
    /// Lists the workflows whose names contain a text, most recent first. An empty text selects all.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn workflows(&self, name: &str) -> Result<Vec<WorkflowSummary>, ClientError> {
        self.workflow_pages(name).all().await
    }

    /// Returns the workflow of this name, namespace included; `None` if the engine has none.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn workflow_by_name(&self, name: &str) -> Result<Option<WorkflowSummary>, ClientError> {
        // The filter also selects names that contain this name.
        let mut pages = self.workflow_pages(name);
        while let Some(rows) = pages.next().await? {
            if let Some(workflow) = rows.into_iter().find(|workflow| workflow.name == name) {
                return Ok(Some(workflow));
            }
        }
        Ok(None)
    }

    /// Returns a workflow.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::NotFound`](crate::hatchet::client::ErrorKind::NotFound) for
    /// an unknown workflow.
    pub async fn workflow(&self, id: WorkflowId) -> Result<WorkflowSummary, ClientError> {
        self.call(Method::GET, &format!("/api/v1/workflows/{id}"), &[], None).await
    }

    /// Returns the JSON Schema of the input of a workflow's latest version; `None` if the workflow was registered
    /// without a schema.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::workflow`].
    pub async fn input_schema(&self, id: WorkflowId) -> Result<Option<Value>, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            #[serde(default)]
            input_json_schema: Option<Value>,
        }
        let path = format!("/api/v1/workflows/{id}/versions");
        let version: Version = self.call(Method::GET, &path, &[], None).await?;
        Ok(version.input_json_schema)
    }

    /// Pauses a workflow: its queued runs get no worker, and are cancelled `queue_ttl` after their creation. `runs`
    /// applies to the runs of its schedules and crons. Requires an engine of version 0.105.2 or later.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::workflow`].
    pub async fn pause_workflow(
        &self,
        id: WorkflowId,
        queue_ttl: Duration,
        runs: PausedRuns,
    ) -> Result<(), ClientError> {
        self.patch_workflow(
            id,
            json!({
                "action": "pause",
                "pausedWorkflowQueueTTL": format_duration(queue_ttl),
                "pausedWorkflowCronRunQueueBehavior": runs.as_str(),
                "pausedWorkflowScheduledRunQueueBehavior": runs.as_str(),
            }),
        )
        .await
    }

    /// Resumes a paused workflow. Requires an engine of version 0.105.2 or later.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::workflow`].
    pub async fn resume_workflow(&self, id: WorkflowId) -> Result<(), ClientError> {
        self.patch_workflow(id, json!({ "action": "unpause" })).await
    }

    /// Deletes a workflow with its versions and triggers.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::workflow`].
    pub async fn delete_workflow(&self, id: WorkflowId) -> Result<(), ClientError> {
        self.call::<Value>(Method::DELETE, &format!("/api/v1/workflows/{id}"), &[], None).await.map(drop)
    }

    fn workflow_pages(&self, name: &str) -> Pages<WorkflowSummary> {
        let path = format!("/api/v1/tenants/{}/workflows", self.tenant());
        let query = if name.is_empty() { Vec::new() } else { vec![("name", name.to_owned())] };
        Pages::new(self.clone(), path, query)
    }

    async fn patch_workflow(&self, id: WorkflowId, pause: Value) -> Result<(), ClientError> {
        let path = format!("/api/v1/workflows/{id}");
        self.call::<Value>(Method::PATCH, &path, &[], Some(json!({ "pause": pause }))).await.map(drop)
    }
}

impl Row for WorkflowSummary {
    fn id(&self) -> &str {
        &self.metadata.id
    }
}
