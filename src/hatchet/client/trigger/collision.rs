//! Reads which items of a bulk trigger collided out of its refusal.

use crate::hatchet::wire::{proto::v1, read_detail};

/// What started and what collided, from the refusal of a bulk trigger.
pub(super) fn bulk(status: &tonic::Status) -> Option<v1::BulkTriggerIdempotencyCollisionError> {
    read_detail(status.details(), "v1.BulkTriggerIdempotencyCollisionError")
}
