//! Bulk triggers in which idempotency keys collide.
//!
//! An engine refuses a bulk trigger as a whole if a key is taken, although it has started the other items. The refusal
//! names the runs that it started and those that hold the taken keys, but not the items they belong to. So each item is
//! sent again on its own: an item that was started holds its key by now, and its trigger is refused as a duplicate of its
//! own run.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::StreamExt as _;
use tonic::Status;

use super::{bulk::BulkItem, failure::failed, request::TriggerRequest, run_id};
use crate::hatchet::{
    client::{Client, RunRef},
    transport::{ClientError, ErrorKind, retry, when_temporary},
    wire::{
        RunId,
        proto::v1::{BulkTriggerIdempotencyCollisionError, TriggerWorkflowRequest},
        read_detail,
    },
};

/// Concurrent single triggers of all bulk triggers of a client. A real engine executes five triggers at a time and fails
/// those that wait too long.
pub(in crate::hatchet::client) const SINGLE_CALLS: usize = 4;

/// What started and what collided, from the refusal of a bulk trigger.
pub(super) fn read(status: &Status) -> Option<BulkTriggerIdempotencyCollisionError> {
    read_detail(status.details(), "v1.BulkTriggerIdempotencyCollisionError")
}

/// The result of an item's own trigger.
struct Resent {
    index: usize,
    answer: Result<RunId, ClientError>,
    /// An attempt may have started a run without a response.
    may_have_started: bool,
}

impl Client {
    /// Sends each item of a partly refused bulk trigger on its own.
    pub(super) async fn resolve_collision(
        &self,
        name: &str,
        requests: Vec<TriggerRequest>,
        collision: &BulkTriggerIdempotencyCollisionError,
    ) -> Vec<(usize, BulkItem)> {
        let resent = requests.into_iter().map(|request| self.resend(name, request.index, request.message));
        let resent: Vec<Resent> = futures_util::stream::iter(resent).buffered(SINGLE_CALLS).collect().await;
        let answered = resent.iter().filter_map(|item| item.answer.as_ref().ok().copied());
        let mut owners = Owners::new(collision, answered);
        let outcome = |Resent { index, answer, may_have_started }: Resent| {
            let run = answer.or_else(|error| match error.kind() {
                ErrorKind::Duplicate(Some(run)) if owners.is_own(run, may_have_started) => Ok(run),
                _ => Err(error),
            });
            (index, run.map(|run| RunRef::triggered(self.clone(), run)))
        };
        resent.into_iter().map(outcome).collect()
    }

    async fn resend(&self, name: &str, index: usize, message: TriggerWorkflowRequest) -> Resent {
        let call = format!("triggering {name}");
        // It fails if the semaphore was closed, which it never is.
        let _permit = self.single_calls().acquire().await;
        let may_have_started = AtomicBool::new(false);
        // An item with a key may be sent any number of times: it becomes a duplicate of itself.
        let answer = retry(when_temporary, || {
            let (mut stub, message) = (self.connection().workflows(), message.clone());
            let (call, may_have_started) = (&call, &may_have_started);
            async move {
                let answer = stub.trigger_workflow(message).await;
                let answer = answer.map_err(|status| failed(self.connection(), call, name, status));
                if answer.as_ref().is_err_and(super::failure::may_have_started) {
                    may_have_started.store(true, Ordering::Relaxed);
                }
                answer
            }
        })
        .await;
        let answer = answer.and_then(|answer| run_id(&answer.into_inner().workflow_run_id));
        Resent { index, answer, may_have_started: may_have_started.into_inner() }
    }
}

/// Tells an item that is a duplicate of its own run from an item whose key another run holds.
struct Owners {
    /// Runs that the refused bulk trigger started and that no item owns yet.
    started: HashSet<RunId>,
    /// Runs that existed before, or that an item owns. Of two items with one key, the first owns the run and the second is
    /// its duplicate.
    taken: HashSet<RunId>,
}

impl Owners {
    fn new(collision: &BulkTriggerIdempotencyCollisionError, answered: impl Iterator<Item = RunId>) -> Self {
        let parse = |id: &String| id.parse().ok();
        let before = collision.collisions.iter().filter_map(|one| parse(&one.existing_run_external_id));
        let started: HashSet<RunId> = collision.successful_workflow_run_external_ids.iter().filter_map(parse).collect();
        // An item can collide with another item of the same bulk trigger.
        let taken = before.filter(|run| !started.contains(run)).chain(answered).collect();
        Self { started, taken }
    }

    /// Whether the run that holds an item's key was started by that item, which then owns the run. `may_have_started`: a
    /// trigger of the item was sent without a response.
    fn is_own(&mut self, run: RunId, may_have_started: bool) -> bool {
        self.started.remove(&run) || (may_have_started && self.taken.insert(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::wire::proto::v1::IdempotencyCollisionError;

    #[test]
    fn first_item_of_a_started_run_owns_it() {
        let [started, before, lost] = [RunId::random(), RunId::random(), RunId::random()];
        let held = IdempotencyCollisionError { existing_run_external_id: before.to_string(), ..Default::default() };
        let collision = BulkTriggerIdempotencyCollisionError {
            collisions: vec![held],
            successful_workflow_run_external_ids: vec![started.to_string()],
        };
        let mut owners = Owners::new(&collision, std::iter::empty());
        assert!(owners.is_own(started, false));
        assert!(!owners.is_own(started, false), "the second item with its key is a duplicate");
        assert!(!owners.is_own(before, true), "it existed before");
        assert!(!owners.is_own(lost, false), "no trigger of the item lost its response");
        assert!(owners.is_own(lost, true));
        assert!(!owners.is_own(lost, true));
    }
}
