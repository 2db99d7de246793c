//! Makes the gRPC calls that trigger runs, until a deadline.

use tokio::time::Instant;

use super::{
    failure::{failed, may_be_repeated},
    request::TriggerRequest,
};
use crate::hatchet::{
    client::Client,
    transport::{ClientError, ErrorKind, retry_until, when_temporary},
    wire::{
        RunId,
        proto::{BulkTriggerWorkflowRequest, v1::TriggerWorkflowRequest},
    },
};

/// The calls that trigger runs of one workflow.
#[derive(Clone, Copy)]
pub(super) struct TriggerCalls<'a> {
    pub(super) client: &'a Client,
    pub(super) name: &'a str,
    /// No attempt starts after this time. The error of the last attempt is returned then.
    pub(super) deadline: Option<Instant>,
}

impl TriggerCalls<'_> {
    /// Waits for a connection, so that a trigger is sent only to an engine that was reached.
    pub(super) async fn connect(&self) -> Result<(), ClientError> {
        let call = format!("triggering {}", self.name);
        retry_until(self.deadline, may_be_repeated, || self.client.connection().ensure_reachable(&call)).await
    }

    /// Triggers one run. `on_error` is called with the error of each attempt.
    pub(super) async fn send(
        &self,
        message: &TriggerWorkflowRequest,
        is_retryable: fn(&ClientError) -> bool,
        on_error: impl Fn(&ClientError),
    ) -> Result<RunId, ClientError> {
        let call = &format!("triggering {}", self.name);
        let on_error = &on_error;
        let response = retry_until(self.deadline, is_retryable, || async move {
            let connection = self.client.connection();
            let response = connection.workflows().trigger_workflow(message.clone()).await;
            response.map_err(|status| failed(connection, call, self.name, status)).inspect_err(on_error)
        });
        parse_run_id(&response.await?.into_inner().workflow_run_id)
    }

    /// Triggers many runs in one call. Returns their ids in the order of the requests.
    pub(super) async fn send_bulk(&self, requests: &[TriggerRequest]) -> Result<Vec<String>, ClientError> {
        let plural = if requests.len() == 1 { "" } else { "s" };
        let call = &format!("triggering {} run{plural} of {}", requests.len(), self.name);
        let children = requests.iter().all(TriggerRequest::is_child);
        let is_retryable = if children { when_temporary } else { may_be_repeated };
        let response = retry_until(self.deadline, is_retryable, || async move {
            let connection = self.client.connection();
            let workflows = requests.iter().map(|request| request.message.clone()).collect();
            let response = connection.workflows().bulk_trigger_workflow(BulkTriggerWorkflowRequest { workflows }).await;
            response.map_err(|status| failed(connection, call, self.name, status))
        });
        Ok(response.await?.into_inner().workflow_run_ids)
    }
}

pub(super) fn parse_run_id(text: &str) -> Result<RunId, ClientError> {
    text.parse().map_err(|e| ClientError::new(ErrorKind::Engine, format!("reading the engine's response failed: {e}")))
}
