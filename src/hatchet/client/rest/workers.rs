//! The list of workers, and their pause.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tonic::codegen::http::Method;

use super::{
    RestClient,
    list::{Pages, ResourceMetadata, Row, null_is_default},
};
use crate::hatchet::{transport::ClientError, wire::WorkerId};

/// A worker in the engine's list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WorkerSummary {
    /// The id that the engine assigned to the worker. A restarted worker has a new id.
    pub metadata: ResourceMetadata,
    /// The name that the worker registered with.
    pub name: String,
    /// `ACTIVE`, `INACTIVE` or `PAUSED`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub status: String,
    /// The actions that the worker serves.
    #[serde(default, deserialize_with = "null_is_default")]
    pub actions: Vec<String>,
    /// The worker's slots by type.
    #[serde(default, deserialize_with = "null_is_default")]
    pub slot_config: BTreeMap<String, SlotUse>,
}

/// The slots of one type.
#[derive(Debug, Clone, Copy, Deserialize)]
#[non_exhaustive]
pub struct SlotUse {
    /// Number of free slots.
    #[serde(default)]
    pub available: i64,
    /// Number of all slots.
    #[serde(default)]
    pub limit: i64,
}

impl RestClient {
    /// Lists the tenant's workers, most recent first. Workers that have stopped may be included as INACTIVE.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn workers(&self) -> Result<Vec<WorkerSummary>, ClientError> {
        let path = format!("/api/v1/tenants/{}/worker", self.tenant());
        Pages::new(self.clone(), path, Vec::new()).all().await
    }

    /// Returns a worker.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::NotFound`](crate::hatchet::client::ErrorKind::NotFound) for
    /// an unknown worker.
    pub async fn worker(&self, worker: WorkerId) -> Result<WorkerSummary, ClientError> {
        self.call(Method::GET, &format!("/api/v1/workers/{worker}"), &[], None).await
    }

    /// Pauses the assignment of runs to a worker, or resumes it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn pause_worker(&self, worker: WorkerId, paused: bool) -> Result<(), ClientError> {
        let path = format!("/api/v1/workers/{worker}");
        self.call::<Value>(Method::PATCH, &path, &[], Some(json!({ "isPaused": paused }))).await.map(drop)
    }
}

impl WorkerSummary {
    /// The worker's id, if it is a UUID.
    pub fn id(&self) -> Option<WorkerId> {
        self.metadata.id.parse().ok()
    }
}

impl Row for WorkerSummary {
    fn id(&self) -> &str {
        &self.metadata.id
    }
}

#[cfg(test)]
mod tests {
    use super::{super::list::Rows, *};

    #[test]
    fn null_is_read_as_empty_list() {
        let list: Rows<WorkerSummary> = serde_json::from_str(
            r#"{"rows":[{"metadata":{"id":"x"},"name":"w","actions":null,"slotConfig":null,"status":null}]}"#,
        )
        .unwrap();
        assert!(list.rows[0].actions.is_empty());
        let empty: Rows<WorkerSummary> = serde_json::from_str(r#"{"rows":null}"#).unwrap();
        assert!(empty.rows.is_empty());
    }
}
