//! The check that precedes a trigger.

use tokio::time::Instant;

use super::call::TriggerCalls;
use crate::hatchet::{client::Client, transport::ClientError};

impl Client {
    /// Returns when an engine has responded to this client, which a trigger of `workflow` requires before it is sent. A
    /// caller that awaits this first can tell a trigger that was not sent from a trigger without a response.
    ///
    /// # Errors
    ///
    /// The error of the last attempt. No attempt starts after the deadline.
    pub(crate) async fn ensure_reachable(&self, workflow: &str, deadline: Option<Instant>) -> Result<(), ClientError> {
        TriggerCalls { client: self, name: workflow, deadline }.connect().await
    }
}
