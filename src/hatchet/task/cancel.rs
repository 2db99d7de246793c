//! Cancellation of an attempt.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use tokio_util::sync::CancellationToken;

/// The reason for the cancellation of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// The engine cancelled the attempt: its run was cancelled, or it was reassigned to another worker.
    Requested,
    /// The attempt ran longer than its execution timeout.
    TimedOut,
    /// The worker is shutting down and its grace period has ended.
    Shutdown,
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "the engine requested it",
            Self::TimedOut => "the execution timeout has elapsed",
            Self::Shutdown => "the worker is shutting down",
        })
    }
}

/// Cancels an attempt and its context.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canceller {
    token: CancellationToken,
    reason: Arc<OnceLock<CancelReason>>,
}

impl Canceller {
    /// Cancels the attempt. Only the first call has an effect.
    pub(in crate::hatchet) fn cancel(&self, reason: CancelReason) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    /// Waits until the attempt is cancelled.
    pub(in crate::hatchet) async fn cancelled(&self) -> CancelReason {
        self.token.cancelled().await;
        self.reason.get().copied().unwrap_or(CancelReason::Requested)
    }

    /// Returns the reason for the cancellation, or `None` if the attempt is not cancelled.
    pub(in crate::hatchet) fn reason(&self) -> Option<CancelReason> {
        self.reason.get().copied()
    }

    /// Returns whether the attempt is cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }
}
