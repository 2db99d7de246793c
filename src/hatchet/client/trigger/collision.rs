//! Reads which run holds an idempotency key out of a refusal.

use crate::hatchet::wire::{RunId, proto::v1, read_detail};

/// The run that holds the key, from the refusal of a single trigger.
pub(in crate::hatchet::client) fn existing_run(status: &tonic::Status) -> Option<RunId> {
    let collision: v1::IdempotencyCollisionError = read_detail(status.details(), "v1.IdempotencyCollisionError")?;
    collision.existing_run_external_id.parse().ok()
}

/// What started and what collided, from the refusal of a bulk trigger.
pub(super) fn bulk(status: &tonic::Status) -> Option<v1::BulkTriggerIdempotencyCollisionError> {
    read_detail(status.details(), "v1.BulkTriggerIdempotencyCollisionError")
}
