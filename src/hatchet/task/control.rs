//! Requests of a body to the engine about its own attempt.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use super::{Context, TaskError};
use crate::hatchet::wire::format_duration;

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

    fn receiver(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Receiver<Control>>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no worker receives the requests.
    fn is_test(&self) -> bool {
        self.receiver().is_some()
    }
}

impl Context {
    /// Extends the execution timeout of the running attempt by this time; 1 ms to 2,562,047 h.
    ///
    /// # Errors
    ///
    /// If the duration is out of range, the attempt has ended, or the engine does not accept the call.
    pub async fn refresh_timeout(&self, by: Duration) -> Result<(), TaskError> {
        check_refresh(by)?;
        self.control(ControlKind::RefreshTimeout(by)).await
    }

    /// Extends the timeout as [`Context::refresh_timeout`] does, from a blocking or CPU body.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Context::refresh_timeout`].
    ///
    /// # Panics
    ///
    /// Panics if called in an async body, which must use [`Context::refresh_timeout`].
    pub fn refresh_timeout_blocking(&self, by: Duration) -> Result<(), TaskError> {
        check_refresh(by)?;
        self.control_blocking(ControlKind::RefreshTimeout(by))
    }

    /// Returns the attempt's slots to the worker while the body continues, so that the worker starts another attempt. Use
    /// it before a long wait. The execution timeout still applies; afterwards the engine cannot cancel the attempt.
    ///
    /// # Errors
    ///
    /// If the attempt has ended, or the engine does not accept the call.
    pub async fn release_slot(&self) -> Result<(), TaskError> {
        self.control(ControlKind::ReleaseSlot).await
    }

    /// Returns the slots as [`Context::release_slot`] does, from a blocking or CPU body.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Context::release_slot`].
    ///
    /// # Panics
    ///
    /// Panics if called in an async body, which must use [`Context::release_slot`].
    pub fn release_slot_blocking(&self) -> Result<(), TaskError> {
        self.control_blocking(ControlKind::ReleaseSlot)
    }

    /// Takes the receiver of the requests. `None` if it was taken before.
    pub(in crate::hatchet) fn take_controls(&self) -> Option<mpsc::Receiver<Control>> {
        self.controls().receiver().take()
    }

    async fn control(&self, kind: ControlKind) -> Result<(), TaskError> {
        if self.controls().is_test() {
            return Ok(());
        }
        let (result, response) = oneshot::channel();
        self.controls().requests.send(Control { kind, result }).await.map_err(|_| ended())?;
        response.await.map_err(|_| ended())?.map_err(TaskError::new)
    }

    fn control_blocking(&self, kind: ControlKind) -> Result<(), TaskError> {
        if self.controls().is_test() {
            return Ok(());
        }
        let (result, response) = oneshot::channel();
        self.controls().requests.blocking_send(Control { kind, result }).map_err(|_| ended())?;
        response.blocking_recv().map_err(|_| ended())?.map_err(TaskError::new)
    }
}

fn check_refresh(by: Duration) -> Result<(), TaskError> {
    if (super::validate::MIN_DURATION..=super::validate::MAX_DURATION).contains(&by) {
        return Ok(());
    }
    Err(TaskError::fatal(format!("invalid timeout \"{}\": 1ms to 2562047h", format_duration(by))))
}

fn ended() -> TaskError {
    TaskError::new("the attempt has ended")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::task::RunInfo;

    #[tokio::test]
    async fn request_succeeds_without_worker_and_is_sent_to_one() {
        let (ctx, _canceller, _emissions) = Context::new(RunInfo::default());
        ctx.refresh_timeout(Duration::from_secs(1)).await.unwrap();
        assert!(ctx.refresh_timeout(Duration::ZERO).await.is_err());
        let mut controls = ctx.take_controls().unwrap();
        let serve = async {
            let control = controls.recv().await.unwrap();
            assert_eq!(control.kind, ControlKind::ReleaseSlot);
            control.finish(Err("refused".to_owned()));
        };
        let (result, ()) = tokio::join!(ctx.release_slot(), serve);
        assert_eq!(result.unwrap_err().to_string(), "refused");
        drop(controls);
        assert_eq!(ctx.release_slot().await.unwrap_err().to_string(), "the attempt has ended");
    }
}
