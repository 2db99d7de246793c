//! The failures of a trigger, by what they say about the run.
//!
//! A trigger must not be executed twice, so a failure is either proof that the engine has started nothing, or a lost
//! response, whose run is then looked for (see [`super::lost_response`]):
//!
//! | failure | the run |
//! |---|---|
//! | no connection could be made | not started: repeated |
//! | the engine is at a limit, or refuses the token for now | not started: repeated |
//! | a status by which an engine refuses a request | not started |
//! | UNAVAILABLE of the embedded engine that says that nothing was done | not started |
//! | any other status: a gateway's 502, an engine that fails or restarts | may have started |
//! | broken connection, timeout, response over the client's limit | may have started |

use tonic::{Code, Status};

use crate::hatchet::{
    transport::{ClientError, Connection, ErrorKind},
    wire::MAY_TAKE_EFFECT,
};

/// Whether a trigger that failed with this error may have started its runs.
pub(super) fn may_have_started(error: &ClientError) -> bool {
    if error.never_sent() {
        return false;
    }
    match error.status() {
        Some(_) if error.is_from_connection() => error.kind() != ErrorKind::Tls,
        Some(status) => !is_refusal(status),
        None => matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut),
    }
}

/// Whether a failed trigger can be sent again: nothing was started, and the failure may pass.
pub(super) fn may_be_repeated(error: &ClientError) -> bool {
    let may_pass = error.never_sent() || matches!(error.kind(), ErrorKind::Exhausted | ErrorKind::AuthGracePeriod);
    may_pass && error.is_temporary() && !may_have_started(error)
}

/// Whether a status proves that the request was not executed.
fn is_refusal(status: &Status) -> bool {
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::ResourceExhausted
        | Code::Unimplemented => true,
        Code::Unavailable => status.metadata().get(MAY_TAKE_EFFECT).is_some_and(|may| may == "false"),
        // OUT_OF_RANGE is a response over the client's own limit; an engine's limit is RESOURCE_EXHAUSTED.
        Code::OutOfRange
        | Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss => false,
    }
}

/// The error of a failed trigger.
///
/// The embedded engine looks the name up at once, and a real engine under load does so at times. Only the text tells that
/// from other invalid arguments.
pub(super) fn failed(connection: &Connection, call: &str, name: &str, status: Status) -> ClientError {
    if status.code() == Code::InvalidArgument && status.message().contains("workflow names not found") {
        let message =
            format!("{call} failed: the engine has no workflow of this name. Start a worker that registers {name}");
        return ClientError::new(ErrorKind::NotFound, message).with_status(status);
    }
    connection.call_error(call, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: Status) -> ClientError {
        let kind = match status.code() {
            Code::ResourceExhausted => ErrorKind::Exhausted,
            _ => ErrorKind::Engine,
        };
        ClientError::new(kind, "trigger t").with_status(status)
    }

    #[test]
    fn each_code_has_its_meaning() {
        for (code, expected) in [
            (Code::InvalidArgument, false),
            (Code::NotFound, false),
            (Code::AlreadyExists, false),
            (Code::PermissionDenied, false),
            (Code::Unauthenticated, false),
            (Code::FailedPrecondition, false),
            (Code::ResourceExhausted, false),
            (Code::Unimplemented, false),
            // 502, 503 and 504 of a gateway.
            (Code::Unavailable, true),
            // 500 of a gateway.
            (Code::Unknown, true),
            (Code::Internal, true),
            (Code::Aborted, true),
            (Code::Cancelled, true),
            (Code::DataLoss, true),
            (Code::DeadlineExceeded, true),
            (Code::OutOfRange, true),
        ] {
            assert_eq!(may_have_started(&error(Status::new(code, "no"))), expected, "{code:?}");
        }
    }

    #[test]
    fn embedded_engine_says_whether_it_took_effect() {
        for (said, expected) in [("true", true), ("false", false)] {
            let mut full = Status::unavailable("the disk is full");
            full.metadata_mut().insert(MAY_TAKE_EFFECT, said.parse().unwrap());
            assert_eq!(may_have_started(&error(full)), expected);
        }
    }

    #[test]
    fn broken_connection_is_no_refusal_whatever_its_code() {
        let broken = || Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(may_have_started(&error(Status::from_error(broken()))));
        // The transport's code for a reset stream with ENHANCE_YOUR_CALM.
        let mut calm = Status::resource_exhausted("h2");
        calm.set_source(std::sync::Arc::from(broken() as Box<dyn std::error::Error + Send + Sync>));
        assert!(may_have_started(&error(calm.clone())));
        assert!(!may_be_repeated(&error(calm)));
        assert!(may_be_repeated(&error(Status::resource_exhausted("the engine is full"))));
    }
}
