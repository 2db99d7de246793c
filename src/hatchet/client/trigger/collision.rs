//! Resolves collisions of idempotency keys in bulk triggers.
//!
//! An engine refuses a bulk trigger as a whole if a key is taken, although it has started the other items. The refusal
//! lists the started runs and the runs that hold the taken keys, without their items. So each item is sent again
//! individually. If the item was started, its own run holds its key now, and the trigger is refused as a duplicate of
//! that run.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::{StreamExt as _, stream};
use tonic::Status;

use super::{
    call::TriggerCalls,
    failure,
    request::{TriggerRequest, TriggerResult},
};
use crate::hatchet::{
    client::{RunRef, handle::SINGLE_CALLS},
    transport::{ClientError, ErrorKind, when_temporary},
    wire::{RunId, decode_detail, proto::v1::BulkTriggerIdempotencyCollisionError},
};

/// Reads the started runs and the collisions from the refusal of a bulk trigger.
pub(super) fn read(status: &Status) -> Option<BulkTriggerIdempotencyCollisionError> {
    decode_detail(status.details(), "v1.BulkTriggerIdempotencyCollisionError")
}

/// The result of an individual trigger.
struct Resent {
    index: usize,
    result: Result<RunId, ClientError>,
    /// An attempt may have started a run without a response.
    may_have_started: bool,
}

impl TriggerCalls<'_> {
    /// Sends each item of a partly refused bulk trigger individually.
    pub(super) async fn resolve_collision(
        self,
        requests: Vec<TriggerRequest>,
        collision: &BulkTriggerIdempotencyCollisionError,
    ) -> Vec<(usize, TriggerResult)> {
        let resent = requests.into_iter().map(|request| self.resend(request));
        let resent: Vec<Resent> = stream::iter(resent).buffered(SINGLE_CALLS).collect().await;
        let accepted = resent.iter().filter_map(|item| item.result.as_ref().ok().copied());
        let mut owners = Owners::new(collision, accepted);
        let own_run = |Resent { index, result, may_have_started }: Resent| {
            let run = result.or_else(|error| match error.kind() {
                ErrorKind::Duplicate(Some(run)) if owners.is_own(run, may_have_started) => Ok(run),
                _ => Err(error),
            });
            (index, run.map(|run| RunRef::triggered(self.client.clone(), run)))
        };
        resent.into_iter().map(own_run).collect()
    }

    async fn resend(self, request: TriggerRequest) -> Resent {
        // Fails only if the semaphore was closed, which never happens.
        let _permit = self.client.single_calls().acquire().await;
        let may_have_started = AtomicBool::new(false);
        let record = |error: &ClientError| {
            may_have_started.fetch_or(failure::may_have_started(error), Ordering::Relaxed);
        };
        // An item with a key can be sent repeatedly: it becomes a duplicate of its own run.
        let result = self.send(&request.message, when_temporary, record).await;
        Resent { index: request.index, result, may_have_started: may_have_started.into_inner() }
    }
}

/// Distinguishes items that are duplicates of their own runs from items whose keys other runs hold.
struct Owners {
    /// Runs that the refused bulk trigger started and that no item owns yet.
    started: HashSet<RunId>,
    /// Runs that existed before, or that an item owns. Of two items with the same key, the first owns the run and the
    /// second is its duplicate.
    taken: HashSet<RunId>,
}

impl Owners {
    fn new(collision: &BulkTriggerIdempotencyCollisionError, accepted: impl Iterator<Item = RunId>) -> Self {
        let parse = |id: &String| id.parse().ok();
        let existing = collision.collisions.iter().filter_map(|key| parse(&key.existing_run_external_id));
        let started: HashSet<RunId> = collision.successful_workflow_run_external_ids.iter().filter_map(parse).collect();
        // An item can collide with another item of the same bulk trigger.
        let taken = existing.filter(|run| !started.contains(run)).chain(accepted).collect();
        Self { started, taken }
    }

    /// Whether the run that holds an item's key was started by that item, which then owns the run. `may_have_started`
    /// is set if a response to the item's triggers was lost.
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
        let [started, existing, lost] = [RunId::random(), RunId::random(), RunId::random()];
        let held = IdempotencyCollisionError { existing_run_external_id: existing.to_string(), ..Default::default() };
        let collision = BulkTriggerIdempotencyCollisionError {
            collisions: vec![held],
            successful_workflow_run_external_ids: vec![started.to_string()],
        };
        let mut owners = Owners::new(&collision, std::iter::empty());
        assert!(owners.is_own(started, false));
        assert!(!owners.is_own(started, false), "the second item with its key is a duplicate");
        assert!(!owners.is_own(existing, true), "the run existed before");
        assert!(!owners.is_own(lost, false), "no response was lost");
        assert!(owners.is_own(lost, true));
        assert!(!owners.is_own(lost, true));
    }
}
