//! Numbers of queued and finished tasks.

use std::{
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

use serde::Deserialize;
use serde_json::Value;
use tonic::codegen::http::Method;

use super::{RestClient, http::rfc3339, list::null_is_default};
use crate::hatchet::{transport::ClientError, wire::RunStatus};

impl RestClient {
    /// Returns the number of tasks that were triggered since `since`, by status. A status without tasks may be missing.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn task_counts(&self, since: SystemTime) -> Result<HashMap<RunStatus, u64>, ClientError> {
        #[derive(Deserialize)]
        struct Count {
            status: String,
            count: u64,
        }

        let path = format!("/api/v1/stable/tenants/{}/task-metrics", self.tenant());
        let query = [("since", rfc3339(since))];
        let counts: Vec<Count> = self.call(Method::GET, &path, &query, None).await?;
        Ok(counts.into_iter().filter_map(|row| Some((RunStatus::from_name(&row.status)?, row.count))).collect())
    }

    /// Returns the number of queued tasks of each queue. Queues without tasks may be missing.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn queue_lengths(&self) -> Result<BTreeMap<String, u64>, ClientError> {
        #[derive(Deserialize)]
        struct Queues {
            #[serde(default, deserialize_with = "null_is_default")]
            queues: BTreeMap<String, u64>,
        }

        let path = format!("/api/v1/tenants/{}/step-run-queue-metrics", self.tenant());
        let queues: Queues = self.call(Method::GET, &path, &[], None).await?;
        Ok(queues.queues)
    }

    /// Returns statistics of the queued and running tasks by task name, as the engine's JSON.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn task_stats(&self) -> Result<Value, ClientError> {
        self.call(Method::GET, &format!("/api/v1/tenants/{}/task-stats", self.tenant()), &[], None).await
    }
}
