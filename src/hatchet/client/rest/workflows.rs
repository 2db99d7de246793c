//! The search for a workflow.

use serde::Deserialize;

use super::{
    RestClient,
    pages::Pages,
    row::{ResourceMetadata, Row, null_is_default},
};
use crate::hatchet::transport::ClientError;

/// A workflow in the engine's list.
#[derive(Deserialize)]
struct WorkflowSummary {
    metadata: ResourceMetadata,
    #[serde(default, deserialize_with = "null_is_default")]
    name: String,
}

impl RestClient {
    /// Returns whether the engine has a workflow of this name, namespace included.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn has_workflow(&self, name: &str) -> Result<bool, ClientError> {
        let path = format!("/api/v1/tenants/{}/workflows", self.tenant());
        // The filter also selects names that contain this name.
        let mut pages = Pages::<WorkflowSummary>::new(self.clone(), path, vec![("name", name.to_owned())]);
        while let Some(rows) = pages.next().await? {
            if rows.iter().any(|workflow| workflow.name == name) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Row for WorkflowSummary {
    fn id(&self) -> &str {
        &self.metadata.id
    }
}
