//! Starts many runs in few calls.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use futures_util::StreamExt as _;
use prost::Message as _;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{Item, Mark, RunHandle, TriggerOptions, collision, refused, run_id};
use crate::hatchet::{
    client::Client,
    transport::{ClientError, ErrorKind, retry, when_not_executed, when_temporary},
    wire::{
        RunId, TriggerId,
        proto::{BulkTriggerWorkflowRequest, v1::BulkTriggerIdempotencyCollisionError},
    },
};

/// Most runs in one bulk call: the Python SDK's number.
const BULK_ITEMS: usize = 1_000;
/// Bytes of one bulk call are kept this far below the limit, for what the message adds around its items.
const BULK_MARGIN: usize = 4 * 1024;
/// Bulk calls under way at once.
const BULK_CALLS: usize = 4;
/// Items asked for one by one at once, by all bulk calls of a client: a real engine has five places for triggers and
/// fails what waits too long for one.
pub(in crate::hatchet::client) const SINGLE_CALLS: usize = 4;
/// Calls that look for the items which made an engine refuse a whole bulk: enough for some three among 1,000.
const SEARCH_CALLS: usize = 64;

/// What became of one item of a bulk trigger: a started run; [`ErrorKind::Duplicate`] with the run that holds its key;
/// or why it was refused.
pub type BulkItem = Result<RunHandle, ClientError>;

/// What to do about a bulk call whose answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Look for its runs.
    Recover,
    /// Report the failure.
    Report,
}

impl Client {
    /// Starts many runs of one workflow, in the order given, and comes back when the engine has taken all of them.
    ///
    /// Each item has its own outcome: a refused input or a taken idempotency key fails that item alone, though an
    /// engine refuses bulk calls as a whole. Split into calls of at most 1,000 items and the message limit, four of
    /// them under way at once. [`Client::outcomes`] waits for all of them together.
    ///
    /// Where some keys are taken, the items of that call are asked for one by one, as the engine does not say which
    /// they were; with keys that end with their run (the method STATUS), an item whose run has ended by then is
    /// started again.
    ///
    /// The runs of a call whose answer was lost are looked for as [`Client::trigger`] does; an item that is not found
    /// is [`ErrorKind::Unconfirmed`].
    pub async fn trigger_many<I: Serialize>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = (I, TriggerOptions)>,
    ) -> Vec<BulkItem> {
        self.submit(name, inputs, Lost::Recover).await
    }

    /// [`Client::trigger_many`] for a workflow whose runs have idempotency keys: where an answer is lost, its items fail
    /// with the call's error, as they may simply be sent again.
    pub(crate) async fn trigger_many_keyed<I: Serialize>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = (I, TriggerOptions)>,
    ) -> Vec<BulkItem> {
        self.submit(name, inputs, Lost::Report).await
    }

    async fn submit<I: Serialize>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = (I, TriggerOptions)>,
        lost: Lost,
    ) -> Vec<BulkItem> {
        let mut outcomes: Vec<Option<BulkItem>> = Vec::new();
        let mut calls = Calls::new(self.config().max_send_message.saturating_sub(BULK_MARGIN));
        let mut call = TriggerId::random();
        for (index, (input, options)) in inputs.into_iter().enumerate() {
            if index > 0 && index.is_multiple_of(BULK_ITEMS) {
                // About one for each call, so that the runs of a lost one are not looked for among all.
                call = TriggerId::random();
            }
            let mark = Mark { trigger: options.trigger_id.unwrap_or_else(TriggerId::random), call: Some(call) };
            match self.item(name, &input, &options, index, mark) {
                Err(error) => outcomes.push(Some(Err(error))),
                Ok(item) => {
                    outcomes.push(None);
                    calls.add(item);
                }
            }
        }
        let permits = Arc::new(Semaphore::new(BULK_CALLS));
        let calls = calls.calls.into_iter().map(|call| {
            let permits = permits.clone();
            async move {
                // It fails where the semaphore was closed, which it never is.
                let _permit = permits.acquire().await;
                self.bulk_call(name, call, lost).await
            }
        });
        for call in futures_util::future::join_all(calls).await {
            for (index, outcome) in call {
                outcomes[index] = Some(outcome);
            }
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(too_few()))).collect()
    }

    /// One call, and where it is refused what each of its items is refused for.
    async fn bulk_call(&self, name: &str, items: Vec<Item>, lost: Lost) -> Vec<(usize, BulkItem)> {
        let call = format!("trigger {name}");
        if let Err(error) = retry(when_not_executed, || self.connection().ensure_reachable(&call)).await {
            return items.into_iter().map(|item| (item.index, Err(error.clone()))).collect();
        }
        let mut settled = Vec::with_capacity(items.len());
        let mut parts = vec![items];
        let mut calls = 0;
        while let Some(mut items) = parts.pop() {
            let begun = SystemTime::now();
            let error = match self.send(name, &items).await {
                Ok(ids) => {
                    let mut ids = ids.into_iter();
                    settled.extend(items.into_iter().map(|item| {
                        let id = ids.next().ok_or_else(too_few).and_then(|id| run_id(&id));
                        (item.index, id.map(|id| RunHandle::triggered(self.clone(), id)))
                    }));
                    continue;
                }
                Err(error) => error,
            };
            calls += 1;
            if let Some(collision) = error.status().and_then(collision::bulk) {
                settled.extend(self.settle_collision(name, items, &collision).await);
            } else if lost == Lost::Recover && error.is_response_lost() {
                settled.extend(self.recover(items, begun, &error).await);
            } else if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge)
                && items.len() > 1
                && calls < SEARCH_CALLS
            {
                // One bad item refuses all, or the engine's limit is below ours; nothing was started: halves find it.
                let second = items.split_off(items.len() / 2);
                parts.push(second);
                parts.push(items);
            } else {
                settled.extend(items.into_iter().map(|item| (item.index, Err(error.clone()))));
            }
        }
        settled
    }

    async fn send(&self, name: &str, items: &[Item]) -> Result<Vec<String>, ClientError> {
        let call = format!("trigger {} run{} of {name}", items.len(), if items.len() == 1 { "" } else { "s" });
        let answer = retry(when_not_executed, || {
            let mut stub = self.connection().workflows();
            let workflows = items.iter().map(|item| item.request.clone()).collect();
            let call = &call;
            async move {
                stub.bulk_trigger_workflow(BulkTriggerWorkflowRequest { workflows })
                    .await
                    .map_err(|status| refused(self.connection(), call, name, status))
            }
        })
        .await?;
        Ok(answer.into_inner().workflow_run_ids)
    }

    /// Finds out, one by one, what each item of a partly refused call became: the refusal names what collided but not
    /// its place. Those that started hold their key by now and come back as duplicates of themselves.
    async fn settle_collision(
        &self,
        name: &str,
        items: Vec<Item>,
        collision: &BulkTriggerIdempotencyCollisionError,
    ) -> Vec<(usize, BulkItem)> {
        let call = format!("trigger {name}");
        let asked = items.into_iter().map(|Item { index, request, .. }| {
            let call = &call;
            async move {
                // It fails where the semaphore was closed, which it never is.
                let _permit = self.singles().acquire().await;
                // Items with keys may be sent twice: the second time they are duplicates of themselves.
                let unanswered = AtomicBool::new(false);
                let answer = retry(when_temporary, || {
                    let (mut stub, request) = (self.connection().workflows(), request.clone());
                    let unanswered = &unanswered;
                    async move {
                        let answer = stub.trigger_workflow(request).await;
                        let answer = answer.map_err(|status| refused(self.connection(), call, name, status));
                        if answer.as_ref().is_err_and(|error| error.is_temporary() && !error.never_sent()) {
                            unanswered.store(true, Ordering::Relaxed);
                        }
                        answer
                    }
                })
                .await;
                let answer = answer.and_then(|answer| run_id(&answer.into_inner().workflow_run_id));
                (index, answer, unanswered.into_inner())
            }
        });
        let answers: Vec<_> = futures_util::stream::iter(asked).buffered(SINGLE_CALLS).collect().await;
        let mut own = Own::new(collision, answers.iter().filter_map(|(_, answer, _)| answer.as_ref().ok().copied()));
        let outcome = |(index, answer, unanswered): (usize, Result<RunId, ClientError>, bool)| {
            let run = answer.or_else(|error| match error.kind() {
                ErrorKind::Duplicate(Some(run)) if own.claim(run, unanswered) => Ok(run),
                _ => Err(error),
            });
            (index, run.map(|run| RunHandle::triggered(self.clone(), run)))
        };
        answers.into_iter().map(outcome).collect()
    }
}

/// Tells an item that is a duplicate of itself from one that is another's.
struct Own {
    /// Runs that the refused bulk call started, until an item has claimed them.
    started: HashSet<RunId>,
    /// Runs that were there before, or that an item has got already: of two items with one key the first in order is the
    /// run, and the second its duplicate.
    taken: HashSet<RunId>,
}

impl Own {
    fn new(collision: &BulkTriggerIdempotencyCollisionError, answered: impl Iterator<Item = RunId>) -> Self {
        let parse = |id: &String| id.parse().ok();
        let before = collision.collisions.iter().filter_map(|one| parse(&one.existing_run_external_id));
        let started: HashSet<RunId> = collision.successful_workflow_run_external_ids.iter().filter_map(parse).collect();
        // Within the bulk, an item may have collided with one that it started.
        let taken = before.filter(|run| !started.contains(run)).chain(answered).collect();
        Self { started, taken }
    }

    /// Whether the run that holds an item's key is the item's own. `unanswered`: a call of the item's own may have
    /// started it and lost its answer.
    fn claim(&mut self, run: RunId, unanswered: bool) -> bool {
        self.started.remove(&run) || (unanswered && self.taken.insert(run))
    }
}

/// Items cut into calls by number and bytes.
struct Calls {
    calls: Vec<Vec<Item>>,
    bytes: usize,
    limit: usize,
}

impl Calls {
    fn new(limit: usize) -> Self {
        Self { calls: Vec::new(), bytes: 0, limit }
    }

    fn add(&mut self, item: Item) {
        // A length prefix takes at most 5 bytes, its tag 1.
        let size = item.request.encoded_len() + 6;
        match self.calls.last_mut() {
            Some(call) if call.len() < BULK_ITEMS && self.bytes + size <= self.limit => {
                call.push(item);
                self.bytes += size;
            }
            _ => {
                self.calls.push(vec![item]);
                self.bytes = size;
            }
        }
    }
}

fn too_few() -> ClientError {
    ClientError::new(ErrorKind::Engine, "the engine answered with fewer runs than were asked for")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::wire::proto::v1::TriggerWorkflowRequest;

    fn sizes(limit: usize, inputs: &[usize]) -> Vec<usize> {
        let mut calls = Calls::new(limit);
        for (index, size) in inputs.iter().enumerate() {
            let request = TriggerWorkflowRequest { input: "x".repeat(*size), ..Default::default() };
            let mark = Mark { trigger: TriggerId::random(), call: None };
            calls.add(Item { index, mark, request });
        }
        calls.calls.iter().map(Vec::len).collect()
    }

    #[test]
    fn calls_are_cut_by_number_and_by_bytes() {
        assert_eq!(sizes(usize::MAX, &[1; 2_001]), [1_000, 1_000, 1]);
        assert_eq!(sizes(250, &[100, 100, 100, 300, 1]), [2, 1, 1, 1]);
        assert!(sizes(250, &[]).is_empty());
    }
}
