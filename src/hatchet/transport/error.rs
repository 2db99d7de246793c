//! The error of a failed call.
//!
//! A [`ClientError`] reports that a call failed, not that a run failed: see
//! [`RunOutcome`](crate::hatchet::client::RunOutcome). [`ClientError::from_status`] classifies a gRPC status. The same
//! code can come from three origins: the engine, a component between (a proxy), and the local transport, whose statuses
//! have a source.

use std::{error::Error as StdError, fmt, sync::Arc};

use tonic::Code;

use crate::hatchet::wire::{RunId, TriggerId, decode_detail, proto::v1};

/// A failed call.
///
/// Its text is `<operation> failed: <cause>. <what to do>`, and contains the root cause. So
/// [`source`](StdError::source) returns `None`: a report of the whole chain prints each cause once. Match on
/// [`ClientError::kind`]; [`ClientError::status`] returns the gRPC status with the transport's errors as its sources.
#[derive(Clone)]
pub struct ClientError {
    kind: ErrorKind,
    message: String,
    status: Option<Arc<tonic::Status>>,
}

/// The kind of a [`ClientError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is missing or invalid.
    Config,
    /// No server responds at the address, or the connection broke.
    Unreachable,
    /// Only one side uses TLS, or a certificate is not trusted.
    Tls,
    /// The engine does not accept the token.
    Unauthenticated,
    /// The engine refuses a token that it accepted before, and the grace period of 90 s has not elapsed; or a new token
    /// was found, which the next call sends.
    AuthGracePeriod,
    /// The engine has no object with the id or name.
    NotFound,
    /// The engine had the run before, and no longer has it.
    RunLost,
    /// The engine refused the request. Sending it again changes nothing.
    Invalid,
    /// The idempotency key is taken. Contains the run that has it, if the engine named it.
    Duplicate(Option<RunId>),
    /// A run may or may not have started: the response to its trigger was lost, and the run was not found. Contains its
    /// value of [`TRIGGER_KEY`](crate::hatchet::client::TRIGGER_KEY), by which the run can be found if it started.
    Unconfirmed(TriggerId),
    /// The message is larger than one side allows.
    TooLarge,
    /// The engine is at one of its limits, such as calls per second or stored bytes.
    Exhausted,
    /// The call took longer than its timeout.
    TimedOut,
    /// The worker's stream is not open.
    StreamNotActive,
    /// The engine does not support the call.
    Unsupported,
    /// The engine failed, or its response is invalid.
    Engine,
}

impl ClientError {
    /// An error that does not come from a gRPC status.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: None }
    }

    /// An [`ErrorKind::Config`] error.
    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Adds the gRPC status. The message must contain its text.
    #[must_use]
    pub(in crate::hatchet) fn with_status(self, status: tonic::Status) -> Self {
        Self { status: Some(Arc::new(status)), ..self }
    }

    /// The kind of failure, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The gRPC status of the failed call. `None` for a failure that no call returned, such as an invalid setting.
    pub fn status(&self) -> Option<&tonic::Status> {
        self.status.as_deref()
    }

    /// Whether the same call may succeed a little later.
    pub fn is_temporary(&self) -> bool {
        match self.kind {
            ErrorKind::Unreachable
            | ErrorKind::AuthGracePeriod
            | ErrorKind::Exhausted
            | ErrorKind::TimedOut
            | ErrorKind::Engine => true,
            ErrorKind::Config
            | ErrorKind::Tls
            | ErrorKind::Unauthenticated
            | ErrorKind::NotFound
            | ErrorKind::RunLost
            | ErrorKind::Invalid
            | ErrorKind::Duplicate(_)
            | ErrorKind::Unconfirmed(_)
            | ErrorKind::TooLarge
            | ErrorKind::StreamNotActive
            | ErrorKind::Unsupported => false,
        }
    }

    /// Whether the request was certainly not sent, because no connection could be made.
    pub fn never_sent(&self) -> bool {
        let mut next = self.status().and_then(StdError::source);
        while let Some(error) = next {
            if error.downcast_ref::<tonic::ConnectError>().is_some() {
                return true;
            }
            next = error.source();
        }
        false
    }

    /// Whether the local transport created the status, as for a broken connection, and not the engine.
    pub(in crate::hatchet) fn is_from_connection(&self) -> bool {
        self.status().is_some_and(|status| status.source().is_some())
    }

    /// Replaces the kind and the message, and keeps the status.
    pub(in crate::hatchet) fn into_kind(self, kind: ErrorKind, message: String) -> Self {
        Self { kind, message, ..self }
    }

    /// Classifies the status of a failed call. `call` names the operation, such as `triggering task-a`.
    ///
    /// Only [`Connection::call_error`](super::Connection::call_error) calls this, since a failure may concern the whole
    /// connection.
    pub(super) fn from_status(call: &str, status: tonic::Status) -> Self {
        let text = status.message().trim_end();
        let (kind, cause) = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                (ErrorKind::Unauthenticated, explain_refused_token("the engine refused the token", text))
            }
            Code::NotFound => (ErrorKind::NotFound, text.to_owned()),
            Code::InvalidArgument => (ErrorKind::Invalid, text.to_owned()),
            // The client's own codec refused to encode or decode a message.
            Code::OutOfRange => (ErrorKind::TooLarge, explain_too_large(text)),
            Code::ResourceExhausted if text.contains("larger than max") || text.contains("too large") => {
                (ErrorKind::TooLarge, explain_too_large(text))
            }
            Code::ResourceExhausted => (ErrorKind::Exhausted, format!("the engine is at a limit: {text}")),
            Code::AlreadyExists => {
                let holder = existing_run(&status);
                let by_run = holder.map(|run| format!(" by run {run}")).unwrap_or_default();
                (ErrorKind::Duplicate(holder), format!("the idempotency key is taken{by_run} ({text})"))
            }
            Code::DeadlineExceeded => (ErrorKind::TimedOut, text.to_owned()),
            Code::FailedPrecondition => (ErrorKind::StreamNotActive, text.to_owned()),
            Code::Unimplemented => (ErrorKind::Unsupported, format!("this engine does not support the call ({text})")),
            Code::Unavailable if let Some(cause) = untrusted_certificate(&status) => (ErrorKind::Tls, cause),
            // From the engine, for example because its disk is full, or from a proxy in front of it.
            Code::Unavailable if status.source().is_none() => {
                (ErrorKind::Unreachable, format!("the engine cannot serve at the moment: {text}"))
            }
            Code::Unavailable => {
                (ErrorKind::Unreachable, format!("the engine cannot be reached ({})", root_cause(&status)))
            }
            // A connection that breaks during a call has one of these codes and a source.
            Code::Unknown | Code::Cancelled | Code::Internal if status.source().is_some() => {
                (ErrorKind::Unreachable, format!("the connection broke ({})", root_cause(&status)))
            }
            Code::Ok | Code::Cancelled | Code::Unknown | Code::Aborted | Code::Internal | Code::DataLoss => {
                (ErrorKind::Engine, format!("the engine failed: {text} ({:?})", status.code()))
            }
        };
        Self::new(kind, format!("{call} failed: {cause}")).with_status(status)
    }
}

/// The cause and the remedy of a refusal that is final. `text` is the engine's own.
pub(super) fn explain_refused_token(refusal: &str, text: &str) -> String {
    format!("{refusal} ({text}). Set HATCHET_CLIENT_TOKEN to a token of this engine")
}

fn explain_too_large(text: &str) -> String {
    format!(
        "the message is too large ({text}). Send less, or raise the engine's limit and \
         HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH / …_RECV_MESSAGE_LENGTH"
    )
}

/// Reads the run that holds an idempotency key from the refusal of a trigger.
fn existing_run(status: &tonic::Status) -> Option<RunId> {
    let collision: v1::IdempotencyCollisionError = decode_detail(status.details(), "v1.IdempotencyCollisionError")?;
    collision.existing_run_external_id.parse().ok()
}

/// The reason why the server's certificate is not trusted, with the setting to change. `None` if that is not among the
/// causes of an error.
pub(in crate::hatchet) fn untrusted_certificate(error: &(dyn StdError + 'static)) -> Option<String> {
    use rustls::CertificateError as E;
    let mut next = error.source();
    while let Some(error) = next {
        // The content of an I/O error is not among its sources.
        let inner = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        let rustls = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if let Some(rustls::Error::InvalidCertificate(reason)) = rustls {
            let remedy = match reason {
                E::NotValidForName | E::NotValidForNameContext { .. } => {
                    "Set HATCHET_CLIENT_TLS_SERVER_NAME to the name in the certificate"
                }
                E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => {
                    "Renew the engine's certificate, and check the clocks"
                }
                _ => "Set HATCHET_CLIENT_TLS_ROOT_CA_FILE to the PEM file of the authority that signed it",
            };
            return Some(format!("the engine's certificate is not accepted ({reason}). {remedy}"));
        }
        next = error.source();
    }
    None
}

/// The text of the innermost cause. The outer causes, such as tonic's "transport error", add nothing.
pub(in crate::hatchet) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientError({:?}, {:?})", self.kind, self.message)
    }
}

impl StdError for ClientError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_text_names_operation_cause_and_remedy_once() {
        let refused = ClientError::from_status("heartbeat", tonic::Status::unauthenticated("bad token"));
        let expected = "heartbeat failed: the engine refused the token (bad token). Set HATCHET_CLIENT_TOKEN to a token of \
                        this engine";
        assert_eq!(refused.to_string(), expected);
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let broken = ClientError::from_status("heartbeat", tonic::Status::from_error(Box::new(reset)));
        assert_eq!(broken.to_string(), "heartbeat failed: the connection broke (connection reset)");
        assert!(broken.is_from_connection() && StdError::source(&broken).is_none());
    }
}
