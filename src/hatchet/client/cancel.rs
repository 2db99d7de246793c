//! Cancels runs and starts them over.

use super::{
    ClientError, RunHandle,
    retry::{if_temporary, retrying},
};
use crate::hatchet::wire::proto::v1;

impl RunHandle {
    /// Asks the engine to cancel the run. The answer proves nothing (an engine echoes what it was asked for):
    /// [`RunHandle::outcome`] tells what became of it.
    pub async fn cancel(&self) -> Result<(), ClientError> {
        let call = format!("cancel run {}", self.id());
        retrying(if_temporary, || {
            let request = v1::CancelTasksRequest { external_ids: vec![self.id().to_string()], filter: None };
            let mut stub = self.client().connection().admin();
            let call = &call;
            async move { stub.cancel_tasks(request).await.map_err(|status| ClientError::from_status(call, status)) }
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
        let answer = answer.map_err(|status| ClientError::from_status(&call, status))?;
        Ok(!answer.into_inner().replayed_tasks.is_empty())
    }
}
