//! Reads which run holds an idempotency key out of a refusal.

use prost::Message as _;

use crate::hatchet::wire::{RunId, proto::v1};

/// `google.rpc.Status`, of which only the details matter here.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

fn detail<M: prost::Message + Default>(status: &tonic::Status, name: &str) -> Option<M> {
    let rpc = RpcStatus::decode(status.details()).ok()?;
    let any = rpc.details.iter().find(|any| any.type_url.rsplit('/').next() == Some(name))?;
    M::decode(any.value.as_slice()).ok()
}

/// The run that holds the key, from the refusal of a single trigger.
pub(super) fn existing_run(status: &tonic::Status) -> Option<RunId> {
    let collision: v1::IdempotencyCollisionError = detail(status, "v1.IdempotencyCollisionError")?;
    collision.existing_run_external_id.parse().ok()
}

/// What started and what collided, from the refusal of a bulk trigger.
pub(super) fn bulk(status: &tonic::Status) -> Option<v1::BulkTriggerIdempotencyCollisionError> {
    detail(status, "v1.BulkTriggerIdempotencyCollisionError")
}
