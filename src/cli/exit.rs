//! Exit codes, and the error line that is printed with a failure.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::hatchet::client::{ClientError, ErrorKind};

/// The end of a command without success.
#[derive(Debug)]
pub struct Exit {
    code: u8,
    /// `None` if the failure was printed already.
    message: Option<String>,
}

/// The exit codes, for `--help`. A test compares them with the documentation.
pub(super) const CODES: &str = "Exit codes: 0 completed, 1 the run failed, 2 wrong use, 3 cancelled, 4 timed out, \
                                5 the engine cannot be reached or does not allow it, 6 the engine has lost the run, \
                                7 not known whether a run started, 8 no worker has registered the task, \
                                130 interrupted.";

/// The end of a command's short help: examples, then the exit codes.
pub(super) fn help(examples: &str) -> String {
    format!("{examples}\n\n{CODES}")
}

impl Exit {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// The run failed; its error was printed.
    pub(super) fn run_failed() -> Self {
        Self { code: 1, message: None }
    }

    /// Runs failed.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(1, message)
    }

    /// Invalid arguments, settings or input.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(2, message)
    }

    /// The run was cancelled.
    pub(super) fn cancelled() -> Self {
        Self { code: 3, message: None }
    }

    /// The time limit of the command passed.
    pub(super) fn timed_out(message: impl Into<String>) -> Self {
        Self::new(4, message)
    }

    /// The engine cannot be reached, or refuses the request.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(5, message)
    }

    /// A call failed, and probing the engine's address has not shown the reason.
    pub(super) fn from_call(error: ClientError, address: &str) -> Self {
        if error.kind() != ErrorKind::TimedOut {
            return error.into();
        }
        Self::unreachable(format!(
            "{error}. {address} accepts connections. If it is an engine, see its log; otherwise set \
             HATCHET_CLIENT_HOST_PORT to the engine's gRPC port"
        ))
    }

    /// Whether a run started is unknown.
    pub(super) fn unconfirmed(message: impl Into<String>) -> Self {
        Self::new(7, message)
    }

    /// No worker has registered the task with the engine.
    pub(super) fn not_registered(message: impl Into<String>) -> Self {
        Self::new(8, message)
    }

    /// A signal ended the command.
    pub(super) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(130, message)
    }

    /// The reader of stdout has closed it, as in `runner … | head -1`. This is not a failure.
    pub(super) fn reader_gone() -> Self {
        Self { code: 0, message: None }
    }

    /// The error line. Empty if the failure was printed already.
    pub(super) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// Prints the error line and returns the exit code.
    pub fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            // If stderr is closed, the exit code is all that remains.
            let _ = writeln!(io::stderr().lock(), "error: {message}");
        }
        ExitCode::from(self.code)
    }
}

impl From<ClientError> for Exit {
    fn from(error: ClientError) -> Self {
        let code = match error.kind() {
            ErrorKind::Config
            | ErrorKind::NotFound
            | ErrorKind::Invalid
            | ErrorKind::Duplicate(_)
            | ErrorKind::TooLarge => 2,
            ErrorKind::RunLost => 6,
            ErrorKind::Unconfirmed(_) => 7,
            ErrorKind::TimedOut
            | ErrorKind::Unreachable
            | ErrorKind::Tls
            | ErrorKind::Unauthenticated
            | ErrorKind::AuthGracePeriod
            | ErrorKind::Exhausted
            | ErrorKind::StreamNotActive
            | ErrorKind::Unsupported
            | ErrorKind::Engine => 5,
        };
        Self::new(code, error.to_string())
    }
}
