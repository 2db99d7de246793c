//! Crons: their list, changes and deletion.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tonic::codegen::http::Method;

use super::{
    RestClient,
    http::path_segment,
    list::{Pages, ResourceMetadata, Row, null_is_default},
};
use crate::hatchet::{
    client::template::RunTemplate,
    transport::ClientError,
    wire::{CronId, WorkflowId},
};

/// A cron in the engine's list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Cron {
    /// The id.
    pub metadata: ResourceMetadata,
    /// The name; empty for a cron that a workflow declares.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// The cron expression, as declared.
    #[serde(rename = "cron")]
    pub expression: String,
    /// Whether the cron starts runs.
    #[serde(default)]
    pub enabled: bool,
    /// `DEFAULT` for a cron that a workflow declares, `API` for a cron of
    /// [`Client::cron`](crate::hatchet::client::Client::cron).
    #[serde(default, deserialize_with = "null_is_default")]
    pub method: String,
    /// The name of the workflow, namespace included.
    pub workflow_name: String,
    /// The id of the workflow.
    pub workflow_id: String,
    /// The input of the runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub input: Map<String, Value>,
    /// The additional metadata of the runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub additional_metadata: Map<String, Value>,
    /// The priority of the runs, 1 to 3.
    #[serde(default)]
    pub priority: Option<i32>,
}

/// Selects crons that meet all criteria. The default selects all.
#[derive(Debug, Clone, Default)]
#[must_use = "a filter does nothing until it is passed to a call"]
pub struct CronFilter {
    query: Vec<(&'static str, String)>,
}

impl CronFilter {
    /// Selects the crons of a workflow.
    pub fn workflow(mut self, id: WorkflowId) -> Self {
        self.query.push(("workflowId", id.to_string()));
        self
    }

    /// Selects the crons of the workflow with this name, namespace included.
    pub fn workflow_name(mut self, name: impl Into<String>) -> Self {
        self.query.push(("workflowName", name.into()));
        self
    }

    /// Selects the crons with this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.query.push(("cronName", name.into()));
        self
    }

    /// Selects the crons with this metadata pair.
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.query.push(("additionalMetadata", format!("{key}:{value}")));
        self
    }
}

impl RestClient {
    /// Lists the crons that a filter selects, most recent first.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn crons(&self, filter: &CronFilter) -> Result<Vec<Cron>, ClientError> {
        Pages::new(self.clone(), self.crons_path(), filter.query.clone()).all().await
    }

    /// Returns a cron.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]. For an unknown cron:
    /// [`ErrorKind::NotFound`](crate::hatchet::client::ErrorKind::NotFound), or
    /// [`ErrorKind::Engine`](crate::hatchet::client::ErrorKind::Engine) of a real engine, which responds with 500.
    pub async fn cron(&self, id: CronId) -> Result<Cron, ClientError> {
        self.call(Method::GET, &format!("{}/{id}", self.crons_path()), &[], None).await
    }

    /// Enables or disables a cron. A disabled cron starts no runs.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::cron`].
    pub async fn set_cron_enabled(&self, id: CronId, enabled: bool) -> Result<(), ClientError> {
        let (path, body) = (format!("{}/{id}", self.crons_path()), json!({ "enabled": enabled }));
        self.call::<Value>(Method::PATCH, &path, &[], Some(body)).await.map(drop)
    }

    /// Deletes a cron. Runs that it has started continue.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::cron`].
    pub async fn delete_cron(&self, id: CronId) -> Result<(), ClientError> {
        self.call::<Value>(Method::DELETE, &format!("{}/{id}", self.crons_path()), &[], None).await.map(drop)
    }

    /// Creates a cron of a workflow, whose name includes the namespace.
    pub(in crate::hatchet::client) async fn create_cron(
        &self,
        workflow: &str,
        name: &str,
        expression: &str,
        template: &RunTemplate,
    ) -> Result<Cron, ClientError> {
        let (input, metadata) = template.payloads()?;
        let object = |json: String| serde_json::from_str::<Value>(&json).unwrap_or_default();
        let mut body = json!({
            "cronName": name,
            "cronExpression": expression,
            "input": object(input),
            "additionalMetadata": object(metadata),
        });
        if let Some(priority) = template.priority {
            body["priority"] = priority.number().into();
        }
        let path = format!("/api/v1/tenants/{}/workflows/{}/crons", self.tenant(), path_segment(workflow));
        self.call(Method::POST, &path, &[], Some(body)).await
    }

    fn crons_path(&self) -> String {
        format!("/api/v1/tenants/{}/workflows/crons", self.tenant())
    }
}

impl Cron {
    /// The cron's id, if it is a UUID.
    pub fn id(&self) -> Option<CronId> {
        self.metadata.id.parse().ok()
    }
}

impl Row for Cron {
    fn id(&self) -> &str {
        &self.metadata.id
    }
}
