//! ALREADY_EXISTS with the error details that SDKs expect for an idempotency collision.

use prost::Message;
use tonic::{Code, Status};

use crate::hatchet::wire::{
    proto::v1::{BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError},
    write_detail,
};

/// The message of the status; clients compare it.
const TEXT: &str = "idempotency key collision";

/// The collision of a single trigger.
pub(super) fn single(detail: &IdempotencyCollisionError) -> Status {
    status("IdempotencyCollisionError", detail)
}

/// The collisions of a bulk trigger, and the runs that it started.
pub(super) fn bulk(detail: &BulkTriggerIdempotencyCollisionError) -> Status {
    status("BulkTriggerIdempotencyCollisionError", detail)
}

fn status(name: &str, detail: &impl Message) -> Status {
    let details = write_detail(Code::AlreadyExists.into(), TEXT, &format!("v1.{name}"), detail);
    Status::with_details(Code::AlreadyExists, TEXT, details.into())
}
