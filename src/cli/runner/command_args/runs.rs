//! The arguments of `runner runs`.

use std::time::Duration;

use super::{engine_args::EngineArgs, parse};
use crate::{
    cli::{connection::long_help, exit, settings::parse_seconds},
    hatchet::wire::{EventId, RunId, RunStatus},
};

pub(super) const EXAMPLES: &str = "Examples:
  runner runs list -e --status failed,cancelled --since 7d
  runner runs list -e --workflow sync-sleep-task -m team=a -o json
  runner runs get 01234567-89ab-cdef-0123-456789abcdef
  runner runs watch 01234567-89ab-cdef-0123-456789abcdef --stream
  runner runs cancel -e -m team=a                     cancel all open runs of team a
  runner runs replay -e --status failed --since 1h    run the failed runs of the last hour again
  runner runs logs 01234567-89ab-cdef-0123-456789abcdef --tail 20 --follow
  runner runs events 01234567-89ab-cdef-0123-456789abcdef";

/// Heading of the flags that select runs.
const SELECTION: &str = "Selection";

/// Subcommands of `runs`.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli::runner) enum RunsCommand {
    /// List runs, most recent first
    #[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
    List {
        #[command(flatten)]
        filter: RunFilterArgs,
        /// Only the children of this task run
        #[arg(long, value_name = "ID", help_heading = SELECTION)]
        parent: Option<RunId>,
        /// Only the runs that this event has started
        #[arg(long, value_name = "ID", help_heading = SELECTION)]
        event: Option<EventId>,
        /// Maximum number of runs
        #[arg(short = 'n', long, value_name = "N", default_value = "20", allow_negative_numbers = true, value_parser = parse::count)]
        limit: usize,
        #[command(flatten)]
        engine: EngineArgs,
    },
    /// Show a run: its status, input, tasks, and output or error
    #[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
    Get {
        /// The run
        #[arg(value_name = "ID")]
        run: RunId,
        #[command(flatten)]
        engine: EngineArgs,
    },
    /// Follow a run until it has finished; the exit code is that of the run
    #[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
    Watch {
        /// The run
        #[arg(value_name = "ID")]
        run: RunId,
        /// Show its events and log lines, too
        #[arg(short, long)]
        stream: bool,
        #[command(flatten)]
        engine: EngineArgs,
    },
    /// Cancel runs, by id or by metadata; waits for the end of a single run
    #[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
    Cancel {
        /// The runs
        #[arg(value_name = "ID", required_unless_present = "metadata", conflicts_with = "metadata")]
        runs: Vec<RunId>,
        /// Cancel all open runs of any age that have this metadata pair; several pairs must all be present
        #[arg(short, long, value_name = "K=V", value_parser = parse::pair)]
        metadata: Vec<(String, String)>,
        #[command(flatten)]
        engine: EngineArgs,
    },
    /// Run finished runs again, under their ids
    #[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
    Replay(ReplayRuns),
    /// Show the log lines of a run; with --follow also those to come, and the exit code is that of the run
    #[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
    Logs(Logs),
    /// Show the history of a run: queued, assigned, started, retried, finished
    #[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
    Events {
        /// The run
        #[arg(value_name = "ID")]
        run: RunId,
        #[command(flatten)]
        engine: EngineArgs,
    },
}

/// Flags that select runs of an engine's list.
#[derive(Debug, clap::Args)]
pub(in crate::cli::runner) struct RunFilterArgs {
    /// Only runs with any of these statuses: queued, running, completed, failed, cancelled or evicted
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',', value_parser = parse::status, help_heading = SELECTION)]
    pub(in crate::cli::runner) status: Vec<RunStatus>,
    /// Only runs of any of these workflows
    #[arg(short, long, value_name = "NAME,…", value_delimiter = ',', help_heading = SELECTION)]
    pub(in crate::cli::runner) workflow: Vec<String>,
    /// Only runs with this metadata pair; several pairs must all be present
    #[arg(short, long, value_name = "K=V", value_parser = parse::pair, help_heading = SELECTION)]
    pub(in crate::cli::runner) metadata: Vec<(String, String)>,
    /// Only runs that were triggered within this time, such as 30m, 12h or 7d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_seconds, help_heading = SELECTION)]
    pub(in crate::cli::runner) since: Duration,
}

/// The arguments of `runs replay`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("selection").args(["runs", "status", "workflow", "metadata"]).required(true).multiple(true))]
pub(in crate::cli::runner) struct ReplayRuns {
    /// The runs
    #[arg(value_name = "ID", conflicts_with_all = ["status", "workflow", "metadata"])]
    pub(in crate::cli::runner) runs: Vec<RunId>,
    #[command(flatten)]
    pub(in crate::cli::runner) filter: RunFilterArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// The arguments of `runs logs`.
#[derive(Debug, clap::Args)]
pub(in crate::cli::runner) struct Logs {
    /// The run
    #[arg(value_name = "ID")]
    pub(in crate::cli::runner) run: RunId,
    /// Only the last N lines
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse::count)]
    pub(in crate::cli::runner) tail: Option<usize>,
    /// Show new lines until the run has finished
    #[arg(short, long)]
    pub(in crate::cli::runner) follow: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

impl RunsCommand {
    pub(super) fn engine(&self) -> &EngineArgs {
        match self {
            Self::List { engine, .. }
            | Self::Get { engine, .. }
            | Self::Watch { engine, .. }
            | Self::Cancel { engine, .. }
            | Self::Replay(ReplayRuns { engine, .. })
            | Self::Logs(Logs { engine, .. })
            | Self::Events { engine, .. } => engine,
        }
    }
}
