//! The handle of a started worker.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    drain::DrainOutcome,
    health::{Counters, WorkerStats},
    state::{Registration, WorkerState},
};
use crate::hatchet::transport::{ClientError, ErrorKind};

/// A started worker. Dropping it without [`RunningWorker::stop`] ends the worker immediately and loses the outcomes of
/// running attempts.
#[derive(Debug)]
#[must_use = "dropping the handle ends the worker at once"]
pub struct RunningWorker {
    pub(super) state: watch::Receiver<WorkerState>,
    pub(super) counters: Arc<Counters>,
    /// Starts the drain.
    pub(super) stop: CancellationToken,
    /// Ends the worker without a drain.
    pub(super) abort: CancellationToken,
    /// `None` once the result was taken.
    pub(super) result: Option<oneshot::Receiver<Result<DrainOutcome, ClientError>>>,
}

impl RunningWorker {
    /// The worker's state, to read or to watch.
    pub fn state(&self) -> watch::Receiver<WorkerState> {
        self.state.clone()
    }

    /// The current values of the worker's counters.
    pub fn stats(&self) -> WorkerStats {
        self.counters.snapshot()
    }

    /// Waits until the worker receives work for the first time. Fails if the worker ends before.
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

    /// Waits until the worker ends by itself, which it does only on an error that a retry cannot fix.
    pub async fn ended(&mut self) -> Result<DrainOutcome, ClientError> {
        let Some(result) = self.result.as_mut() else { return Err(engine_error("the worker has already ended")) };
        let ended = result.await;
        self.result = None;
        ended.unwrap_or_else(|_| Err(engine_error("the worker's connection thread ended unexpectedly")))
    }

    /// Drains the worker: accepts no more work, lets running attempts finish within [`WorkerOptions::grace`], reports
    /// their outcomes and unregisters.
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
