//! The check that precedes a trigger.

use tokio::time::Instant;

use super::failure::may_be_repeated;
use crate::hatchet::{
    client::Client,
    transport::{ClientError, retry_until},
};

impl Client {
    /// Returns when an engine has responded to this client, which a trigger of `workflow` requires before it is sent. A
    /// caller that awaits this first can tell a trigger that was not sent from a trigger without a response.
    ///
    /// # Errors
    ///
    /// The error of the last attempt. No attempt starts after the deadline.
    pub(crate) async fn ensure_reachable(&self, workflow: &str, deadline: Option<Instant>) -> Result<(), ClientError> {
        let call = format!("trigger {workflow}");
        retry_until(deadline, may_be_repeated, || self.connection().ensure_reachable(&call)).await
    }
}
