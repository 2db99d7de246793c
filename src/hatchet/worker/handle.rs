//! The handle of a started worker, which observes and stops the worker.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    drain::DrainOutcome,
    health::{Counters, WorkerStats},
    labels::LabelStore,
    state::{Registration, WorkerState},
};
use crate::hatchet::{
    task::LabelValue,
    transport::{ClientError, ErrorKind},
};

/// A started worker. Dropping it without [`RunningWorker::stop`] ends the worker immediately and loses the outcomes of
/// running attempts.
#[derive(Debug)]
#[must_use = "dropping the handle ends the worker immediately"]
pub struct RunningWorker {
    pub(super) state: watch::Receiver<WorkerState>,
    pub(super) counters: Arc<Counters>,
    pub(super) labels: LabelStore,
    /// Starts the drain.
    pub(super) stop: CancellationToken,
    /// Ends the worker without a drain.
    pub(super) abort: CancellationToken,
    /// `None` once the result was taken.
    pub(super) result: Option<oneshot::Receiver<Result<DrainOutcome, ClientError>>>,
}

impl RunningWorker {
    /// Returns the worker's state, to read or to watch.
    pub fn state(&self) -> watch::Receiver<WorkerState> {
        self.state.clone()
    }

    /// Returns the current values of the worker's counters.
    pub fn stats(&self) -> WorkerStats {
        self.counters.snapshot()
    }

    /// Adds labels to the running worker, or changes their values. Labels are never removed. The engine applies them to
    /// later assignments; the worker keeps them when it registers again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for an empty key, [`ErrorKind::Engine`] if the worker has ended, and otherwise the error
    /// of the call: see [`ClientError::kind`]. After an error of the call, the labels apply from the next registration
    /// on.
    pub async fn set_labels(
        &self,
        labels: impl IntoIterator<Item = (impl Into<String>, impl Into<LabelValue>)>,
    ) -> Result<(), ClientError> {
        let labels = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.labels.change(labels).await
    }

    /// Waits until the worker receives work. Returns immediately if it already does.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunningWorker::ended`] if the worker ends before, and [`ErrorKind::Engine`] if it was
    /// stopped before.
    pub async fn listening(&mut self) -> Result<Registration, ClientError> {
        loop {
            if let WorkerState::Listening(registration) = &*self.state.borrow_and_update() {
                return Ok(registration.clone());
            }
            if self.state.changed().await.is_err() {
                return match self.ended().await {
                    Err(error) => Err(error),
                    Ok(_) => Err(engine_error("the worker was stopped before it was registered")),
                };
            }
        }
    }

    /// Waits until the worker ends without a stop, which happens only after an error that no retry can fix.
    ///
    /// # Errors
    ///
    /// - The error of the initial registration, after the waits of [`WorkerOptions::wait_for_engine`].
    /// - [`ErrorKind::Unauthenticated`] if the engine refuses the token. A token that it accepted before is retried for
    ///   90 s.
    /// - [`ErrorKind::Config`] if the server for health checks and metrics failed.
    /// - [`ErrorKind::Engine`] if an earlier call has returned the end, or the connection thread panicked.
    ///
    /// [`WorkerOptions::wait_for_engine`]: super::WorkerOptions::wait_for_engine
    pub async fn ended(&mut self) -> Result<DrainOutcome, ClientError> {
        let Some(receiver) = self.result.as_mut() else { return Err(engine_error("the worker has already ended")) };
        let result = receiver.await;
        self.result = None;
        result.unwrap_or_else(|_| Err(engine_error("the worker's connection thread ended unexpectedly")))
    }

    /// Drains the worker: accepts no more work, lets running attempts finish within [`WorkerOptions::grace`], reports
    /// their outcomes and unsubscribes. Attempts that miss the grace period are listed in the [`DrainOutcome`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunningWorker::ended`] if the worker ended before the drain.
    ///
    /// [`WorkerOptions::grace`]: super::WorkerOptions::grace
    pub async fn stop(mut self) -> Result<DrainOutcome, ClientError> {
        self.stop.cancel();
        self.ended().await
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.abort.cancel();
    }
}

fn engine_error(message: &str) -> ClientError {
    ClientError::new(ErrorKind::Engine, message)
}
