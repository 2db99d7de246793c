//! The worker's arguments, as typed.

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser};

use super::health_args::HealthArgs;
use crate::cli::{
    completions,
    connection::{ConnectionArgs, long_help},
    exit,
    output::OutputFormat,
};

/// Headings of the help.
const CAPACITY: &str = "Capacity";
const START_AND_STOP: &str = "Start and stop";
const BENCHMARK: &str = "Benchmark";
const INFORMATION: &str = "Information";

const EXAMPLES: &str = "Examples:
  worker -e                                   start the embedded engine, run all tasks
  worker -e -t sync-sleep-task --slots 10     run one task, at most 10 at a time
  worker --health --grace 60s                 use the engine of HATCHET_CLIENT_TOKEN
  worker --explain-config                     print each setting and its source";

const SIDECAR: &str = "`worker -handshake-file FILE` serves the engine alone, as a replacement of Hatchet's embedded \
                       sidecar; add -help for its flags. Conversely, --embedded starts an official sidecar if \
                       HATCHET_CLIENT_EMBEDDED_BINARY_PATH names one, and passes the other HATCHET_CLIENT_EMBEDDED_ \
                       variables on to it, as the official SDKs do.";

/// Registers tasks with a Hatchet engine and runs them.
#[derive(Debug, Parser)]
#[command(name = "worker", version = env!("HATCHET_QUICKSTART_VERSION"))]
#[command(after_help = exit::help(EXAMPLES), after_long_help = format!("{}\n\n{SIDECAR}", long_help(EXAMPLES)))]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Tasks and workflows to run, by name [env: HATCHET_WORKER_TASKS] [default: all]
    #[arg(short, long, value_name = "NAME,…")]
    pub(super) tasks: Option<String>,
    /// Maximum number of concurrent async and blocking tasks [env: HATCHET_WORKER_SLOTS] [default: 100]
    #[arg(long, value_name = "N", help_heading = CAPACITY)]
    pub(super) slots: Option<String>,
    /// Threads of the CPU pool, which is the maximum number of concurrent CPU tasks [env: HATCHET_WORKER_CPU_THREADS]
    /// [default: one per core]
    #[arg(long, value_name = "N", help_heading = CAPACITY)]
    pub(super) cpu_threads: Option<String>,
    /// Name of the worker; CPU tasks are registered by a worker named `<name>-cpu` [env: HATCHET_WORKER_NAME] [default:
    /// hatchet-quickstart]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Time for running tasks to end after SIGINT or SIGTERM (on Linux SIGHUP, too) [env: HATCHET_WORKER_GRACE]
    /// [default: 25s]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = START_AND_STOP)]
    pub(super) grace: Option<String>,
    /// Time to wait for an engine that is not up yet; calls that fail with an internal error of the engine are retried
    /// for at least 30s [env: HATCHET_WORKER_WAIT_FOR_ENGINE] [default: 0s]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = START_AND_STOP)]
    pub(super) wait_for_engine: Option<String>,
    /// Register each task a second time as `<task>-keyed`, which accepts each run key once: for `runner bench`;
    /// workflows of several tasks are not copied [env: HATCHET_WORKER_RUN_KEYS=1]
    #[arg(long, help_heading = BENCHMARK)]
    pub(super) run_keys: bool,
    /// File to which keyed tasks append a line at the start of each attempt
    #[arg(long, value_name = "FILE", requires = "run_keys", help_heading = BENCHMARK)]
    pub(super) executions_file: Option<PathBuf>,
    /// Stop, as after SIGTERM, when stdin ends, so that the worker does not outlive the process that started it
    #[arg(long, help_heading = START_AND_STOP)]
    pub(super) stop_with_stdin: bool,
    /// Show warnings and errors only: no runs, no banner
    #[arg(long, short, conflicts_with_all = ["log_level", "verbose"])]
    pub(super) quiet: bool,
    /// Serve the embedded engine without running tasks
    #[arg(long)]
    pub(super) engine_only: bool,
    /// Print each setting and its source, without secrets, and exit; `=json` prints one object per line
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "human", help_heading = INFORMATION)]
    pub(super) explain_config: Option<OutputFormat>,
    #[command(flatten)]
    pub(super) health: HealthArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    #[command(override_usage = "worker completions <SHELL>", after_help = completions::help("worker"))]
    Completions(completions::Args),
}

/// The definition of the arguments, for a completion script.
pub(super) fn definition() -> clap::Command {
    Args::command()
}

/// Parses the arguments of the process. Exits with the help or an error if they are not valid.
pub(super) fn parse() -> Args {
    Args::parse()
}
