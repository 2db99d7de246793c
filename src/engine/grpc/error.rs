//! Conversions of the engine's errors into gRPC statuses.

use tonic::Status;

use crate::{
    engine::{
        state::TriggerError,
        validate::{Invalid, InvalidKind, unsupported},
    },
    hatchet::wire::{RunId, excerpt},
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

/// UNIMPLEMENTED, for a method or feature of the protocol that this engine does not have.
pub(super) fn unimplemented(feature: &str) -> Status {
    Status::unimplemented(unsupported(feature))
}

/// UNIMPLEMENTED, for a method that real engines of this version do not have either.
pub(super) fn unimplemented_in_v1(method: &str) -> Status {
    Status::unimplemented(format!("{method} is not implemented in engine version v1"))
}

/// NOT_FOUND for a task run.
pub(super) fn task_not_found(id: RunId) -> Status {
    Status::not_found(format!("task run not found: {id}"))
}
