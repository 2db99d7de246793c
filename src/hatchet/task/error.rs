//! Why a task failed, and whether it is worth another try.

use std::fmt;

use super::context::CancelReason;

/// A task's failure. `?` makes one out of any error, and such a failure may be retried (as often as the task's
/// options say); [`TaskError::fatal`] makes one that never is.
pub struct TaskError {
    retry: Retry,
    type_name: &'static str,
    error: anyhow::Error,
}

/// Whether a failed attempt may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// As often as the task's `retries` say.
    Allowed,
    /// Never: the run fails now.
    Never,
    /// The body stopped because it was cancelled; there is nothing to report.
    Cancelled(CancelReason),
}

/// An input or output that does not fit the task's type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}`: {reason}")]
pub struct BadInput {
    field: String,
    reason: String,
}

impl BadInput {
    pub(super) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }

    /// The path of the field, `.` for the whole.
    pub fn field(&self) -> &str {
        &self.field
    }
}

impl TaskError {
    /// A failure that is final whatever the task's `retries` say.
    pub fn fatal<E: Into<anyhow::Error>>(error: E) -> Self {
        Self { retry: Retry::Never, ..Self::from(error) }
    }

    /// A failure with just a message; it may be retried.
    pub fn msg(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { retry: Retry::Allowed, type_name: "TaskError", error: anyhow::Error::msg(message) }
    }

    /// A failure with just a message that is final.
    pub fn fatal_msg(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { retry: Retry::Never, ..Self::msg(message) }
    }

    /// What a body returns when it stops because it was cancelled.
    pub fn cancelled(reason: CancelReason) -> Self {
        Self { retry: Retry::Cancelled(reason), ..Self::msg(format!("cancelled: {reason}")) }
    }

    /// Whether the attempt may be tried again.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// The failure as Hatchet's SDKs write it: `Type: message` on the first line, then the causes.
    ///
    /// Newlines in the message stand as backslash and newline, as in the Python SDK, whose reader takes the first
    /// line for the message.
    pub fn report(&self) -> String {
        use fmt::Write as _;
        let mut text = format!("{}: {}", self.type_name, self.error.to_string().replace('\n', "\\\n"));
        for (depth, cause) in self.error.chain().skip(1).enumerate() {
            if depth == 0 {
                text.push_str("\nCaused by:");
            }
            let _ = write!(text, "\n    {cause}");
        }
        text
    }
}

impl<E: Into<anyhow::Error>> From<E> for TaskError {
    fn from(error: E) -> Self {
        // `alloc::string::ParseError<T>` reads `ParseError`.
        let name = std::any::type_name::<E>();
        let name = name.split('<').next().unwrap_or(name);
        let type_name = name.rsplit("::").next().unwrap_or(name);
        Self { retry: Retry::Allowed, type_name, error: error.into() }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.report(), self.retry)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<i32, TaskError> {
        Ok(text.parse::<i32>()?)
    }

    #[test]
    fn question_mark_keeps_type_and_message() {
        let error = parse("x").unwrap_err();
        assert_eq!(error.retry(), Retry::Allowed);
        assert_eq!(error.report(), "ParseIntError: invalid digit found in string");
    }

    #[test]
    fn causes_follow_and_newlines_do_not_cut_the_message() {
        let error = anyhow::anyhow!("inner").context("two\nlines");
        let error: TaskError = error.into();
        assert_eq!(error.report(), "Error: two\\\nlines\nCaused by:\n    inner");
    }

    #[test]
    fn fatal_is_never_retried() {
        assert_eq!(TaskError::fatal("1x".parse::<u8>().unwrap_err()).retry(), Retry::Never);
    }
}
