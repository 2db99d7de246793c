//! ALREADY_EXISTS with the details by which SDKs know an idempotency collision.

use prost::Message;
use tonic::{Code, Status};

use crate::hatchet::wire::{
    proto::v1::{BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError},
    write_detail,
};

/// Clients compare this text.
const TEXT: &str = "idempotency key collision";

/// For one run.
pub(in crate::engine) fn single(detail: &IdempotencyCollisionError) -> Status {
    status("IdempotencyCollisionError", detail)
}

/// For several: which were made, and which were not.
pub(in crate::engine) fn bulk(detail: &BulkTriggerIdempotencyCollisionError) -> Status {
    status("BulkTriggerIdempotencyCollisionError", detail)
}

fn status(name: &str, detail: &impl Message) -> Status {
    let details = write_detail(Code::AlreadyExists.into(), TEXT, &format!("v1.{name}"), detail);
    Status::with_details(Code::AlreadyExists, TEXT, details.into())
}
