//! The errors of waiting for a run's output.

use std::fmt;

use super::ClientError;
use crate::hatchet::wire::{Failure, RunId};

/// The error of [`Client::run`](super::Client::run) and [`RunRef::result`](super::RunRef::result).
///
/// "The call failed" and "the run failed" are different variants: after [`RunError::Call`] the run may still be
/// running.
///
/// ```no_run
/// use hatchet_quickstart::prelude::*;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Input { name: String }
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Output { message: String }
/// # const STUB: Stub<Input, Output> = Stub::new("externally-triggered-task");
///
/// # async fn example(client: Client) {
/// match client.run(&STUB, &Input { name: "Ada".into() }).await {
///     Ok(output) => println!("{}", output.message),
///     Err(RunError::Failed(failure)) => println!("run {} failed: {}", failure.run(), failure.message()),
///     Err(RunError::Call(error)) if error.kind() == ErrorKind::Unreachable => println!("start the engine: {error}"),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A call to the engine failed. [`ClientError::kind`] returns the kind of failure.
    #[error(transparent)]
    Call(#[from] ClientError),
    /// The last attempt of the run failed, and no retry was left.
    #[error("run {run} failed: {failure}", run = .0.run(), failure = .0)]
    Failed(RunFailure),
    /// The run was cancelled, or no worker accepted it within its schedule timeout.
    #[error("run {run} was cancelled{}", .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    #[non_exhaustive]
    Cancelled {
        /// The id of the run, to find it on the dashboard.
        run: RunId,
        /// The reason, if the engine has recorded one.
        reason: Option<String>,
    },
    /// The run completed, but its output does not match the expected type.
    #[error("run {run} completed, but its output does not match the expected type: {reason}")]
    #[non_exhaustive]
    Output {
        /// The id of the run, to find it on the dashboard.
        run: RunId,
        /// The field and the mismatch.
        reason: String,
    },
}

/// The failure of a run: the error text that the worker or the engine reported for its last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFailure {
    run: RunId,
    text: String,
}

impl RunFailure {
    pub(super) fn new(run: RunId, text: String) -> Self {
        Self { run, text }
    }

    /// Returns the id of the failed run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The error's type, such as `ParseIntError`; `None` if the text has no type.
    pub fn type_name(&self) -> Option<&str> {
        Failure::parse(&self.text).type_name
    }

    /// The error's message, without its type and causes.
    pub fn message(&self) -> String {
        Failure::parse(&self.text).message.into_owned()
    }

    /// The number of the last attempt, from 1; `None` if the worker did not report it. Workers of this crate do.
    pub fn attempts(&self) -> Option<u32> {
        Failure::parse(&self.text).attempt
    }

    /// The whole error text: type, message, causes.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RunFailure {
    /// Type and message in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Failure::parse(&self.text).fmt(f)
    }
}

impl std::error::Error for RunFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_has_the_parts_of_its_text() {
        let text = "ParseIntError: invalid digit\nCaused by:\n    x\n    in task t, attempt 2".to_owned();
        let run = RunId::random();
        let failure = RunFailure::new(run, text.clone());
        assert_eq!(failure.type_name(), Some("ParseIntError"));
        assert_eq!(failure.message(), "invalid digit");
        assert_eq!(failure.attempts(), Some(2));
        assert_eq!(failure.text(), text);
        let expected = format!("run {run} failed: ParseIntError: invalid digit");
        assert_eq!(RunError::Failed(failure).to_string(), expected);
    }
}
