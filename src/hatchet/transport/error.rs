//! Why a call failed. That a run failed is not an error of a call: see [`RunOutcome`](crate::hatchet::client::RunOutcome).

use std::{error::Error as StdError, fmt, sync::Arc};

use tonic::Code;

use crate::hatchet::wire::{MAY_TAKE_EFFECT, RunId, TriggerId, proto::v1, read_detail};

type Source = Arc<dyn StdError + Send + Sync + 'static>;

/// A call that failed, with what to do about it in its message and what to match on in [`ClientError::kind`].
#[derive(Clone)]
pub struct ClientError {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting is missing or cannot be read.
    Config,
    /// Nothing answers at the address, or the connection broke.
    Unreachable,
    /// One side speaks TLS and the other does not, or a certificate is not trusted.
    Tls,
    /// The engine does not accept the token.
    Unauthenticated,
    /// The engine refuses the token that it accepted before, and may accept it again; or there is a new token, which
    /// the next call has.
    Doubted,
    /// The engine does not know the id or name.
    NotFound,
    /// The engine knew the run before, and does not know it any more.
    Lost,
    /// The engine refused the request as it is; sending it again changes nothing.
    Invalid,
    /// An idempotency key is taken. Holds the run that has it, where the engine said so.
    Duplicate(Option<RunId>),
    /// Whether a run was started is not known: the answer to its trigger was lost, and the run was not found. Holds
    /// what it is found by, should it have started: its value of [`TRIGGER_KEY`](crate::hatchet::client::TRIGGER_KEY).
    Unconfirmed(TriggerId),
    /// The message is larger than one side allows.
    TooLarge,
    /// The engine is at one of its limits: too many calls a second, or as many bytes as it may hold.
    Exhausted,
    /// The call took longer than allowed.
    TimedOut,
    /// The worker's stream is not open.
    StreamNotActive,
    /// This engine does not have the feature.
    Unsupported,
    /// The engine failed, or answered what cannot be read.
    Engine,
}

impl ClientError {
    /// An error with no cause below it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Keeps the cause, which is shown by those who print the whole chain.
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
            | ErrorKind::Doubted
            | ErrorKind::Exhausted
            | ErrorKind::TimedOut
            | ErrorKind::Engine => true,
            ErrorKind::Config
            | ErrorKind::Tls
            | ErrorKind::Unauthenticated
            | ErrorKind::NotFound
            | ErrorKind::Lost
            | ErrorKind::Invalid
            | ErrorKind::Duplicate(_)
            | ErrorKind::Unconfirmed(_)
            | ErrorKind::TooLarge
            | ErrorKind::StreamNotActive
            | ErrorKind::Unsupported => false,
        }
    }

    /// The same cause, seen as something else.
    pub(in crate::hatchet) fn into_kind(self, kind: ErrorKind, message: String) -> Self {
        Self { kind, message, source: self.source }
    }

    /// From what a call was answered. `call` is what was being done, such as `trigger task-a`. Only
    /// [`super::Connection`] calls it, which knows more of what a failure means.
    pub(in crate::hatchet) fn from_status(call: &str, status: tonic::Status) -> Self {
        let said = status.message();
        let (kind, message) = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => (
                ErrorKind::Unauthenticated,
                format!(
                    "{call}: the engine refused the token ({said}): set HATCHET_CLIENT_TOKEN to a token of this engine"
                ),
            ),
            Code::NotFound => (ErrorKind::NotFound, format!("{call}: {said}")),
            Code::InvalidArgument => (ErrorKind::Invalid, format!("{call}: {}", said.trim_end())),
            Code::OutOfRange => (ErrorKind::TooLarge, too_large(call, said)),
            Code::ResourceExhausted if said.contains("larger than max") || said.contains("too large") => {
                (ErrorKind::TooLarge, too_large(call, said))
            }
            Code::ResourceExhausted => (ErrorKind::Exhausted, format!("{call}: the engine is at a limit: {said}")),
            Code::AlreadyExists => {
                let taken = existing_run(&status);
                let by = taken.map(|run| format!(" by run {run}")).unwrap_or_default();
                (ErrorKind::Duplicate(taken), format!("{call}: the idempotency key is taken{by} ({said})"))
            }
            Code::DeadlineExceeded => (ErrorKind::TimedOut, format!("{call}: no answer in time ({said})")),
            Code::FailedPrecondition => (ErrorKind::StreamNotActive, format!("{call}: {said}")),
            Code::Unimplemented => (ErrorKind::Unsupported, format!("{call}: this engine does not have it ({said})")),
            Code::Unavailable if let Some(why) = distrust(&status) => (ErrorKind::Tls, format!("{call}: {why}")),
            // What the engine itself says, or a proxy before it, such as that its disk is full.
            Code::Unavailable if StdError::source(&status).is_none() => {
                (ErrorKind::Unreachable, format!("{call}: the engine cannot serve at present: {said}"))
            }
            Code::Unavailable => {
                (ErrorKind::Unreachable, format!("{call}: the engine cannot be reached ({})", root(&status)))
            }
            // A connection that breaks under a call shows as one of these with a transport cause.
            Code::Unknown | Code::Cancelled | Code::Internal if StdError::source(&status).is_some() => {
                (ErrorKind::Unreachable, format!("{call}: the connection broke ({})", root(&status)))
            }
            Code::Ok | Code::Cancelled | Code::Unknown | Code::Aborted | Code::Internal | Code::DataLoss => {
                (ErrorKind::Engine, format!("{call}: the engine failed: {said} ({:?})", status.code()))
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

fn too_large(call: &str, said: &str) -> String {
    format!(
        "{call}: the message is too large ({said}): send less, or raise the engine's limit and \
         HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH / …_RECV_MESSAGE_LENGTH"
    )
}

/// Why the server's certificate is not accepted, if that is among the causes of an error, and what to set.
pub(in crate::hatchet) fn distrust(error: &(dyn StdError + 'static)) -> Option<String> {
    use rustls::CertificateError as E;
    let mut cause = error.source();
    while let Some(error) = cause {
        // An I/O error does not count its content among its sources.
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
        cause = error.source();
    }
    None
}

/// The innermost cause in words: tonic's own message is only "transport error".
fn root(status: &tonic::Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = StdError::source(status);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
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
    /// None: the message already says the cause; [`fmt::Debug`] and logs have the rest.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        None
    }
}

impl ClientError {
    /// What lies below, for those who want to look.
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    /// The engine's status, if the failure is one.
    pub(in crate::hatchet) fn status(&self) -> Option<&tonic::Status> {
        self.cause().and_then(|cause| cause.downcast_ref())
    }

    /// Whether the request was sent, or may have been, and no answer came: the connection broke, or the time was over.
    /// So it is too where the embedded engine answers that it has done what was asked and could not keep it yet.
    pub(in crate::hatchet) fn answer_was_lost(&self) -> bool {
        // An answer over the client's own limit came and is not read; an engine's limit is RESOURCE_EXHAUSTED.
        let unread = |status: &tonic::Status| status.code() == Code::OutOfRange;
        if self.status().is_some_and(|status| unread(status) || status.metadata().contains_key(MAY_TAKE_EFFECT)) {
            return true;
        }
        let broke = || self.status().is_some_and(|status| StdError::source(status).is_some());
        match self.kind {
            ErrorKind::TimedOut => true,
            ErrorKind::Unreachable => broke() && !self.never_sent(),
            _ => false,
        }
    }

    /// Whether the request certainly never left: the connection could not be made.
    pub fn never_sent(&self) -> bool {
        let mut cause: Option<&(dyn StdError + 'static)> = self.cause().map(|c| c as _);
        while let Some(error) = cause {
            if error.downcast_ref::<tonic::ConnectError>().is_some() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_that_may_take_effect_is_a_lost_answer() {
        let refused = || tonic::Status::unavailable("the disk is full");
        assert!(!ClientError::from_status("trigger t", refused()).answer_was_lost());
        let mut done = refused();
        done.metadata_mut().insert(MAY_TAKE_EFFECT, "true".parse().unwrap());
        assert!(ClientError::from_status("trigger t", done).answer_was_lost());
        assert!(ClientError::from_status("trigger t", tonic::Status::out_of_range("40 of 20")).answer_was_lost());
        let full = tonic::Status::resource_exhausted("received message larger than max");
        assert!(!ClientError::from_status("trigger t", full).answer_was_lost());
    }
}
