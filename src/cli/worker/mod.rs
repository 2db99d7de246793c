//! `worker`: registers the tasks and runs them.

#[cfg(feature = "engine")]
pub(super) mod embedded;
pub(super) mod health;
mod run_keys;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;

use self::{health::HealthFlags, run_keys::Executions};
use super::{
    ConnectionFlags, Exit,
    connection::engine::{self as connect, Choice},
    duration, exit,
    output::{self, logging},
    settings::explain::{self, Setting},
    signals::Signals,
};
use crate::{
    hatchet::{
        client::{Client, ClientConfig, Source, Sources, engine_folder, parse_integer},
        task::ErasedTask,
        wire::format_duration,
        worker::{
            DrainOutcome, RegisteredWorker, Registration, RunningWorker, Worker, WorkerOptions, WorkerState, list_names,
        },
    },
    tasks,
};

/// Registers tasks with a Hatchet engine and runs them.
#[derive(Debug, Parser)]
#[command(name = "worker", version, after_help = super::settings_help(), after_long_help = long_help())]
struct Args {
    /// Tasks to run, by name [env: HATCHET_WORKER_TASKS] [default: all]
    #[arg(long, value_name = "NAME,…")]
    tasks: Option<String>,
    /// Async and blocking tasks at once [env: HATCHET_WORKER_SLOTS] [default: 100]
    #[arg(long, value_name = "N")]
    slots: Option<String>,
    /// Threads of the CPU pool, and CPU tasks at once [env: HATCHET_WORKER_CPU_THREADS] [default: one for each core]
    #[arg(long, value_name = "N")]
    cpu_threads: Option<String>,
    /// The worker's name; CPU tasks are registered as a worker called `<name>-cpu` [env: HATCHET_WORKER_NAME] [default:
    /// hatchet-quickstart]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// After SIGINT or SIGTERM (on Linux SIGHUP), what runs may go on this long [env: HATCHET_WORKER_GRACE] [default: 25s]
    #[arg(long, value_name = "DURATION")]
    grace: Option<String>,
    /// Wait this long for an engine that is not up yet; one that answers that it failed is asked again for 30s at least
    /// [env: HATCHET_WORKER_WAIT_FOR_ENGINE] [default: 0s]
    #[arg(long, value_name = "DURATION")]
    wait_for_engine: Option<String>,
    /// Register each task once more as `<task>-keyed`, which takes a run key once only: for `runner bench`
    /// [env: HATCHET_WORKER_RUN_KEYS=1]
    #[arg(long)]
    run_keys: bool,
    /// File that the keyed tasks write a line to at the start of each attempt
    #[arg(long, value_name = "FILE", requires = "run_keys")]
    executions_file: Option<PathBuf>,
    /// Stop, as after SIGTERM, when stdin ends: for whoever starts the worker and may die before it
    #[arg(long)]
    stop_with_stdin: bool,
    /// Serve the embedded engine and run no task
    #[arg(long)]
    engine_only: bool,
    /// Print each setting with where it came from, secrets left out, and leave; `=json` for one object a line
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "human")]
    explain_config: Option<output::Format>,
    #[command(flatten)]
    health: HealthFlags,
    #[command(flatten)]
    connection: ConnectionFlags,
}

fn long_help() -> String {
    let own = "`worker -handshake-file FILE` is the engine alone, in the place of Hatchet's own embedded sidecar; add \
               -help for its flags. The other way round, --embedded starts an official sidecar where \
               HATCHET_CLIENT_EMBEDDED_BINARY_PATH names one, with the other HATCHET_CLIENT_EMBEDDED_ variables handed \
               on as the official SDKs do.";
    format!("{}\n\n{own}\n\n{}", super::settings_help(), exit::CODES)
}

/// 1: the same as `--run-keys`.
const RUN_KEYS: &str = "HATCHET_WORKER_RUN_KEYS";

/// What was asked for, checked.
struct Plan {
    choice: Choice,
    sources: Sources,
    options: WorkerOptions,
    tasks: Vec<ErasedTask>,
    run_keys: bool,
    executions: Option<Arc<Executions>>,
    stop_with_stdin: bool,
    /// The first of these that can be bound.
    health: Option<Vec<SocketAddr>>,
    #[cfg_attr(not(feature = "engine"), expect(dead_code, reason = "refused before it matters"))]
    engine_only: bool,
}

/// The binary's `main`.
pub fn main() -> ExitCode {
    #[cfg(feature = "engine")]
    if let Some(args) = super::sidecar::wanted(std::env::args_os()) {
        return super::sidecar::main(args);
    }
    let args = Args::parse();
    let explain = args.explain_config.is_some();
    let plan = match plan(args) {
        Ok(_) if explain => return ExitCode::SUCCESS,
        Ok(plan) => plan,
        Err(exit) => return exit.report(),
    };
    // Each slot may hold a blocking body; a few threads more are for names and files.
    super::run(plan.options.slots.saturating_add(16), run(plan))
}

fn plan(args: Args) -> Result<Plan, Exit> {
    let mut sources = args.connection.sources();
    for (name, flag, value) in [
        ("HATCHET_WORKER_TASKS", "--tasks", args.tasks),
        ("HATCHET_WORKER_SLOTS", "--slots", args.slots),
        ("HATCHET_WORKER_CPU_THREADS", "--cpu-threads", args.cpu_threads),
        ("HATCHET_WORKER_NAME", "--name", args.name),
        ("HATCHET_WORKER_GRACE", "--grace", args.grace),
        ("HATCHET_WORKER_WAIT_FOR_ENGINE", "--wait-for-engine", args.wait_for_engine),
    ] {
        if let Some(value) = value {
            sources.set(name, value, Source::Flag(flag));
        }
    }
    args.health.set(&mut sources);
    let flag = if args.engine_only { Some(connect::When::Always) } else { args.connection.embedded };
    let defaults = WorkerOptions::default();
    if let Some(format) = args.explain_config {
        let own: Vec<Setting> = settings(&defaults).into_iter().chain(sidecar_settings()).collect();
        explain::print(format, flag, &sources, &own)?;
    }
    logging::start(&sources)?;
    let options = WorkerOptions {
        name: sources.value("HATCHET_WORKER_NAME").map_or(defaults.name, str::to_owned),
        slots: number(&sources, "HATCHET_WORKER_SLOTS", defaults.slots)?,
        cpu_threads: number(&sources, "HATCHET_WORKER_CPU_THREADS", defaults.cpu_threads)?,
        grace: time(&sources, "HATCHET_WORKER_GRACE", defaults.grace)?,
        wait_for_engine: time(&sources, "HATCHET_WORKER_WAIT_FOR_ENGINE", defaults.wait_for_engine)?,
        cancel_grace: defaults.cancel_grace,
    };
    let tasks = match sources.value("HATCHET_WORKER_TASKS") {
        None => tasks::all(),
        Some(names) => {
            let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
            tasks::select(names).map_err(|e| Exit::usage(e.to_string()))?
        }
    };
    let health = health::addresses(&sources)?;
    let choice = connect::choose(flag, &sources)?;
    let run_keys = args.run_keys || sources.flag(RUN_KEYS).map_err(Exit::usage)?;
    let executions = args.executions_file.as_deref().map(Executions::open).transpose()?.map(Arc::new);
    let (stop_with_stdin, engine_only) = (args.stop_with_stdin, args.engine_only);
    Ok(Plan { choice, sources, options, tasks, run_keys, executions, stop_with_stdin, health, engine_only })
}

/// The worker's own settings, for `--explain-config`.
fn settings(defaults: &WorkerOptions) -> [Setting; 10] {
    let setting = |variables, default: String| Setting { variables, default: Some(default) };
    [
        setting(&["HATCHET_WORKER_TASKS"], "all".to_owned()),
        setting(&["HATCHET_WORKER_SLOTS"], defaults.slots.to_string()),
        setting(&["HATCHET_WORKER_CPU_THREADS"], defaults.cpu_threads.to_string()),
        setting(&["HATCHET_WORKER_NAME"], defaults.name.clone()),
        setting(&["HATCHET_WORKER_GRACE"], format_duration(defaults.grace)),
        setting(&["HATCHET_WORKER_WAIT_FOR_ENGINE"], format_duration(defaults.wait_for_engine)),
        setting(&[RUN_KEYS], "false".to_owned()),
        setting(&[health::ENABLED], "false".to_owned()),
        setting(&[health::PORT], health::DEFAULT_PORT.to_string()),
        setting(&[health::BIND_ADDRESS], health::DEFAULT_BIND_ADDRESS.to_string()),
    ]
}

#[cfg(feature = "engine")]
fn sidecar_settings() -> impl Iterator<Item = Setting> {
    super::sidecar::VARIABLES.iter().map(|name| Setting { variables: std::slice::from_ref(name), default: None })
}

#[cfg(not(feature = "engine"))]
fn sidecar_settings() -> impl Iterator<Item = Setting> {
    std::iter::empty()
}

/// A setting that counts something; the upper bound is where a slip of the keyboard begins.
fn number(sources: &Sources, name: &str, default: usize) -> Result<usize, Exit> {
    let Some((text, source)) = sources.get(name) else { return Ok(default) };
    parse_integer(text)
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| (1..=10_000).contains(n))
        .ok_or_else(|| Exit::usage(format!("{name} is `{text}` (from {source}): set it to a number from 1 to 10000")))
}

fn time(sources: &Sources, name: &str, default: Duration) -> Result<Duration, Exit> {
    let Some((text, source)) = sources.get(name) else { return Ok(default) };
    duration(text).map_err(|e| Exit::usage(format!("{name} (from {source}): {e}")))
}

async fn run(plan: Plan) -> Result<(), Exit> {
    let mut signals = Signals::listen().map_err(super::no_signals)?;
    if plan.stop_with_stdin {
        signals.and_stdin();
    }
    match &plan.choice {
        Choice::Token(said) => {
            let config = ClientConfig::from_sources(&plan.sources)?;
            tracing::info!("uses the {said}");
            work(&plan, config, &mut signals).await
        }
        Choice::Embedded(said) => embedded(&plan, said, &mut signals).await,
    }
}

#[cfg(feature = "engine")]
async fn embedded(plan: &Plan, said: &str, signals: &mut Signals) -> Result<(), Exit> {
    use self::embedded::Embedded;
    use super::sidecar::Official;

    let folder = engine_folder(&plan.sources);
    let ephemeral = plan.sources.flag(connect::EPHEMERAL).map_err(Exit::usage)?;
    let sidecar = Official::from(&plan.sources)?;
    let mut embedded = tokio::select! {
        started = Embedded::start(&folder, sidecar.as_ref(), ephemeral) => started?,
        () = signals.next() => return Ok(()),
    };
    let handshake = embedded.handshake().clone();
    let at = &handshake.grpc_address;
    // An engine of this process' own ends it when it ends, and does not move.
    let may_move = matches!(embedded, Embedded::Joined(_));
    match &embedded {
        Embedded::Own(_) => {
            let keeps = if ephemeral { ", which keeps nothing over restarts" } else { "" };
            tracing::info!("uses the {said}{keeps}: started at {at}, folder {}", folder.display());
        }
        Embedded::Sidecar(_) => {
            tracing::info!("uses the {said}: an official sidecar, started at {at}, folder {}", folder.display());
        }
        Embedded::Joined(_) => {
            tracing::info!("uses the {said}: joins the one of another process at {at}, folder {}", folder.display());
        }
    }
    let work = async {
        if plan.engine_only {
            output::complain(&format!("engine at {at}, no tasks; Ctrl-C ends it"));
            signals.next().await;
            return Ok(());
        }
        let config = if may_move {
            ClientConfig::from_engine_folder(&handshake, folder.clone(), &plan.sources)?
        } else {
            ClientConfig::from_handshake(&handshake, &plan.sources)?
        };
        work(plan, config, signals).await
    };
    let result = tokio::select! {
        result = work => result,
        why = embedded.ended() => Err(Exit::unreachable(why)),
    };
    embedded.stop().await;
    result
}

#[cfg(not(feature = "engine"))]
async fn embedded(_plan: &Plan, _said: &str, _signals: &mut Signals) -> Result<(), Exit> {
    Err(Exit::usage("this build has no embedded engine: set HATCHET_CLIENT_TOKEN, or build with the feature `engine`"))
}

/// From the start to the exit code: register, run, and on a signal drain.
async fn work(plan: &Plan, config: ClientConfig, signals: &mut Signals) -> Result<(), Exit> {
    let tasks = with_twins(plan, &config);
    let mut worker =
        Worker::new(&Client::new(config.clone())?).options(plan.options.clone()).register_all(tasks.clone());
    let mut health = None;
    if let Some(addresses) = &plan.health {
        let (listener, address) = health::listen(addresses)?;
        tracing::info!("serves health and metrics at http://{address}");
        worker = worker.health(listener);
        health = Some(address);
    }
    let mut worker = worker.start()?;
    let mut state = worker.state();
    let registered = tokio::select! {
        registered = worker.listening() => registered?,
        never = waiting(&mut state) => match never {},
        () = signals.next() => return drain(worker, &plan.options, signals).await,
    };
    banner(&tasks, &config, &registered, health);
    tokio::select! {
        ended = worker.ended() => match ended {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        },
        () = signals.next() => drain(worker, &plan.options, signals).await,
    }
}

/// Says why the worker is not registered yet, each time that changes; never ends.
async fn waiting(state: &mut tokio::sync::watch::Receiver<WorkerState>) -> std::convert::Infallible {
    let mut said = None;
    while state.changed().await.is_ok() {
        if let WorkerState::Connecting(Some(why)) = &*state.borrow_and_update()
            && said.as_ref() != Some(why)
        {
            tracing::warn!("waits for the engine: {why}");
            said = Some(why.clone());
        }
    }
    std::future::pending().await
}

async fn drain(worker: RunningWorker, options: &WorkerOptions, signals: &mut Signals) -> Result<(), Exit> {
    tracing::info!(
        "stops: takes no more work, and what runs has {} to end; a second signal ends at once",
        format_duration(options.grace)
    );
    let drained = tokio::select! {
        drained = worker.stop() => drained?,
        () = signals.next() => {
            output::complain("interrupted again: ends at once");
            // Bodies on threads would hold up an orderly end.
            std::process::exit(130);
        }
    };
    say(&drained);
    tracing::info!("stopped");
    Ok(())
}

/// Names what did not end in order.
fn say(DrainOutcome { cancelled, still_running, unreported }: &DrainOutcome) {
    let reported: Vec<&str> = cancelled
        .iter()
        .filter(|name| !still_running.contains(name) && !unreported.contains(name))
        .map(String::as_str)
        .collect();
    if !reported.is_empty() {
        tracing::warn!(
            "cut after the grace, and reported, as failures that may be retried unless they still completed: {}",
            list_names(&reported)
        );
    }
    if !still_running.is_empty() {
        tracing::error!(
            "ignored their cancellation, and were left running: {}; Hatchet gives them to another worker after 30 s",
            list_names(still_running)
        );
    }
    if !unreported.is_empty() {
        tracing::error!(
            "ended, and the engine did not acknowledge the outcome: {}; unless it has taken it all the same, Hatchet runs \
             them again on another worker after 30 s",
            list_names(unreported)
        );
    }
}

/// The tasks, and with `--run-keys` their twins.
fn with_twins(plan: &Plan, config: &ClientConfig) -> Vec<ErasedTask> {
    let twin = |task: &ErasedTask| {
        let twin = run_keys::twin(task, |name| config.namespaced(name));
        match plan.executions.clone() {
            Some(executions) => twin.before(move |ctx| executions.note(ctx)),
            None => twin,
        }
    };
    let twins: Vec<ErasedTask> = if plan.run_keys { plan.tasks.iter().map(twin).collect() } else { Vec::new() };
    plan.tasks.iter().cloned().chain(twins).collect()
}

fn banner(tasks: &[ErasedTask], config: &ClientConfig, registered: &Registration, health: Option<SocketAddr>) {
    let names: Vec<&str> = tasks.iter().flat_map(ErasedTask::names).collect();
    let namespace = if config.namespace.is_empty() { "none" } else { &config.namespace };
    let mut lines = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("engine", format!("{} {}", config.host_port, registered.engine_version)),
        ("tls", config.tls.as_str().to_owned()),
        ("namespace", namespace.to_owned()),
    ];
    let worker = |worker: &RegisteredWorker| format!("{} {}, {} slot(s)", worker.name, worker.id, worker.slots);
    lines.extend(registered.workers.iter().map(|registered| ("worker", worker(registered))));
    lines.push(("tasks", names.join(", ")));
    lines.extend(health.map(|address| ("health", format!("http://{address}/livez, /readyz, /health, /metrics"))));
    output::complain("hatchet-quickstart worker, listening");
    for (name, value) in lines {
        output::complain(&format!("  {name:<10}{value}"));
    }
}
