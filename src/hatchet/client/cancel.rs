//! Cancels runs and starts them over.

use std::time::SystemTime;

use super::{
    Client, ClientError, ErrorKind, RunHandle,
    retry::{if_temporary, retrying},
};
use crate::hatchet::wire::{RunStatus, proto::v1};

impl RunHandle {
    /// Asks the engine to cancel the run. The answer proves nothing (an engine echoes what it was asked for):
    /// [`RunHandle::outcome`] tells what became of it.
    pub async fn cancel(&self) -> Result<(), ClientError> {
        let call = format!("cancel run {}", self.id());
        retrying(if_temporary, || {
            let request = v1::CancelTasksRequest { external_ids: vec![self.id().to_string()], filter: None };
            let mut stub = self.client().connection().admin();
            let call = &call;
            async move { stub.cancel_tasks(request).await.map_err(|status| self.client().connection().failed(call, status)) }
        })
        .await?;
        Ok(())
    }

    /// Asks the engine to run a finished run again, under the same id. False where it would not: the run is unknown.
    /// A run that is still going is left alone.
    pub async fn replay(&self) -> Result<bool, ClientError> {
        let call = format!("replay run {}", self.id());
        let request = v1::ReplayTasksRequest { external_ids: vec![self.id().to_string()], filter: None };
        let answer = self.client().connection().admin().replay_tasks(request).await;
        let answer = answer.map_err(|status| self.client().connection().failed(&call, status))?;
        Ok(!answer.into_inner().replayed_tasks.is_empty())
    }
}

impl Client {
    /// Asks the engine to cancel all runs since a time that go on and have all of these metadata pairs, and gives those
    /// that it found. At least one pair is needed, so that a slip does not cancel everything.
    ///
    /// A real engine reads the filter against its store for lists, which lags behind by up to a second or so, and takes
    /// 20,000 runs at most.
    pub async fn cancel_where(&self, since: SystemTime, metadata: &[(&str, &str)]) -> Result<Vec<String>, ClientError> {
        if metadata.is_empty() {
            return Err(ClientError::new(ErrorKind::Invalid, "cancel by metadata: name at least one key=value pair"));
        }
        let filter = v1::TasksFilter {
            since: Some(since.into()),
            // A real engine would write CANCELLED over the outcomes of runs that have ended.
            statuses: [RunStatus::Queued, RunStatus::Running].map(|status| status.to_string()).to_vec(),
            additional_metadata: metadata.iter().map(|(key, value)| format!("{key}:{value}")).collect(),
            ..Default::default()
        };
        let answer = retrying(if_temporary, || {
            let request = v1::CancelTasksRequest { external_ids: Vec::new(), filter: Some(filter.clone()) };
            let mut stub = self.connection().admin();
            async move {
                stub.cancel_tasks(request)
                    .await
                    .map_err(|status| self.connection().failed("cancel by metadata", status))
            }
        })
        .await?;
        Ok(answer.into_inner().cancelled_tasks)
    }
}
