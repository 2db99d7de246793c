//! The worker's validated request.

use std::{
    io::{IsTerminal as _, stderr},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use super::{args::Args, health_args, run_keys::ExecutionLog};
use crate::{
    cli::{
        Exit,
        connection::{EmbeddedMode, EngineChoice, choose_engine},
        output::{Program, has_json_logs, init_logging},
        settings::{Setting, explain_config, parse_seconds},
        task_registry::TaskRegistry,
    },
    hatchet::{
        client::{Source, Sources, parse_integer},
        task::ErasedWorkflow,
        wire::format_duration,
        worker::WorkerOptions,
    },
};

/// `1` has the same effect as `--run-keys`.
const RUN_KEYS: &str = "HATCHET_WORKER_RUN_KEYS";
/// Maximum of slots and threads. Larger values are typing errors.
const MAX_COUNT: usize = 10_000;

/// A validated command of the worker.
pub(super) struct Request {
    pub(super) choice: EngineChoice,
    pub(super) sources: Sources,
    pub(super) options: WorkerOptions,
    pub(super) workflows: Vec<ErasedWorkflow>,
    /// Whether each task is registered a second time with run keys. Workflows of several tasks are not.
    pub(super) run_keys: bool,
    pub(super) executions: Option<Arc<ExecutionLog>>,
    pub(super) stop_with_stdin: bool,
    /// Whether the banner is omitted.
    pub(super) quiet: bool,
    /// Whether stderr is read by a person only: it is a terminal, and the log lines are text.
    pub(super) may_show_secrets: bool,
    /// Addresses for the health server. The first free address is used. `None`: no health server.
    pub(super) health: Option<Vec<SocketAddr>>,
    #[cfg_attr(not(feature = "engine"), expect(dead_code, reason = "a build without the engine refuses it earlier"))]
    pub(super) engine_only: bool,
}

impl Request {
    /// Validates the arguments and the settings. Initializes logging. With `--explain-config`, prints the settings
    /// first.
    pub(super) fn from_args(args: Args, workflows: &TaskRegistry<ErasedWorkflow>) -> Result<Self, Exit> {
        if args.tasks.as_deref().is_some_and(|names| names.trim().is_empty()) {
            return Err(Exit::usage("invalid --tasks \"\": name at least one task, or omit the flag to run all tasks"));
        }
        if args.name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Exit::usage("invalid --name \"\": write a name, or omit the flag for the default"));
        }
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
        if args.quiet {
            sources.set("HATCHET_CLIENT_LOG_LEVEL", "warn", Source::Flag("--quiet"));
        }
        args.health.apply(&mut sources);
        let embedded = if args.engine_only { Some(EmbeddedMode::Always) } else { args.connection.embedded };
        let defaults = WorkerOptions::default();
        if let Some(format) = args.explain_config {
            let settings: Vec<Setting> = worker_settings(&defaults).into_iter().chain(sidecar_settings()).collect();
            explain_config(Program::Worker, format, embedded, &sources, &settings)?;
        }
        init_logging(&sources, Program::Worker)?;
        let may_show_secrets = stderr().is_terminal() && !has_json_logs(&sources, Program::Worker)?;
        let options = WorkerOptions {
            name: sources.value("HATCHET_WORKER_NAME").map_or(defaults.name, str::to_owned),
            slots: read_count(&sources, "HATCHET_WORKER_SLOTS", defaults.slots)?,
            cpu_threads: read_count(&sources, "HATCHET_WORKER_CPU_THREADS", defaults.cpu_threads)?,
            labels: defaults.labels,
            grace: read_duration(&sources, "HATCHET_WORKER_GRACE", defaults.grace)?,
            wait_for_engine: read_duration(&sources, "HATCHET_WORKER_WAIT_FOR_ENGINE", defaults.wait_for_engine)?,
            cancel_grace: defaults.cancel_grace,
        };
        let workflows = select_workflows(&sources, workflows)?;
        let health = health_args::read_addresses(&sources)?;
        let choice = choose_engine(embedded, &sources)?;
        let run_keys = args.run_keys || sources.flag(RUN_KEYS).map_err(Exit::usage)?;
        if run_keys && workflows.iter().all(|workflow| workflow.as_task().is_none()) {
            tracing::warn!(
                "--run-keys has no effect: every selected workflow has several tasks and gets no keyed copy"
            );
        }
        let executions = args.executions_file.as_deref().map(ExecutionLog::open).transpose()?.map(Arc::new);
        let Args { stop_with_stdin, engine_only, quiet, .. } = args;
        Ok(Self {
            choice,
            sources,
            options,
            workflows,
            run_keys,
            executions,
            stop_with_stdin,
            quiet,
            may_show_secrets,
            health,
            engine_only,
        })
    }
}

/// The settings of the worker alone, for `--explain-config`.
fn worker_settings(defaults: &WorkerOptions) -> [Setting; 10] {
    let setting = |variables, default: String| Setting { variables, default: Some(default) };
    [
        setting(&["HATCHET_WORKER_TASKS"], "all".to_owned()),
        setting(&["HATCHET_WORKER_SLOTS"], defaults.slots.to_string()),
        setting(&["HATCHET_WORKER_CPU_THREADS"], defaults.cpu_threads.to_string()),
        setting(&["HATCHET_WORKER_NAME"], defaults.name.clone()),
        setting(&["HATCHET_WORKER_GRACE"], format_duration(defaults.grace)),
        setting(&["HATCHET_WORKER_WAIT_FOR_ENGINE"], format_duration(defaults.wait_for_engine)),
        setting(&[RUN_KEYS], "false".to_owned()),
        setting(&[health_args::ENABLED], "false".to_owned()),
        setting(&[health_args::PORT], health_args::DEFAULT_PORT.to_string()),
        setting(&[health_args::BIND_ADDRESS], health_args::DEFAULT_BIND_ADDRESS.to_string()),
    ]
}

#[cfg(feature = "engine")]
fn sidecar_settings() -> impl Iterator<Item = Setting> {
    let variables = crate::cli::sidecar::VARIABLES.iter();
    variables.map(|name| Setting { variables: std::slice::from_ref(name), default: None })
}

#[cfg(not(feature = "engine"))]
fn sidecar_settings() -> impl Iterator<Item = Setting> {
    std::iter::empty()
}

/// The tasks and workflows of `HATCHET_WORKER_TASKS` or `--tasks`; all if neither is set.
fn select_workflows(sources: &Sources, workflows: &TaskRegistry<ErasedWorkflow>) -> Result<Vec<ErasedWorkflow>, Exit> {
    let Some((names, source)) = sources.get("HATCHET_WORKER_TASKS") else { return Ok(workflows.all().to_vec()) };
    let invalid =
        |rule: String| Exit::usage(format!("invalid HATCHET_WORKER_TASKS \"{names}\" (from {source}): {rule}"));
    let trimmed = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let selected = workflows.select(trimmed).map_err(|e| invalid(e.to_string()))?;
    if selected.is_empty() {
        return Err(invalid("name at least one task, or leave it unset to run all tasks".to_owned()));
    }
    Ok(selected)
}

fn read_count(sources: &Sources, name: &str, default: usize) -> Result<usize, Exit> {
    let Some((text, source)) = sources.get(name) else { return Ok(default) };
    let count = parse_integer(text).and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=MAX_COUNT).contains(n));
    count.ok_or_else(|| {
        Exit::usage(format!("invalid {name} \"{text}\" (from {source}): set it to a number from 1 to {MAX_COUNT}"))
    })
}

fn read_duration(sources: &Sources, name: &str, default: Duration) -> Result<Duration, Exit> {
    let Some((text, source)) = sources.get(name) else { return Ok(default) };
    parse_seconds(text).map_err(|rule| Exit::usage(format!("invalid {name} \"{text}\" (from {source}): {rule}")))
}
