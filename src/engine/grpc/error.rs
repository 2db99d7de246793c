//! Conversions of the engine's errors into gRPC statuses.

use prost::Message;
use tonic::{Code, Status};

use crate::{
    engine::{
        state::TriggerError,
        validate::{Invalid, InvalidKind, unsupported},
    },
    hatchet::wire::{RunId, encode_detail, excerpt},
};

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        match invalid.kind() {
            InvalidKind::Field => Self::invalid_argument(invalid.into_message()),
            InvalidKind::TooLarge => Self::resource_exhausted(invalid.into_message()),
        }
    }
}

impl From<TriggerError> for Status {
    fn from(error: TriggerError) -> Self {
        match error {
            TriggerError::UnknownWorkflow(name) => {
                Self::invalid_argument(format!("workflow names not found: {}", excerpt(&name)))
            }
            TriggerError::UnknownParent => Self::not_found("not found"),
        }
    }
}

/// The message of an idempotency collision; clients compare it.
const COLLISION: &str = "idempotency key collision";

/// ALREADY_EXISTS with the details of idempotency collisions. SDKs find them by the name of their message.
pub(super) fn collision(name: &str, details: &impl Message) -> Status {
    let details = encode_detail(Code::AlreadyExists.into(), COLLISION, &format!("v1.{name}"), details);
    Status::with_details(Code::AlreadyExists, COLLISION, details.into())
}

/// UNIMPLEMENTED, for a method or feature of the protocol that this engine does not have.
pub(super) fn unimplemented(feature: &str) -> Status {
    Status::unimplemented(unsupported(feature))
}

/// UNIMPLEMENTED, for a method that real engines of this version do not have either.
pub(super) fn unimplemented_in_v1(method: &str) -> Status {
    Status::unimplemented(format!("{method} is not implemented in engine version v1"))
}

pub(super) fn task_not_found(id: RunId) -> Status {
    Status::not_found(format!("task run not found: {id}"))
}
