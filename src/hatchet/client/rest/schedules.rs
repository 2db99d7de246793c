//! Scheduled runs: their list, changes and deletion.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tonic::codegen::http::Method;

use super::{
    RestClient,
    http::rfc3339,
    list::{Pages, ResourceMetadata, Row, null_is_default},
};
use crate::hatchet::{
    client::template::check_time,
    transport::ClientError,
    wire::{ScheduleId, WorkflowId},
};

/// A scheduled run in the engine's list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ScheduledRun {
    /// The id.
    pub metadata: ResourceMetadata,
    /// The time of the start, RFC 3339.
    pub trigger_at: String,
    /// The name of the workflow, namespace included.
    pub workflow_name: String,
    /// The id of the workflow.
    pub workflow_id: String,
    /// The input of the run.
    #[serde(default, deserialize_with = "null_is_default")]
    pub input: Map<String, Value>,
    /// The additional metadata of the run.
    #[serde(default, deserialize_with = "null_is_default")]
    pub additional_metadata: Map<String, Value>,
    /// The priority of the run, 1 to 3.
    #[serde(default)]
    pub priority: Option<i32>,
    /// The id of the run that was started. Not set by engines that delete the schedule when its run starts.
    #[serde(default)]
    pub workflow_run_id: Option<String>,
}

/// Maximum number of scheduled runs in one call of the engine.
const BULK: usize = 500;

/// The schedules that a call has changed or deleted.
#[derive(Deserialize)]
struct Changed {
    #[serde(alias = "updatedIds", alias = "deletedIds", default, deserialize_with = "null_is_default")]
    ids: Vec<String>,
}

/// Selects scheduled runs that meet all criteria. The default selects all.
#[derive(Debug, Clone, Default)]
#[must_use = "a filter does nothing until it is passed to a call"]
pub struct ScheduleFilter {
    query: Vec<(&'static str, String)>,
}

impl ScheduleFilter {
    /// Selects the runs of a workflow.
    pub fn workflow(mut self, id: WorkflowId) -> Self {
        self.query.push(("workflowId", id.to_string()));
        self
    }

    /// Selects the runs with this metadata pair.
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.query.push(("additionalMetadata", format!("{key}:{value}")));
        self
    }
}

impl RestClient {
    /// Lists the scheduled runs that a filter selects. An engine deletes a scheduled run when it starts.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn schedules(&self, filter: &ScheduleFilter) -> Result<Vec<ScheduledRun>, ClientError> {
        Pages::new(self.clone(), self.schedules_path(), filter.query.clone()).all().await
    }

    /// Returns a scheduled run.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::NotFound`](crate::hatchet::client::ErrorKind::NotFound) for
    /// an unknown schedule, and for one whose run has started.
    pub async fn schedule(&self, id: ScheduleId) -> Result<ScheduledRun, ClientError> {
        self.call(Method::GET, &format!("{}/{id}", self.schedules_path()), &[], None).await
    }

    /// Changes the time of a run that has not started.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::schedule`];
    /// [`ErrorKind::Invalid`](crate::hatchet::client::ErrorKind::Invalid) for a time before 1970 or after 9999.
    pub async fn reschedule(&self, id: ScheduleId, at: SystemTime) -> Result<ScheduledRun, ClientError> {
        let at = check_time(Some(at))?;
        let body = json!({ "triggerAt": rfc3339(at) });
        self.call(Method::PATCH, &format!("{}/{id}", self.schedules_path()), &[], Some(body)).await
    }

    /// Deletes the schedule of a run that has not started.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::schedule`].
    pub async fn delete_schedule(&self, id: ScheduleId) -> Result<(), ClientError> {
        self.call::<Value>(Method::DELETE, &format!("{}/{id}", self.schedules_path()), &[], None).await.map(drop)
    }

    /// Changes the times of runs that have not started, in calls of at most 500. Returns the ids of those that were changed;
    /// an unknown schedule is not an error.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`];
    /// [`ErrorKind::Invalid`](crate::hatchet::client::ErrorKind::Invalid) for a time before 1970 or after 9999, before
    /// anything is changed. After another error, earlier calls keep their effect.
    pub async fn reschedule_many(
        &self,
        times: impl IntoIterator<Item = (ScheduleId, SystemTime)>,
    ) -> Result<Vec<ScheduleId>, ClientError> {
        let update = |(id, at): (ScheduleId, SystemTime)| {
            Ok(json!({ "id": id.to_string(), "triggerAt": rfc3339(check_time(Some(at))?) }))
        };
        let updates: Vec<Value> = times.into_iter().map(update).collect::<Result<_, ClientError>>()?;
        let mut changed = Vec::new();
        for batch in updates.chunks(BULK) {
            let (path, body) = (format!("{}/bulk-update", self.schedules_path()), json!({ "updates": batch }));
            let Changed { ids } = self.call(Method::POST, &path, &[], Some(body)).await?;
            changed.extend(ids.iter().filter_map(|id| id.parse::<ScheduleId>().ok()));
        }
        Ok(changed)
    }

    /// Deletes scheduled runs, in calls of at most 500. Returns the ids of those that were deleted; an unknown schedule is not
    /// an error.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]. Earlier calls keep their effect.
    pub async fn delete_schedules(&self, ids: &[ScheduleId]) -> Result<Vec<ScheduleId>, ClientError> {
        let mut deleted = Vec::new();
        for batch in ids.chunks(BULK) {
            let batch: Vec<String> = batch.iter().map(ScheduleId::to_string).collect();
            let path = format!("{}/bulk-delete", self.schedules_path());
            let body = json!({ "scheduledWorkflowRunIds": batch });
            let Changed { ids } = self.call(Method::POST, &path, &[], Some(body)).await?;
            deleted.extend(ids.iter().filter_map(|id| id.parse::<ScheduleId>().ok()));
        }
        Ok(deleted)
    }

    fn schedules_path(&self) -> String {
        format!("/api/v1/tenants/{}/workflows/scheduled", self.tenant())
    }
}

impl ScheduledRun {
    /// The schedule's id, if it is a UUID.
    pub fn id(&self) -> Option<ScheduleId> {
        self.metadata.id.parse().ok()
    }
}

impl Row for ScheduledRun {
    fn id(&self) -> &str {
        &self.metadata.id
    }
}
