//! Runs a worker: chooses the engine, registers, runs tasks, and drains on a signal.
//!
//! ```text
//! engine ──► register ──► banner ──► run tasks ── signal ──► drain (grace) ──► stop the embedded engine
//!                                                    └─ second signal: exit immediately
//! ```

use super::{banner, health_args, request::Request, run_keys};
#[cfg(feature = "engine")]
use crate::{cli::output::print_message, hatchet::client::embedded_folder};
use crate::{
    cli::{Exit, connection::EngineChoice, dashboard::Dashboard, signals::Signals},
    hatchet::{
        client::{Client, ClientConfig},
        task::ErasedWorkflow,
        wire::readable_duration,
        worker::{DrainOutcome, RunningWorker, Worker, WorkerOptions, WorkerState, list_names},
    },
};

/// `1` has the same effect as `--embedded-ephemeral`.
#[cfg(feature = "engine")]
const EPHEMERAL: &str = "HATCHET_EMBEDDED_EPHEMERAL";

/// Runs the worker until a signal, or until its engine fails.
pub(super) async fn run(request: Request) -> Result<(), Exit> {
    let mut signals = Signals::listen()?;
    if request.stop_with_stdin {
        signals.include_stdin_end();
    }
    match &request.choice {
        EngineChoice::Token(_) | EngineChoice::None => {
            let config = ClientConfig::from_sources(&request.sources)?;
            tracing::info!("uses the {}", request.choice.description());
            let dashboard = Dashboard::of(&config);
            work(&request, config, dashboard.as_ref(), &mut signals).await
        }
        EngineChoice::Embedded(description) => with_embedded_engine(&request, description, &mut signals).await,
    }
}

#[cfg(feature = "engine")]
async fn with_embedded_engine(request: &Request, description: &str, signals: &mut Signals) -> Result<(), Exit> {
    use super::embedded_engine::EmbeddedEngine;
    use crate::cli::sidecar::OfficialSidecar;

    let folder = embedded_folder(&request.sources);
    let ephemeral = request.sources.flag(EPHEMERAL).map_err(Exit::usage)?;
    let sidecar = OfficialSidecar::from_sources(&request.sources)?;
    let mut engine = tokio::select! {
        started = EmbeddedEngine::start(&folder, sidecar.as_ref(), ephemeral) => started?,
        () = signals.next() => return Ok(()),
    };
    let handshake = engine.handshake().clone();
    let address = &handshake.grpc_address;
    // If an engine of this process ends, the worker ends. An engine of another process may restart at another address.
    let may_move = matches!(engine, EmbeddedEngine::Joined(_));
    match &engine {
        EmbeddedEngine::Own(_) => {
            let persistence = if ephemeral { ", without persistence" } else { "" };
            tracing::info!("uses the {description}{persistence}: started at {address}, folder {}", folder.display());
        }
        EmbeddedEngine::Sidecar(_) => {
            tracing::info!(
                "uses the {description}: an official sidecar, started at {address}, folder {}",
                folder.display()
            );
        }
        EmbeddedEngine::Joined(_) => {
            tracing::info!(
                "uses the {description}: joins the engine of another process at {address}, folder {}",
                folder.display()
            );
        }
    }
    let dashboard = Dashboard::of(&ClientConfig::from_handshake(engine.shared_handshake(), &request.sources)?);
    let work = async {
        if request.engine_only {
            if !request.quiet {
                print_message(&format!("engine at {address}, no tasks; press Ctrl-C to stop it"));
                if let Some(dashboard) = &dashboard {
                    print_message(&format!("dashboard at {}", banner::describe_dashboard(dashboard, request)));
                }
            }
            signals.next().await;
            return Ok(());
        }
        let config = if may_move {
            ClientConfig::from_engine_folder(&handshake, folder.clone(), &request.sources)?
        } else {
            ClientConfig::from_handshake(&handshake, &request.sources)?
        };
        work(request, config, dashboard.as_ref(), signals).await
    };
    let result = tokio::select! {
        result = work => result,
        reason = engine.ended() => Err(Exit::unreachable(reason)),
    };
    engine.stop().await;
    result
}

#[cfg(not(feature = "engine"))]
async fn with_embedded_engine(_: &Request, _: &str, _: &mut Signals) -> Result<(), Exit> {
    Err(Exit::usage("this build has no embedded engine: set HATCHET_CLIENT_TOKEN, or build with the feature `engine`"))
}

/// Registers the tasks, runs them, and drains on a signal.
async fn work(
    request: &Request,
    config: ClientConfig,
    dashboard: Option<&Dashboard>,
    signals: &mut Signals,
) -> Result<(), Exit> {
    let workflows = with_keyed_copies(request, &config);
    let mut worker =
        Worker::new(&Client::new(config.clone())?).options(request.options.clone()).register_all(workflows.clone());
    let mut health = None;
    if let Some(addresses) = &request.health {
        let (listener, address) = health_args::listen(addresses)?;
        tracing::info!("serves health and metrics at http://{address}");
        worker = worker.health(listener);
        health = Some(address);
    }
    let mut worker = worker.start()?;
    let mut state = worker.state();
    let registered = tokio::select! {
        registered = worker.listening() => registered?,
        never = log_connecting(&mut state) => match never {},
        () = signals.next() => return drain(worker, &request.options, signals).await,
    };
    if !request.quiet {
        let dashboard = dashboard.map(|dashboard| banner::describe_dashboard(dashboard, request));
        banner::print(&workflows, &config, &registered, dashboard.as_deref(), health);
    }
    tokio::select! {
        result = worker.ended() => match result {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        },
        () = signals.next() => drain(worker, &request.options, signals).await,
    }
}

/// Logs the reason why the worker is not registered yet, whenever it changes. Never returns.
async fn log_connecting(state: &mut tokio::sync::watch::Receiver<WorkerState>) -> std::convert::Infallible {
    let mut logged = None;
    while state.changed().await.is_ok() {
        if let WorkerState::Connecting(Some(reason)) = &*state.borrow_and_update()
            && logged.as_ref() != Some(reason)
        {
            tracing::warn!("waiting for the engine: {reason}");
            logged = Some(reason.clone());
        }
    }
    std::future::pending().await
}

/// Stops the worker. A second signal ends the process without waiting for running tasks.
async fn drain(worker: RunningWorker, options: &WorkerOptions, signals: &mut Signals) -> Result<(), Exit> {
    tracing::info!(
        "stopping: no more work is accepted; running tasks have {} to finish; a second signal ends the worker immediately",
        readable_duration(options.grace)
    );
    let drained = tokio::select! {
        drained = worker.stop() => drained?,
        () = signals.next() => {
            tracing::warn!("interrupted again: exiting immediately");
            // A regular return would wait for task bodies on threads.
            std::process::exit(130);
        }
    };
    log_drained(&drained);
    tracing::info!("stopped");
    Ok(())
}

/// Logs the attempts that did not end within the grace period.
fn log_drained(DrainOutcome { cancelled, still_running, unreported }: &DrainOutcome) {
    let reported: Vec<&str> = cancelled
        .iter()
        .filter(|name| !still_running.contains(name) && !unreported.contains(name))
        .map(String::as_str)
        .collect();
    if !reported.is_empty() {
        tracing::warn!(
            "cancelled after the grace period, and reported as failures that may be retried, unless they completed: {}",
            list_names(&reported)
        );
    }
    if !still_running.is_empty() {
        tracing::error!(
            "still running, since they ignored their cancellation: {}; Hatchet assigns them to another worker after \
             30s",
            list_names(still_running)
        );
    }
    if !unreported.is_empty() {
        tracing::error!(
            "finished, but the engine did not acknowledge the outcome: {}; unless it has received the outcome, Hatchet \
             runs them again on another worker after 30s",
            list_names(unreported)
        );
    }
}

/// The tasks and workflows and, with `--run-keys`, keyed copies of the tasks.
fn with_keyed_copies(request: &Request, config: &ClientConfig) -> Vec<ErasedWorkflow> {
    let keyed = |task| {
        let copy = run_keys::keyed_copy(task, |name| config.namespaced(name));
        match request.executions.clone() {
            Some(executions) => copy.before(move |ctx| executions.record(ctx)),
            None => copy,
        }
    };
    let mut workflows = request.workflows.clone();
    if request.run_keys {
        let tasks = request.workflows.iter().filter_map(ErasedWorkflow::as_task);
        workflows.extend(tasks.map(|task| keyed(task).into()));
    }
    workflows
}
