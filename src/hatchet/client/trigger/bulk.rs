//! Triggers many runs of one workflow in few calls.

use std::time::SystemTime;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    batches::{Batches, MAX_RUNS},
    call::{TriggerCalls, parse_run_id},
    collision,
    failure::may_have_started,
    request::{SearchIds, TriggerOptions, TriggerRequest, TriggerResult},
};
use crate::hatchet::{
    client::{Client, RunRef, span::in_span_of_many},
    task::CallSpan,
    transport::{ClientError, ErrorKind},
    wire::TriggerId,
};

/// Concurrent bulk calls of one [`Client::trigger_many`] or [`Client::push_events`].
pub(in crate::hatchet::client) const BULK_CALLS: usize = 4;
/// Maximum number of refused calls of one batch in the search for invalid items: enough to find about three among
/// 1,000.
const BISECTION_CALLS: usize = 64;

impl Client {
    /// Starts many runs of one workflow, in the order given, and returns when the engine has accepted them.
    ///
    /// Each item has its own result: a refused input or a taken idempotency key fails that item alone, although an
    /// engine refuses a bulk call as a whole. The items are split into calls of at most 1,000 items and the message
    /// limit, four of them concurrent. [`Client::outcomes`] waits for all runs together.
    ///
    /// If some idempotency keys are taken, the items of that call are sent again individually, because the engine does
    /// not name the items of the taken keys. With keys that are released when the run finishes (the method STATUS), an
    /// item whose run has finished by then is started again.
    ///
    /// If the response to a call is lost, the client searches for its runs like [`Client::trigger`]; an item that is
    /// not found is [`ErrorKind::Unconfirmed`]. With `is_keyed`, the workflow has idempotency keys: the items fail with
    /// the call's error without a search, because they can be sent again.
    ///
    /// A call that the engine refuses temporarily is repeated up to five times, but not after `deadline`, which ends
    /// the trigger with the refusal.
    pub(crate) async fn trigger_many<I: Serialize>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = (I, TriggerOptions)>,
        is_keyed: bool,
        deadline: Option<Instant>,
    ) -> Vec<TriggerResult> {
        let inputs = inputs.into_iter();
        let span = CallSpan::start("hatchet.run_workflows", |attributes| {
            let names = [self.config().namespaced(name)];
            attributes
                .number("hatchet.num_workflows", i64::try_from(inputs.size_hint().0).ok())
                .text("hatchet.unique_workflow_names", &serde_json::Value::from_iter(names).to_string())
        });
        in_span_of_many(span, self.send_triggers(name, inputs, is_keyed, deadline)).await
    }

    async fn send_triggers<I: Serialize>(
        &self,
        name: &str,
        inputs: impl Iterator<Item = (I, TriggerOptions)>,
        is_keyed: bool,
        deadline: Option<Instant>,
    ) -> Vec<TriggerResult> {
        let mut results: Vec<Option<TriggerResult>> = Vec::new();
        let mut batches = Batches::new(self.config().max_send_message);
        let mut call = TriggerId::random();
        for (index, (input, options)) in inputs.enumerate() {
            if index > 0 && index.is_multiple_of(MAX_RUNS) {
                // About one id for each call, so that the search after a lost response reads only the runs of its call.
                call = TriggerId::random();
            }
            let ids = SearchIds { trigger: options.trigger_id.unwrap_or_else(TriggerId::random), call: Some(call) };
            match TriggerRequest::new(self, name, &input, &options, index, ids) {
                Err(error) => results.push(Some(Err(error))),
                Ok(request) => {
                    results.push(None);
                    batches.add(request);
                }
            }
        }
        let calls = TriggerCalls { client: self, name, deadline };
        let batches = batches.into_calls().into_iter().map(|requests| calls.send_batch(requests, is_keyed));
        let mut batches = stream::iter(batches).buffer_unordered(BULK_CALLS);
        while let Some(batch) = batches.next().await {
            for (index, result) in batch {
                results[index] = Some(result);
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(too_few_runs()))).collect()
    }
}

impl TriggerCalls<'_> {
    /// Triggers a batch in one call, and finds the reason for each item if the engine refuses it.
    async fn send_batch(self, requests: Vec<TriggerRequest>, is_keyed: bool) -> Vec<(usize, TriggerResult)> {
        if let Err(error) = self.connect().await {
            return requests.into_iter().map(|request| (request.index, Err(error.clone()))).collect();
        }
        let mut results = Vec::with_capacity(requests.len());
        let mut parts = vec![requests];
        let mut refused_calls = 0;
        while let Some(mut requests) = parts.pop() {
            let sent_at = SystemTime::now();
            let error = match self.send_bulk(&requests).await {
                Ok(ids) => {
                    results.extend(self.assign_runs(requests, ids));
                    continue;
                }
                Err(error) => error,
            };
            refused_calls += 1;
            if let Some(collision) = error.status().and_then(collision::read) {
                results.extend(self.resolve_collision(requests, &collision).await);
            } else if !is_keyed && may_have_started(&error) {
                results.extend(self.client.recover(requests, sent_at, &error).await);
            } else if is_refused_for_an_item(&error) && requests.len() > 1 && refused_calls < BISECTION_CALLS {
                // Nothing was started: bisection finds the item.
                let second = requests.split_off(requests.len() / 2);
                parts.push(second);
                parts.push(requests);
            } else {
                results.extend(requests.into_iter().map(|request| (request.index, Err(error.clone()))));
            }
        }
        results
    }

    /// The results of an accepted call. The engine returns the ids in the order of the items.
    fn assign_runs(self, requests: Vec<TriggerRequest>, ids: Vec<String>) -> Vec<(usize, TriggerResult)> {
        let mut ids = ids.into_iter();
        let assign = |request: TriggerRequest| {
            let id = ids.next().ok_or_else(too_few_runs).and_then(|id| parse_run_id(&id));
            (request.index, id.map(|id| RunRef::triggered(self.client.clone(), id)))
        };
        requests.into_iter().map(assign).collect()
    }
}

/// Whether an engine refuses a whole call with this error if one item is invalid, or the call exceeds its limit.
fn is_refused_for_an_item(error: &ClientError) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge)
}

fn too_few_runs() -> ClientError {
    ClientError::new(ErrorKind::Engine, "triggering runs failed: the engine's response has fewer runs than the request")
}
