//! The error of a failed call.
//!
//! A [`ClientError`] says that a call failed, not that a run failed: see
//! [`RunOutcome`](crate::hatchet::client::RunOutcome). It is made from a gRPC status by [`ClientError::from_status`],
//! which tells apart three origins of the same status code: the engine itself, a component between (a proxy), and the
//! connection, whose statuses have a source.

use std::{error::Error as StdError, fmt, sync::Arc};

use tonic::Code;

use crate::hatchet::wire::{RunId, TriggerId, proto::v1, read_detail};

type Source = Arc<dyn StdError + Send + Sync + 'static>;

/// A failed call. Its message says what to do; [`ClientError::kind`] is for matching, and
/// [`source`](StdError::source) is the cause.
#[derive(Clone)]
pub struct ClientError {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
}

/// The kind of a [`ClientError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting is missing or invalid.
    Config,
    /// Nothing answers at the address, or the connection broke.
    Unreachable,
    /// One side speaks TLS and the other does not, or a certificate is not trusted.
    Tls,
    /// The engine does not accept the token.
    Unauthenticated,
    /// The engine refuses a token that it accepted before, and the grace period for that is not over; or a new token was
    /// found, which the next call sends.
    AuthGracePeriod,
    /// The engine does not know the id or name.
    NotFound,
    /// The engine knew the run before, and does not know it any more.
    RunLost,
    /// The engine refused the request. Sending it again changes nothing.
    Invalid,
    /// The idempotency key is taken. Holds the run that has it, if the engine named it.
    Duplicate(Option<RunId>),
    /// It is unknown whether a run was started: the response to its trigger was lost, and the run was not found. Holds
    /// its value of [`TRIGGER_KEY`](crate::hatchet::client::TRIGGER_KEY), by which the run can be found if it started.
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
    /// The engine failed, or its response cannot be read.
    Engine,
}

impl ClientError {
    /// An error without a source.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// An [`ErrorKind::Config`] error without a source.
    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What to match on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
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
        let mut next = StdError::source(self);
        while let Some(error) = next {
            if error.downcast_ref::<tonic::ConnectError>().is_some() {
                return true;
            }
            next = error.source();
        }
        false
    }

    /// Whether the status was made by the transport, as for a connection that broke, and not by the engine.
    pub(in crate::hatchet) fn is_from_connection(&self) -> bool {
        self.status().is_some_and(|status| status.source().is_some())
    }

    /// The gRPC status, if the error was made from one.
    pub(in crate::hatchet) fn status(&self) -> Option<&tonic::Status> {
        self.source.as_deref().and_then(|source| source.downcast_ref())
    }

    /// The same source with another kind and message.
    pub(in crate::hatchet) fn into_kind(self, kind: ErrorKind, message: String) -> Self {
        Self { kind, message, source: self.source }
    }

    /// Classifies the status of a failed call. `call` says what was being done, such as `trigger task-a`. Only
    /// [`Connection::call_error`](super::Connection::call_error) calls this: it knows what the failure means for the
    /// connection.
    pub(super) fn from_status(call: &str, status: tonic::Status) -> Self {
        let text = status.message();
        let (kind, message) = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => (
                ErrorKind::Unauthenticated,
                format!(
                    "{call}: the engine refused the token ({text}): set HATCHET_CLIENT_TOKEN to a token of this engine"
                ),
            ),
            Code::NotFound => (ErrorKind::NotFound, format!("{call}: {text}")),
            Code::InvalidArgument => (ErrorKind::Invalid, format!("{call}: {}", text.trim_end())),
            Code::OutOfRange => (ErrorKind::TooLarge, too_large(call, text)),
            Code::ResourceExhausted if text.contains("larger than max") || text.contains("too large") => {
                (ErrorKind::TooLarge, too_large(call, text))
            }
            Code::ResourceExhausted => (ErrorKind::Exhausted, format!("{call}: the engine is at a limit: {text}")),
            Code::AlreadyExists => {
                let holder = existing_run(&status);
                let by = holder.map(|run| format!(" by run {run}")).unwrap_or_default();
                (ErrorKind::Duplicate(holder), format!("{call}: the idempotency key is taken{by} ({text})"))
            }
            Code::DeadlineExceeded => (ErrorKind::TimedOut, format!("{call}: no response in time ({text})")),
            Code::FailedPrecondition => (ErrorKind::StreamNotActive, format!("{call}: {text}")),
            Code::Unimplemented => {
                (ErrorKind::Unsupported, format!("{call}: this engine does not support the call ({text})"))
            }
            Code::Unavailable if let Some(why) = untrusted_certificate(&status) => {
                (ErrorKind::Tls, format!("{call}: {why}"))
            }
            // From the engine, such as that its disk is full, or from a proxy before it.
            Code::Unavailable if status.source().is_none() => {
                (ErrorKind::Unreachable, format!("{call}: the engine cannot serve at the moment: {text}"))
            }
            Code::Unavailable => {
                (ErrorKind::Unreachable, format!("{call}: the engine cannot be reached ({})", root_cause(&status)))
            }
            // A connection that breaks during a call has one of these codes and a source.
            Code::Unknown | Code::Cancelled | Code::Internal if status.source().is_some() => {
                (ErrorKind::Unreachable, format!("{call}: the connection broke ({})", root_cause(&status)))
            }
            Code::Ok | Code::Cancelled | Code::Unknown | Code::Aborted | Code::Internal | Code::DataLoss => {
                (ErrorKind::Engine, format!("{call}: the engine failed: {text} ({:?})", status.code()))
            }
        };
        Self::new(kind, message).with_source(status)
    }
}

/// The run that holds an idempotency key, from the refusal of a trigger.
fn existing_run(status: &tonic::Status) -> Option<RunId> {
    let collision: v1::IdempotencyCollisionError = read_detail(status.details(), "v1.IdempotencyCollisionError")?;
    collision.existing_run_external_id.parse().ok()
}

fn too_large(call: &str, text: &str) -> String {
    format!(
        "{call}: the message is too large ({text}): send less, or raise the engine's limit and \
         HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH / …_RECV_MESSAGE_LENGTH"
    )
}

/// Why the server's certificate is not trusted, if that is among the causes of an error, and the setting to change.
pub(in crate::hatchet) fn untrusted_certificate(error: &(dyn StdError + 'static)) -> Option<String> {
    use rustls::CertificateError as E;
    let mut next = error.source();
    while let Some(error) = next {
        // The content of an I/O error is not among its sources.
        let inner = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        let rustls = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if let Some(rustls::Error::InvalidCertificate(why)) = rustls {
            let remedy = match why {
                E::NotValidForName | E::NotValidForNameContext { .. } => {
                    "set HATCHET_CLIENT_TLS_SERVER_NAME to the name in the certificate"
                }
                E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => {
                    "renew the engine's certificate, and check the clocks"
                }
                _ => "set HATCHET_CLIENT_TLS_ROOT_CA_FILE to the PEM file of the authority that signed it",
            };
            return Some(format!("the engine's certificate is not accepted ({why}): {remedy}"));
        }
        next = error.source();
    }
    None
}

/// The text of the innermost cause. Those around it, such as tonic's "transport error", only say that something failed.
fn root_cause(status: &tonic::Status) -> String {
    let mut text = status.message().to_owned();
    let mut next = status.source();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    text
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

impl StdError for ClientError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
