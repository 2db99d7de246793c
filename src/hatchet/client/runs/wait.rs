//! The wait for one run.

use super::RunOutcome;
use crate::hatchet::{client::RunRef, transport::ClientError};

impl<O> RunRef<O> {
    /// Waits until the run has finished.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::NotFound`](super::super::ErrorKind::NotFound) after 10 s in which the engine does not know the run;
    ///   after 2 s for an id from [`Client::run_ref`](super::super::Client::run_ref).
    /// - [`ErrorKind::RunLost`](super::super::ErrorKind::RunLost) after 10 s in which the engine no longer knows the run.
    /// - [`ErrorKind::Unreachable`](super::super::ErrorKind::Unreachable), or the engine's own error, after 5 minutes
    ///   without a useful answer. An engine that asks to slow down is waited for without limit.
    /// - At once if the engine refuses the token.
    pub async fn outcome(&self) -> Result<RunOutcome, ClientError> {
        self.client().watcher().outcome(self.id(), self.recognition().clone()).await
    }
}
