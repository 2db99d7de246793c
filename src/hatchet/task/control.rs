//! Requests of a body to the engine about its own attempt.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

/// Maximum number of requests that wait to be sent. A further one waits in its caller.
const MAX_QUEUED_CONTROLS: usize = 8;

/// A request, with the sender of its result.
pub(in crate::hatchet) struct Control {
    pub(in crate::hatchet) kind: ControlKind,
    result: oneshot::Sender<Result<(), String>>,
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hatchet) enum ControlKind {
    /// Extends the execution timeout by this time.
    RefreshTimeout(Duration),
    /// Returns the attempt's slots while its body continues.
    ReleaseSlot,
    /// Cancels the task run.
    Cancel,
}

impl Control {
    /// Returns the result to the body, if it still waits.
    pub(in crate::hatchet) fn finish(self, result: Result<(), String>) {
        let _ = self.result.send(result);
    }
}

/// The requests of an attempt. Without a worker that receives them, as in a test of a body, each request succeeds.
pub(super) struct Controls {
    requests: mpsc::Sender<Control>,
    /// `None` once a worker has taken it.
    receiver: Mutex<Option<mpsc::Receiver<Control>>>,
}

impl Controls {
    pub(super) fn new() -> Self {
        let (requests, receiver) = mpsc::channel(MAX_QUEUED_CONTROLS);
        Self { requests, receiver: Mutex::new(Some(receiver)) }
    }

    fn receiver(&self) -> MutexGuard<'_, Option<mpsc::Receiver<Control>>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the receiver. `None` if it was taken before.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<Control>> {
        self.receiver().take()
    }

    /// Sends a request and waits for its result. The error contains the reason.
    pub(super) async fn request(&self, kind: ControlKind) -> Result<(), String> {
        if self.is_test() {
            return Ok(());
        }
        let (result, response) = oneshot::channel();
        self.requests.send(Control { kind, result }).await.map_err(|_| ended())?;
        response.await.map_err(|_| ended())?
    }

    /// Sends a request as [`Controls::request`] does, and blocks the thread until its result arrives.
    pub(super) fn request_blocking(&self, kind: ControlKind) -> Result<(), String> {
        if self.is_test() {
            return Ok(());
        }
        let (result, response) = oneshot::channel();
        self.requests.blocking_send(Control { kind, result }).map_err(|_| ended())?;
        response.blocking_recv().map_err(|_| ended())?
    }

    /// Whether no worker receives the requests.
    pub(super) fn is_test(&self) -> bool {
        self.receiver().is_some()
    }
}

fn ended() -> String {
    "the attempt has ended".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn request_succeeds_without_worker_and_is_sent_to_one() {
        let controls = Controls::new();
        controls.request(ControlKind::RefreshTimeout(Duration::from_secs(1))).await.unwrap();
        let mut receiver = controls.take().unwrap();
        let serve = async {
            let control = receiver.recv().await.unwrap();
            assert_eq!(control.kind, ControlKind::ReleaseSlot);
            control.finish(Err("refused".to_owned()));
        };
        let (result, ()) = tokio::join!(controls.request(ControlKind::ReleaseSlot), serve);
        assert_eq!(result, Err("refused".to_owned()));
        drop(receiver);
        assert_eq!(controls.request(ControlKind::ReleaseSlot).await, Err("the attempt has ended".to_owned()));
    }
}
