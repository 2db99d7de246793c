//! Starts and ends a worker: its threads, its parts, and the order of its shutdown.
//!
//! The connection thread has a separate runtime, so no task can delay it. It registers, receives, sends heartbeats and
//! reports. Async bodies run on the runtime in which the worker was started, blocking bodies on that runtime's blocking
//! threads, and CPU bodies on a rayon pool.
//!
//! Everything on the connection thread is a branch of one `select!` or owned by its runtime, so it ends with the
//! thread. Bodies on other threads cannot be ended from outside. They are cancelled when the thread ends, even by a
//! panic.

use std::{net::TcpListener, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::{
    runtime::{Builder, Handle},
    sync::{oneshot, watch},
};
use tokio_util::sync::CancellationToken;

use super::{
    attempt::{CpuPool, WorkerResources},
    drain::{DrainOutcome, drain},
    handle::RunningWorker,
    health::{self, Counters},
    labels::{Changes, LabelStore},
    options::WorkerOptions,
    session::{self, SessionStates},
    state::WorkerState,
    watchdog,
};
use crate::hatchet::{
    client::Client,
    system::OsError,
    task::{CancelReason, ErasedTask, ErasedWorkflow, Hooks, Kind},
    transport::{ClientConfig, ClientError, ErrorKind},
};

/// Timeout of unsubscribing a worker at the end. A failure has no consequence: the streams are closed in any case.
const UNSUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Settings, workflows and health socket of a worker.
pub(super) struct Setup {
    pub(super) config: ClientConfig,
    pub(super) options: WorkerOptions,
    pub(super) workflows: Vec<ErasedWorkflow>,
    pub(super) hooks: Hooks,
    /// Serves health checks and metrics.
    pub(super) health: Option<TcpListener>,
}

/// Starts the connection thread. Must be called inside the runtime that runs the async and blocking bodies.
pub(super) fn start(mut setup: Setup) -> Result<RunningWorker, ClientError> {
    let failed = |part: &str, cause: &dyn std::fmt::Display| {
        ClientError::new(ErrorKind::Config, format!("starting {part} failed: {cause}"))
    };
    let body_runtime = Handle::try_current().map_err(|e| failed("the worker", &e))?;
    let tasks: Vec<&ErasedTask> = setup.workflows.iter().flat_map(ErasedWorkflow::tasks).collect();
    let cpu_pool = if tasks.iter().any(|task| task.kind() == Kind::Cpu) {
        Some(CpuPool::new(setup.options.cpu_threads).map_err(|e| failed("the CPU pool", &e))?)
    } else {
        None
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| failed("the runtime of the connection thread", &OsError(&e)))?;
    let (state_sender, state) = watch::channel(WorkerState::Connecting(None));
    let counters = Arc::new(Counters::new(&tasks, &setup.options, state.clone()));
    let (labels, label_changes) = LabelStore::new(setup.options.labels.clone());
    let health = setup.health.take();
    let (result_sender, result) = oneshot::channel();
    let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
    let thread = {
        let (counters, stop, abort) = (counters.clone(), stop.clone(), abort.clone());
        let labels = (labels.clone(), label_changes);
        move || {
            let result = runtime.block_on(async {
                tokio::select! {
                    result = run(setup, counters.clone(), body_runtime, cpu_pool, labels, &state_sender, &stop) => result,
                    error = serve_health(health, counters) => Err(error),
                    () = abort.cancelled() => Ok(DrainOutcome::default()),
                }
            });
            state_sender.send_replace(WorkerState::Stopped);
            // Fails if the handle was dropped.
            let _ = result_sender.send(result);
        }
    };
    std::thread::Builder::new()
        .name("hatchet-worker".to_owned())
        .spawn(thread)
        .map_err(|e| failed("the connection thread", &OsError(&e)))?;
    Ok(RunningWorker { state, counters, labels, stop, abort, result: Some(result) })
}

/// Serves health checks and metrics. Returns only on failure, which ends the worker: probes would report it as dead.
async fn serve_health(listener: Option<TcpListener>, counters: Arc<Counters>) -> ClientError {
    let Some(listener) = listener else { return std::future::pending().await };
    let cause = match health::serve(listener, counters).await {
        Ok(()) => "the server ended".to_owned(),
        Err(e) => OsError(&e).to_string(),
    };
    ClientError::new(ErrorKind::Config, format!("serving health and metrics failed: {cause}"))
}

/// Registers, runs until a stop or a fatal error, and shuts down.
async fn run(
    Setup { config, options, workflows, hooks, .. }: Setup,
    counters: Arc<Counters>,
    body_runtime: Handle,
    cpu_pool: Option<CpuPool>,
    (labels, label_changes): (LabelStore, Changes),
    state: &watch::Sender<WorkerState>,
    stop: &CancellationToken,
) -> Result<DrainOutcome, ClientError> {
    let definitions = session::worker_definitions(&config, &options, &labels, &workflows);
    let client = Client::new(config)?;
    let resources =
        Arc::new(WorkerResources::new(client, &workflows, &options, counters, body_runtime, cpu_pool, hooks)?);
    let _cancel = CancelOnDrop(resources.clone());
    let registration = tokio::select! {
        registration =
            session::register_initially(&resources.client, &definitions, options.wait_for_engine, state) => registration?,
        () = stop.cancelled() => return Ok(DrainOutcome::default()),
    };
    resources.counters.registrations.add(registration.workers.len() as u64);

    let states = SessionStates::new(registration, state.clone(), resources.clone());
    let intake_stopped = CancellationToken::new();
    let mut supervisors: FuturesUnordered<_> = definitions
        .iter()
        .enumerate()
        .map(|(index, definition)| session::supervise(&resources, definition, index, &states, &intake_stopped))
        .collect();
    let drained = async {
        stop.cancelled().await;
        states.set_draining();
        drain(&resources, &states, &intake_stopped, options.grace).await
    };
    let outcome = tokio::select! {
        Some(fatal) = supervisors.next() => return Err(fatal),
        outcome = drained => outcome,
        never = watchdog::run(resources.clone()) => match never {},
        never = session::send_label_changes(&resources.client, &states, label_changes) => match never {},
    };
    // The supervisors are no longer polled, so they do not reopen the streams, which are closed when this function
    // returns.
    let client = &resources.client;
    join_all(states.workers().iter().map(|worker| session::unsubscribe(client, worker.id, UNSUBSCRIBE_TIMEOUT))).await;
    Ok(outcome)
}

/// Cancels bodies on other threads when the connection thread ends.
struct CancelOnDrop(Arc<WorkerResources>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.table.cancel_all(CancelReason::Shutdown);
    }
}
