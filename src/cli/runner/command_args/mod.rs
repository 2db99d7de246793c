//! The arguments of the runner's commands about an engine. The parser validates them.

mod engine_args;
mod parse;
mod run;
mod runs;
mod triggers;

use self::engine_args::EngineArgs;
pub(super) use self::{
    run::RunArgs,
    runs::{Logs, ReplayRuns, RunFilterArgs, RunsCommand},
    triggers::{CreateCron, CreateSchedule, CronCommand, EventsCommand, InputArgs, PushEvent, ScheduledCommand},
};
use super::setup::Setup;
use crate::cli::{connection::long_help, exit, task_registry::TaskRegistry};

const WORKERS_EXAMPLES: &str = "Examples:
  runner workers list -e                 list the workers that are online
  runner workers list -e --all -o json   list the workers that have stopped, too";

const WORKFLOWS_EXAMPLES: &str = "Examples:
  runner workflows list -e               list the workflows of the engine
  runner workflows get sync-sleep-task   show the fields of its input";

const OPEN_EXAMPLES: &str = "Examples:
  runner open -e                         open the dashboard of the embedded engine
  runner open -e --print-only            print its link, which is signed in";

/// Commands about the runs and the other resources of an engine.
#[derive(Debug, clap::Subcommand)]
pub(super) enum EngineCommand {
    /// List, show, watch, cancel and replay runs
    #[command(subcommand, after_help = runs::EXAMPLES)]
    Runs(RunsCommand),
    /// List workers
    #[command(subcommand, after_help = WORKERS_EXAMPLES)]
    Workers(WorkersCommand),
    /// List workflows, and show their inputs; a task is a workflow of its name
    #[command(subcommand, after_help = WORKFLOWS_EXAMPLES)]
    Workflows(WorkflowsCommand),
    /// Push events
    #[command(subcommand, after_help = triggers::EVENTS_EXAMPLES)]
    Events(EventsCommand),
    /// List, create and change crons
    #[command(subcommand, after_help = triggers::CRON_EXAMPLES)]
    Cron(CronCommand),
    /// List, create and delete scheduled runs
    #[command(subcommand, after_help = triggers::SCHEDULED_EXAMPLES)]
    Scheduled(ScheduledCommand),
    /// Open the dashboard of the engine in a browser, and print its link
    ///
    /// The link of an embedded engine contains the engine's token: keep it secret.
    #[command(after_help = exit::help(OPEN_EXAMPLES), after_long_help = long_help(OPEN_EXAMPLES))]
    Open {
        /// Open no browser
        #[arg(short, long)]
        print_only: bool,
        #[command(flatten)]
        engine: EngineArgs,
    },
}

/// Subcommands of `workers`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum WorkersCommand {
    /// List the workers that are online, most recent first
    #[command(after_help = exit::help(WORKERS_EXAMPLES), after_long_help = long_help(WORKERS_EXAMPLES))]
    List {
        /// Include workers that have stopped
        #[arg(short, long)]
        all: bool,
        #[command(flatten)]
        engine: EngineArgs,
    },
}

/// Subcommands of `workflows`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum WorkflowsCommand {
    /// List the workflows, most recent first
    #[command(after_help = exit::help(WORKFLOWS_EXAMPLES), after_long_help = long_help(WORKFLOWS_EXAMPLES))]
    List {
        /// Only workflows whose names contain this text
        #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        search: String,
        /// Maximum number of workflows
        #[arg(short = 'n', long, value_name = "N", default_value = "50", allow_negative_numbers = true, value_parser = parse::count)]
        limit: usize,
        #[command(flatten)]
        engine: EngineArgs,
    },
    /// Show a workflow with the fields of its input
    #[command(after_help = exit::help(WORKFLOWS_EXAMPLES), after_long_help = long_help(WORKFLOWS_EXAMPLES))]
    Get {
        /// The workflow
        #[arg(value_name = "NAME")]
        task_name: String,
        #[command(flatten)]
        engine: EngineArgs,
    },
}

impl EngineCommand {
    /// The settings of the command.
    pub(super) fn setup(&self, tasks: TaskRegistry) -> Setup {
        let engine = match self {
            Self::Runs(command) => command.engine(),
            Self::Workers(WorkersCommand::List { engine, .. })
            | Self::Workflows(WorkflowsCommand::List { engine, .. } | WorkflowsCommand::Get { engine, .. }) => engine,
            Self::Events(command) => command.engine(),
            Self::Cron(command) => command.engine(),
            Self::Scheduled(command) => command.engine(),
            Self::Open { engine, .. } => engine,
        };
        Setup::new(tasks, engine.output, engine.quiet, engine.timeout, &engine.connection)
    }
}
