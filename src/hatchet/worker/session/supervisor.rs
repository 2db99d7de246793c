//! Supervises one registration: runs its sessions one after another.

use std::{future::pending, slice, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    backoff::SessionBackoff,
    registration::{WorkerDefinition, register},
    states::SessionStates,
    stream::{SessionEnd, run_session},
};
use crate::hatchet::{
    transport::{ClientError, DEFAULT_TIMEOUT, ErrorKind, RegistrationTimeout},
    worker::attempt::WorkerResources,
};

/// Runs the sessions of the registration at `index`: reconnects, and registers again if the engine refuses the worker
/// id as unknown. Returns only an error that no retry can fix. Once the intake is stopped, it waits until it is
/// dropped.
///
/// Each failed attempt is one line in the log; see [`OutageLog`](super::outage_log::OutageLog) for its level.
pub(in crate::hatchet::worker) async fn supervise(
    resources: &Arc<WorkerResources>,
    definition: &WorkerDefinition,
    index: usize,
    states: &SessionStates,
    intake_stopped: &CancellationToken,
) -> ClientError {
    let name = &definition.name;
    let mut backoff = SessionBackoff::new();
    let mut follows_another = false;
    loop {
        let opened = Instant::now();
        let end = run_session(resources, states, index, follows_another, intake_stopped).await;
        follows_another = true;
        let delay = match end {
            SessionEnd::IntakeStopped => pending().await,
            SessionEnd::Fatal(error) => return error,
            SessionEnd::Disconnected { cause, progress } => {
                states.outage_log.log(name, format_args!("lost the connection to the engine, reconnecting: {cause}"));
                states.set_disconnected(index, Some(cause));
                backoff.after_session(opened.elapsed(), progress)
            }
            SessionEnd::UnknownWorker => match register_again(resources, definition, index, states).await {
                Ok(()) => {
                    follows_another = false;
                    backoff.after_registration()
                }
                Err(error) if error.kind() == ErrorKind::Unauthenticated => return error,
                Err(error) => {
                    states.outage_log.log(
                        name,
                        format_args!("the engine has lost this worker, and registering it again failed: {error}"),
                    );
                    backoff.after_failed_registration()
                }
            },
        };
        sleep(delay).await;
    }
}

/// Registers the worker under a new id. Never returns while the worker drains: the drain has paused only the workers
/// that were registered at its start, so the engine would assign work to a newly registered worker.
async fn register_again(
    resources: &WorkerResources,
    definition: &WorkerDefinition,
    index: usize,
    states: &SessionStates,
) -> Result<(), ClientError> {
    let registering = async {
        states.set_disconnected(index, None);
        let timeout = RegistrationTimeout::start(Duration::ZERO);
        register(&resources.client, slice::from_ref(definition), DEFAULT_TIMEOUT, &timeout).await
    };
    let registration = tokio::select! {
        biased;
        () = states.wait_until_draining() => pending().await,
        registration = registering => registration?,
    };
    for worker in registration.workers {
        resources.counters.registrations.add(1);
        tracing::warn!(name = definition.name, worker = %worker.id, "registered again: the engine had lost this worker");
        states.set_registered(index, worker);
    }
    Ok(())
}
