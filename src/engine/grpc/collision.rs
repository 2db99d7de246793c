//! ALREADY_EXISTS with the details by which SDKs know an idempotency collision.

use prost::Message;
use tonic::{Code, Status};

use crate::hatchet::wire::proto::v1::{BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError};

/// Clients compare this text.
const TEXT: &str = "idempotency key collision";

/// `google.rpc.Status`, which `grpc-status-details-bin` holds.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// For one run.
pub(super) fn single(detail: &IdempotencyCollisionError) -> Status {
    status("IdempotencyCollisionError", detail)
}

/// For several: which were made, and which were not.
pub(super) fn bulk(detail: &BulkTriggerIdempotencyCollisionError) -> Status {
    status("BulkTriggerIdempotencyCollisionError", detail)
}

fn status(name: &str, detail: &impl Message) -> Status {
    let detail = prost_types::Any { type_url: format!("type.googleapis.com/v1.{name}"), value: detail.encode_to_vec() };
    let all = RpcStatus { code: Code::AlreadyExists.into(), message: TEXT.to_owned(), details: vec![detail] };
    Status::with_details(Code::AlreadyExists, TEXT, all.encode_to_vec().into())
}
