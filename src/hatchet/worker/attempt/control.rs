//! Sends the requests of a body about its own attempt.

use std::{convert::Infallible, sync::Mutex, sync::PoisonError, time::Duration};

use tokio::{
    sync::{SemaphorePermit, mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{assignment::Assignment, report::CALL_TIMEOUT, resources::WorkerResources};
use crate::hatchet::{
    task::{Control, ControlKind},
    transport::with_timeout,
    wire::{
        format_duration,
        proto::{RefreshTimeoutRequest, ReleaseSlotRequest, v1::CancelTasksRequest},
    },
};

/// The parts of an attempt that its body can change.
pub(super) struct Adjustable<'a> {
    /// `None` once released.
    permit: Mutex<Option<SemaphorePermit<'a>>>,
    /// Time that was added to the execution timeout.
    extension: watch::Sender<Duration>,
}

impl<'a> Adjustable<'a> {
    pub(super) fn new(permit: SemaphorePermit<'a>) -> Self {
        Self { permit: Mutex::new(Some(permit)), extension: watch::Sender::new(Duration::ZERO) }
    }

    fn release(&self) {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits until the limit and all extensions have elapsed since `started`.
    pub(super) async fn elapsed(&self, started: Instant, limit: Duration) {
        let mut extension = self.extension.subscribe();
        loop {
            let limit = limit.saturating_add(*extension.borrow_and_update());
            // An instant beyond the range of the clock is never reached.
            let Some(deadline) = started.checked_add(limit) else { return std::future::pending().await };
            tokio::select! {
                () = sleep_until(deadline) => return,
                // Cannot fail: the sender lives as long as `self`.
                _ = extension.changed() => {}
            }
        }
    }
}

/// Sends requests to the engine, and applies them to the attempt. Never returns.
pub(super) async fn serve(
    resources: &WorkerResources,
    assignment: &Assignment,
    controls: Option<mpsc::Receiver<Control>>,
    attempt: &Adjustable<'_>,
) -> Infallible {
    let Some(mut controls) = controls else { return std::future::pending().await };
    while let Some(control) = controls.recv().await {
        let result = send(resources, assignment, control.kind).await;
        if result.is_ok() {
            match control.kind {
                ControlKind::RefreshTimeout(by) => {
                    attempt.extension.send_modify(|extension| *extension = extension.saturating_add(by));
                }
                ControlKind::ReleaseSlot => attempt.release(),
                // The engine sends the cancellation.
                ControlKind::Cancel => {}
            }
        }
        control.finish(result);
    }
    std::future::pending().await
}

async fn send(resources: &WorkerResources, assignment: &Assignment, kind: ControlKind) -> Result<(), String> {
    let connection = resources.client.connection();
    let (mut dispatcher, run) = (connection.dispatcher(), assignment.info.run_id.clone());
    let (operation, result) = match kind {
        ControlKind::RefreshTimeout(by) => {
            let request =
                RefreshTimeoutRequest { task_run_external_id: run, increment_timeout_by: format_duration(by) };
            let call = Box::pin(dispatcher.refresh_timeout(with_timeout(CALL_TIMEOUT, request)));
            ("refreshing the timeout", call.await.map(drop))
        }
        ControlKind::ReleaseSlot => {
            let request = ReleaseSlotRequest { task_run_external_id: run };
            let call = Box::pin(dispatcher.release_slot(with_timeout(CALL_TIMEOUT, request)));
            ("releasing the slot", call.await.map(drop))
        }
        ControlKind::Cancel => {
            let request = CancelTasksRequest { external_ids: vec![run], filter: None };
            let mut admin = connection.admin();
            let call = Box::pin(admin.cancel_tasks(with_timeout(CALL_TIMEOUT, request)));
            ("cancelling the run", call.await.map(drop))
        }
    };
    result.map_err(|status| connection.call_error(operation, status).to_string())
}
