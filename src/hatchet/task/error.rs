//! Failures of a task, and which of them may be retried.

use std::{any::type_name, error::Error, fmt, time::Duration};

use super::cancel::CancelReason;
use crate::hatchet::wire::failure_text;

type BoxError = Box<dyn Error + Send + Sync>;

/// The failure of a task.
///
/// `?` converts any error into a failure that may be retried, as often as the task's [`retries`](super::Task::retries)
/// allow. [`TaskError::fatal`] returns a failure that is never retried, [`TaskError::retry_after`] a failure with a
/// delay before its retry.
///
/// ```
/// use hatchet_quickstart::prelude::*;
///
/// fn parse(text: &str) -> Result<i64, TaskError> {
///     if text.is_empty() {
///         return Err(TaskError::fatal("the text is empty")); // the same input would fail again
///     }
///     Ok(text.parse()?) // fails this attempt, which may be retried
/// }
/// ```
///
/// `TaskError` itself does not implement [`Error`]: otherwise `?` could not convert every other error.
pub struct TaskError {
    retry: Retry,
    type_name: &'static str,
    error: BoxError,
}

/// Whether a failed attempt may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// The attempt is retried as often as the task's `retries` allow.
    Allowed,
    /// As often as the task's `retries` allow, each after this delay instead of the task's backoff.
    After(Duration),
    /// Never: the run fails now.
    Never,
    /// The body stopped because it was cancelled; no failure is reported.
    Cancelled(CancelReason),
}

/// An input or output that does not fit the task's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadInput {
    field: String,
    reason: String,
}

impl Error for BadInput {}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "." => f.write_str(&self.reason),
            field => write!(f, "field `{field}`: {}", self.reason),
        }
    }
}

impl BadInput {
    pub(super) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }

    /// Returns the path of the field, such as `customer.name`; `.` for the whole value.
    pub fn field(&self) -> &str {
        &self.field
    }
}

impl TaskError {
    /// Returns a failure that may be retried, from a message, a boxed error or an `anyhow::Error`. For a type that
    /// implements [`Error`], `?` is enough.
    pub fn new<E: Into<BoxError>>(error: E) -> Self {
        Self { retry: Retry::Allowed, type_name: short_name::<E>(), error: error.into() }
    }

    /// Returns a failure that is never retried, from an error or a message. Use it if every attempt would fail in the
    /// same way.
    pub fn fatal<E: Into<BoxError>>(error: E) -> Self {
        Self { retry: Retry::Never, ..Self::new(error) }
    }

    /// Returns a failure that may be retried after a delay, which replaces the task's backoff. The retry counts against
    /// the task's `retries`. The delay is rounded up to milliseconds. Engine v0.111.0 and later; an earlier engine
    /// applies the backoff.
    ///
    /// ```
    /// # use hatchet_quickstart::prelude::*;
    /// # use std::time::Duration;
    /// fn too_many_requests(wait: Duration) -> TaskError {
    ///     TaskError::retry_after("the API is at its limit", wait)
    /// }
    /// assert_eq!(too_many_requests(Duration::from_secs(30)).retry(), Retry::After(Duration::from_secs(30)));
    /// ```
    pub fn retry_after<E: Into<BoxError>>(error: E, delay: Duration) -> Self {
        Self { retry: Retry::After(delay), ..Self::new(error) }
    }

    /// Returns the error of a body that stops because it was cancelled, as
    /// [`Context::check_cancelled`](super::Context::check_cancelled) does.
    pub fn cancelled(reason: CancelReason) -> Self {
        Self { retry: Retry::Cancelled(reason), ..Self::new(format!("cancelled: {reason}")) }
    }

    /// Returns whether the attempt may be retried.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// Returns the underlying error, with its chain of sources.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }

    /// Returns the failure in the format of Hatchet's SDKs: `Type: message` on the first line, then the chain of
    /// sources.
    pub(super) fn report(&self) -> String {
        use fmt::Write as _;
        let mut text = failure_text(self.type_name, &self.error.to_string());
        let mut source = self.error.source();
        if source.is_some() {
            text.push_str("\nCaused by:");
        }
        while let Some(cause) = source {
            let _ = write!(text, "\n    {cause}");
            source = cause.source();
        }
        text
    }
}

/// Returns the last segment of a type's path without parameters, or `TaskError` for types that contain only a message.
fn short_name<E>() -> &'static str {
    let path = type_name::<E>();
    let path = path.split('<').next().unwrap_or(path);
    match path.rsplit("::").next().unwrap_or(path) {
        "&str" | "String" | "Cow" | "Box" => "TaskError",
        name => name,
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self::new(error)
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
    fn question_mark_preserves_type_and_message() {
        let error = parse("x").unwrap_err();
        assert_eq!(error.retry(), Retry::Allowed);
        assert_eq!(error.report(), "ParseIntError: invalid digit found in string");
    }

    #[test]
    fn message_is_reported_with_its_causes() {
        let error = TaskError::new(anyhow::anyhow!("inner").context("two\nlines"));
        assert_eq!(error.report(), "Error: two\\\nlines\nCaused by:\n    inner");
        assert_eq!(TaskError::new("text").report(), "TaskError: text");
        assert_eq!(TaskError::new(format!("{} texts", 2)).report(), "TaskError: 2 texts");
    }

    #[test]
    fn fatal_error_is_never_retried() {
        assert_eq!(TaskError::fatal("1x".parse::<u8>().unwrap_err()).retry(), Retry::Never);
        assert_eq!(TaskError::fatal("for good").retry(), Retry::Never);
    }
}
