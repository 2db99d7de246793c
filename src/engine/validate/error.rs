//! The error of a refused request.

/// Refusal of a request. The message is a single line for the request's author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid {
    kind: InvalidKind,
    message: String,
}

/// The category of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidKind {
    /// A field has a value that its rule forbids, or requests a feature that this engine does not have.
    Field,
    /// A payload is too large for the messages that would carry it.
    TooLarge,
}

impl Invalid {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { kind: InvalidKind::Field, message: message.into() }
    }

    /// A real engine's form of errors that its request validation found.
    pub(super) fn request(message: &str) -> Self {
        Self::new(format!("Invalid request: {message}"))
    }

    /// A real engine's form of an invalid field of a workflow definition.
    pub(super) fn definition(field: &str, reason: &str) -> Self {
        Self::new(failed_field(&format!("CreateWorkflowVersionOpts.{field}"), reason))
    }

    /// A real engine's form of an invalid field of a worker's registration.
    pub(super) fn registration(field: &str, reason: &str) -> Self {
        Self::request(&failed_field(&format!("CreateWorkerOpts.{field}"), reason))
    }

    pub(super) fn too_large(message: String) -> Self {
        Self { kind: InvalidKind::TooLarge, message }
    }

    /// Refuses a request for a feature that this engine does not have.
    pub(crate) fn unsupported(feature: &str) -> Self {
        Self::new(unsupported(feature))
    }

    /// The category, by which a protocol chooses its status code.
    pub(crate) fn kind(&self) -> InvalidKind {
        self.kind
    }

    /// The message for the request's author.
    pub(crate) fn into_message(self) -> String {
        self.message
    }
}

/// Message about a feature of the protocol that this engine does not have.
pub(crate) fn unsupported(feature: &str) -> String {
    format!(
        "{feature}: not supported by this embedded engine. Use a real Hatchet, which supports it (set \
         HATCHET_CLIENT_TOKEN)"
    )
}

fn failed_field(field: &str, reason: &str) -> String {
    format!("Validation failed with the following errors: 0: validation failed on field '{field}': {reason}")
}
