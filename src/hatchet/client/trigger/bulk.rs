//! Many runs of one workflow in few calls.

use std::{sync::Arc, time::SystemTime};

use serde::Serialize;
use tokio::sync::Semaphore;

use super::{
    TriggerOptions,
    batches::{Batches, MAX_RUNS},
    collision,
    failure::{failed, may_be_repeated, may_have_started},
    request::{SearchIds, TriggerRequest},
    run_id,
};
use crate::hatchet::{
    client::{Client, RunRef},
    transport::{ClientError, ErrorKind, retry},
    wire::{TriggerId, proto::BulkTriggerWorkflowRequest},
};

/// Concurrent bulk calls of one [`Client::trigger_many`].
const BULK_CALLS: usize = 4;
/// Most calls of a bulk trigger that is refused for single items: enough to find about three among 1,000.
const BISECTION_CALLS: usize = 64;

/// The result of one item of a bulk trigger: the started run; [`ErrorKind::Duplicate`] with the run that holds the item's
/// idempotency key; or why the item was refused.
pub(crate) type BulkItem = Result<RunRef, ClientError>;

/// What happens to a bulk call whose response was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnLostResponse {
    /// The client looks for its runs.
    Recover,
    /// Its items fail with the call's error.
    Report,
}

impl Client {
    /// Starts many runs of one workflow, in the order given, and returns when the engine has accepted them.
    ///
    /// Each item has its own result: a refused input or a taken idempotency key fails that item alone, although an engine
    /// refuses a bulk call as a whole. The items are split into calls of at most 1,000 items and the message limit, four
    /// of them concurrent. [`Client::outcomes`] waits for all runs together.
    ///
    /// If some idempotency keys are taken, the items of that call are sent again one by one, because the engine does not
    /// name them. With keys that are released when the run finishes (the method STATUS), an item whose run has finished by
    /// then is started again.
    ///
    /// If the response to a call is lost, its runs are looked for as by [`Client::trigger`]; an item that is not found is
    /// [`ErrorKind::Unconfirmed`].
    pub(crate) async fn trigger_many<I: Serialize>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = (I, TriggerOptions)>,
    ) -> Vec<BulkItem> {
        self.trigger_batches(name, inputs, OnLostResponse::Recover).await
    }

    /// [`Client::trigger_many`] for a workflow with idempotency keys: if a response is lost, its items fail with the
    /// call's error, because they can simply be sent again.
    pub(crate) async fn trigger_many_keyed<I: Serialize>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = (I, TriggerOptions)>,
    ) -> Vec<BulkItem> {
        self.trigger_batches(name, inputs, OnLostResponse::Report).await
    }

    async fn trigger_batches<I: Serialize>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = (I, TriggerOptions)>,
        on_lost: OnLostResponse,
    ) -> Vec<BulkItem> {
        let mut results: Vec<Option<BulkItem>> = Vec::new();
        let mut batches = Batches::new(self.config().max_send_message);
        let mut call = TriggerId::random();
        for (index, (input, options)) in inputs.into_iter().enumerate() {
            if index > 0 && index.is_multiple_of(MAX_RUNS) {
                // About one id for each call, so that a lost one reads a list of its own runs only.
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
        let permits = Arc::new(Semaphore::new(BULK_CALLS));
        let calls = batches.into_calls().into_iter().map(|requests| {
            let permits = permits.clone();
            async move {
                // It fails if the semaphore was closed, which it never is.
                let _permit = permits.acquire().await;
                self.trigger_batch(name, requests, on_lost).await
            }
        });
        for batch in futures_util::future::join_all(calls).await {
            for (index, result) in batch {
                results[index] = Some(result);
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(too_few_runs()))).collect()
    }

    /// Makes one call, and finds the reason for each item if the engine refuses it.
    async fn trigger_batch(
        &self,
        name: &str,
        requests: Vec<TriggerRequest>,
        on_lost: OnLostResponse,
    ) -> Vec<(usize, BulkItem)> {
        let call = format!("triggering {name}");
        if let Err(error) = retry(may_be_repeated, || self.connection().ensure_reachable(&call)).await {
            return requests.into_iter().map(|request| (request.index, Err(error.clone()))).collect();
        }
        let mut results = Vec::with_capacity(requests.len());
        let mut parts = vec![requests];
        let mut refused_calls = 0;
        while let Some(mut requests) = parts.pop() {
            let sent_at = SystemTime::now();
            let error = match self.send_batch(name, &requests).await {
                Ok(ids) => {
                    results.extend(self.assign_runs(requests, ids));
                    continue;
                }
                Err(error) => error,
            };
            refused_calls += 1;
            if let Some(collision) = error.status().and_then(collision::read) {
                results.extend(self.resolve_collision(name, requests, &collision).await);
            } else if on_lost == OnLostResponse::Recover && may_have_started(&error) {
                results.extend(self.recover(requests, sent_at, &error).await);
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

    async fn send_batch(&self, name: &str, requests: &[TriggerRequest]) -> Result<Vec<String>, ClientError> {
        let plural = if requests.len() == 1 { "" } else { "s" };
        let call = format!("triggering {} run{plural} of {name}", requests.len());
        let answer = retry(may_be_repeated, || {
            let mut stub = self.connection().workflows();
            let workflows = requests.iter().map(|request| request.message.clone()).collect();
            let call = &call;
            async move {
                stub.bulk_trigger_workflow(BulkTriggerWorkflowRequest { workflows })
                    .await
                    .map_err(|status| failed(self.connection(), call, name, status))
            }
        })
        .await?;
        Ok(answer.into_inner().workflow_run_ids)
    }

    /// The results of an accepted call: the engine returns the ids in the order of the items.
    fn assign_runs(&self, requests: Vec<TriggerRequest>, ids: Vec<String>) -> Vec<(usize, BulkItem)> {
        let mut ids = ids.into_iter();
        let assign = |request: TriggerRequest| {
            let id = ids.next().ok_or_else(too_few_runs).and_then(|id| run_id(&id));
            (request.index, id.map(|id| RunRef::triggered(self.clone(), id)))
        };
        requests.into_iter().map(assign).collect()
    }
}

/// Whether an engine refuses a whole call with this error if one item is invalid, or the call exceeds its limit.
fn is_refused_for_an_item(error: &ClientError) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge)
}

fn too_few_runs() -> ClientError {
    ClientError::new(ErrorKind::Engine, "the engine answered with fewer runs than were asked for")
}
