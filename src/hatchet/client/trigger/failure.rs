//! Classifies the failures of a trigger.
//!
//! A trigger must not be executed twice. So a failure is either proof that the engine has started nothing, or a lost
//! response, after which the client searches for the run (see [`super::lost_response`]):
//!
//! | failure | the run | the trigger |
//! |---|---|---|
//! | no connection could be made | not started | is repeated |
//! | the engine is at a limit, or refuses the token temporarily | not started | is repeated |
//! | a status by which an engine refuses a request | not started | fails |
//! | UNAVAILABLE of the embedded engine, marked as without effect | not started | fails |
//! | any other status: a gateway's 502, an engine that fails or restarts | may have started | is recovered |
//! | broken connection, timeout, response over the client's limit or invalid | may have started | is recovered |

use tonic::{Code, Status};

use crate::hatchet::{
    transport::{ClientError, Connection, ErrorKind},
    wire::MAY_TAKE_EFFECT,
};

/// Whether a trigger that failed with this error may have started its runs.
pub(crate) fn may_have_started(error: &ClientError) -> bool {
    if error.never_sent() {
        return false;
    }
    match error.status() {
        Some(_) if error.is_from_connection() => error.kind() != ErrorKind::Tls,
        Some(status) => !is_refusal(status),
        // Without a status, ErrorKind::Engine is an accepted call whose response is invalid.
        None => matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::Engine),
    }
}

/// Whether a failed trigger can be sent again: nothing was started, and the failure is temporary.
pub(in crate::hatchet::client) fn may_be_repeated(error: &ClientError) -> bool {
    let is_repeatable = error.never_sent() || matches!(error.kind(), ErrorKind::Exhausted | ErrorKind::AuthGracePeriod);
    is_repeatable && error.is_temporary() && !may_have_started(error)
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
        // OUT_OF_RANGE means a response over the client's own limit. An engine's limit is RESOURCE_EXHAUSTED.
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

/// Converts the status of a failed trigger to an error.
///
/// The embedded engine, and at times a real engine under load, refuses an unknown name as an invalid argument. Only the
/// text distinguishes this from other invalid arguments.
pub(in crate::hatchet::client) fn failed(
    connection: &Connection,
    call: &str,
    name: &str,
    status: Status,
) -> ClientError {
    if status.code() == Code::InvalidArgument && status.message().contains("workflow names not found") {
        let name = connection.config().namespaced(name);
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
        ClientError::new(kind, "triggering t failed").with_status(status)
    }

    #[test]
    fn each_code_is_classified() {
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
    fn effect_metadata_of_embedded_engine_is_read() {
        for (mark, expected) in [("true", true), ("false", false)] {
            let mut full = Status::unavailable("the disk is full");
            full.metadata_mut().insert(MAY_TAKE_EFFECT, mark.parse().unwrap());
            assert_eq!(may_have_started(&error(full)), expected);
        }
    }

    #[test]
    fn invalid_response_may_belong_to_a_started_run() {
        assert!(may_have_started(&ClientError::new(ErrorKind::Engine, "the response has fewer runs than the request")));
        assert!(!may_have_started(&ClientError::new(ErrorKind::TooLarge, "the input is too large")));
    }

    #[test]
    fn broken_connection_is_no_refusal() {
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
