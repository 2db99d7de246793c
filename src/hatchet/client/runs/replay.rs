//! Replay of finished runs.

use crate::hatchet::{client::RunRef, transport::ClientError, wire::proto::v1};

impl<O> RunRef<O> {
    /// Asks the engine to run a finished run again, under the same id. Returns false if the engine does not know the
    /// run. A run that has not finished is not changed.
    pub async fn replay(&self) -> Result<bool, ClientError> {
        let call = format!("replaying run {}", self.id());
        let request = v1::ReplayTasksRequest { external_ids: vec![self.id().to_string()], filter: None };
        let answer = self.client().connection().admin().replay_tasks(request).await;
        let answer = answer.map_err(|status| self.client().connection().call_error(&call, status))?;
        Ok(!answer.into_inner().replayed_tasks.is_empty())
    }
}
