//! The errors of child runs.

use std::{error::Error, sync::Arc};

use crate::hatchet::{task::CancelReason, wire::RunId};

/// The error of [`Context::run`](crate::hatchet::task::Context::run) and of the other calls that start children.
///
/// `?` converts it into a failure of the parent's attempt that may be retried. The next attempt gets the same child, so
/// a child that has failed fails every attempt: return [`TaskError::fatal`](crate::hatchet::task::TaskError::fatal) if
/// the parent cannot succeed without it.
///
/// ```
/// use hatchet_quickstart::{hatchet::task::ChildError, prelude::*};
///
/// fn is_final(error: &ChildError) -> bool {
///     matches!(error, ChildError::Failed { .. } | ChildError::Cancelled { .. })
/// }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// The call was invalid, or the engine refused it or did not respond. The source is the
    /// [`ClientError`](crate::hatchet::client::ClientError) of the call.
    #[error("{0}")]
    Call(#[source] Arc<dyn Error + Send + Sync>),
    /// The last attempt of the child failed, and no retry was left.
    #[error("child run {run} failed: {}", .error.lines().next().unwrap_or_default())]
    #[non_exhaustive]
    Failed {
        /// The id of the child's run.
        run: RunId,
        /// The error text: type, message, causes.
        error: String,
    },
    /// The child was cancelled, or no worker accepted it within its schedule timeout.
    #[error("child run {run} was cancelled{}", .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    #[non_exhaustive]
    Cancelled {
        /// The id of the child's run.
        run: RunId,
        /// The reason, if the engine has recorded one.
        reason: Option<String>,
    },
    /// The child completed, but its output does not match the expected type.
    #[error("child run {run} completed, but its output does not match the expected type: {reason}")]
    #[non_exhaustive]
    Output {
        /// The id of the child's run.
        run: RunId,
        /// The field and the mismatch.
        reason: String,
    },
    /// The attempt was cancelled while it waited for its child.
    #[error("the wait for child run {run} ended: {reason}")]
    #[non_exhaustive]
    ParentCancelled {
        /// The id of the child's run.
        run: RunId,
        /// The reason for the cancellation of the parent's attempt.
        reason: CancelReason,
    },
}

/// A call that was refused before it was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InvalidCall(String);

impl ChildError {
    /// Creates a [`ChildError::Call`] with this source.
    pub(in crate::hatchet) fn call(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Call(Arc::new(error))
    }

    /// Creates a [`ChildError::Call`] for a call that is not sent.
    pub(in crate::hatchet) fn invalid(message: String) -> Self {
        Self::call(InvalidCall(message))
    }
}
