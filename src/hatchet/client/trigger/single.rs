//! Triggers one run.

use std::time::SystemTime;

use serde::Serialize;

use super::{
    call::TriggerCalls,
    failure::{may_be_repeated, may_have_started},
    request::{SearchIds, TriggerOptions, TriggerRequest, TriggerResult},
};
use crate::hatchet::{
    client::{Client, RunRef, span::in_span},
    task::CallSpan,
    transport::when_temporary,
    wire::TriggerId,
};

impl Client {
    /// Starts a run of the workflow `name` (in the settings' namespace), and returns when the engine has accepted it.
    ///
    /// The input must be a JSON object. If the response is lost after the request was sent, searches the engine's list
    /// for the run (for 12 s, or up to 72 s while the engine does not respond) and returns it as if the response had
    /// arrived.
    ///
    /// If the name is not registered, a real engine returns the id of a run that is never created.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::run_no_wait`].
    pub(crate) async fn trigger(&self, name: &str, input: &impl Serialize, options: &TriggerOptions) -> TriggerResult {
        let span = CallSpan::start("hatchet.run_workflow", |attributes| options.attributes(attributes, self, name));
        in_span(span, self.send_trigger(name, input, options)).await
    }

    async fn send_trigger(&self, name: &str, input: &impl Serialize, options: &TriggerOptions) -> TriggerResult {
        let trigger = options.trigger_id.unwrap_or_else(TriggerId::random);
        let request = TriggerRequest::new(self, name, input, options, 0, SearchIds { trigger, call: None })?;
        let calls = TriggerCalls { client: self, name, deadline: options.deadline };
        calls.connect().await?;
        let sent_at = SystemTime::now();
        let is_retryable = if request.is_child() { when_temporary } else { may_be_repeated };
        match calls.send(&request.message, is_retryable, |_| {}).await {
            Ok(run) => Ok(RunRef::triggered(self.clone(), run)),
            Err(error) if may_have_started(&error) => {
                let mut recovered = self.recover(vec![request], sent_at, &error).await;
                recovered.pop().map_or(Err(error), |(_, run)| run)
            }
            Err(error) => Err(error),
        }
    }
}
