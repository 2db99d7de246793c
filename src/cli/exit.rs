//! Exit codes, and the one line that goes with a failure.

use std::process::ExitCode;

use crate::hatchet::client::{ClientError, ErrorKind};

/// Why a command ended without success.
#[derive(Debug)]
pub struct Exit {
    code: u8,
    message: Option<String>,
}

/// The codes, for `--help`; README has the same table and a test compares the two.
pub(super) const CODES: &str = "Exit codes: 0 completed, 1 the run failed, 2 wrong use, 3 cancelled, 4 timed out, \
                                5 the engine cannot be reached or does not allow it, 6 the engine has lost the run, \
                                7 not known whether a run started, 8 no worker has registered the task, \
                                130 interrupted.";

impl Exit {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// The run failed.
    pub(super) fn run_failed() -> Self {
        Self { code: 1, message: None }
    }

    /// Runs failed, which a line says.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(1, message)
    }

    /// Wrong use: arguments, settings, input.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(2, message)
    }

    /// The run was cancelled.
    pub(super) fn cancelled() -> Self {
        Self { code: 3, message: None }
    }

    /// The time limit of the command is over.
    pub(super) fn timed_out(message: impl Into<String>) -> Self {
        Self::new(4, message)
    }

    /// The engine cannot be reached, or does not allow it.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(5, message)
    }

    /// Whether a run was started is not known.
    pub(super) fn unconfirmed(message: impl Into<String>) -> Self {
        Self::new(7, message)
    }

    /// The engine does not know the task: no worker has registered it.
    pub(super) fn not_registered(message: impl Into<String>) -> Self {
        Self::new(8, message)
    }

    /// A signal.
    pub(super) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(130, message)
    }

    /// Nobody reads any more, as with `runner … | head -1`: an end without a word, and no failure.
    pub(super) fn reader_gone() -> Self {
        Self { code: 0, message: None }
    }

    /// Why, in a line; empty where it was said already.
    pub(super) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// Prints the message and gives the code.
    pub fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            super::output::complain(&format!("error: {message}"));
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
