//! The arguments of `runner events`, `runner cron` and `runner scheduled`.

use std::time::{Duration, SystemTime};

use super::{engine_args::EngineArgs, parse};
use crate::{
    cli::{connection::long_help, exit, settings::parse_seconds},
    hatchet::{
        task::Priority,
        wire::{CronId, ScheduleId},
    },
};

pub(super) const EVENTS_EXAMPLES: &str = r#"Examples:
  runner events push order:created -e -i '{"id": 1}'
  runner events push order:created -e -f order.json --scope eu -m source=shop
  runner runs list -e --event 01234567-89ab-cdef-0123-456789abcdef    list its runs"#;

pub(super) const CRON_EXAMPLES: &str = r#"Examples:
  runner cron create sync-sleep-task nightly "0 3 * * *" -e -i '{"seconds": 1}'
  runner cron list -e
  runner cron disable 01234567-89ab-cdef-0123-456789abcdef
  runner cron enable 01234567-89ab-cdef-0123-456789abcdef
  runner cron delete 01234567-89ab-cdef-0123-456789abcdef"#;

pub(super) const SCHEDULED_EXAMPLES: &str = r#"Examples:
  runner scheduled create sync-sleep-task -e --in 1h30m
  runner scheduled create sync-sleep-task -e --at 2030-01-31T09:00:00Z -i '{"seconds": 1}'
  runner scheduled list -e
  runner scheduled delete 01234567-89ab-cdef-0123-456789abcdef"#;

/// The input, metadata and priority of the runs that a trigger starts.
#[derive(Debug, clap::Args)]
pub(in crate::cli::runner) struct InputArgs {
    /// Input of the runs, a JSON object [default: empty]
    #[arg(short, long, value_name = "JSON", conflicts_with = "input_file")]
    pub(in crate::cli::runner) input_json: Option<String>,
    /// File with the input; `-` for stdin
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(in crate::cli::runner) input_file: Option<String>,
    /// Metadata pair of the runs; repeatable
    #[arg(short, long, value_name = "K=V", value_parser = parse::pair)]
    pub(in crate::cli::runner) metadata: Vec<(String, String)>,
    /// Priority of the runs from 1 to 3 [default: the task's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse::priority)]
    pub(in crate::cli::runner) priority: Option<Priority>,
}

/// Subcommands of `events`.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli::runner) enum EventsCommand {
    /// Push an event, which starts a run of each task that has a trigger for its key
    #[command(after_help = exit::help(EVENTS_EXAMPLES), after_long_help = long_help(EVENTS_EXAMPLES))]
    Push(PushEvent),
}

/// The arguments of `events push`.
#[derive(Debug, clap::Args)]
pub(in crate::cli::runner) struct PushEvent {
    /// Key of the event
    #[arg(value_name = "KEY")]
    pub(in crate::cli::runner) key: String,
    /// Scope of the event, for the filters of the tasks
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli::runner) scope: Option<String>,
    #[command(flatten)]
    pub(in crate::cli::runner) input: InputArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Subcommands of `cron`.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli::runner) enum CronCommand {
    /// List crons, most recent first
    #[command(after_help = exit::help(CRON_EXAMPLES), after_long_help = long_help(CRON_EXAMPLES))]
    List {
        /// Only crons of this workflow
        #[arg(short, long, value_name = "NAME")]
        workflow: Option<String>,
        #[command(flatten)]
        engine: EngineArgs,
    },
    /// Create a cron, and print its id
    #[command(after_help = exit::help(CRON_EXAMPLES), after_long_help = long_help(CRON_EXAMPLES))]
    Create(CreateCron),
    /// Delete a cron; runs that it has started continue
    #[command(after_help = exit::help(CRON_EXAMPLES), after_long_help = long_help(CRON_EXAMPLES))]
    Delete {
        /// The cron
        #[arg(value_name = "ID")]
        cron: CronId,
        #[command(flatten)]
        engine: EngineArgs,
    },
    /// Let a disabled cron start runs again
    #[command(after_help = exit::help(CRON_EXAMPLES), after_long_help = long_help(CRON_EXAMPLES))]
    Enable {
        /// The cron
        #[arg(value_name = "ID")]
        cron: CronId,
        #[command(flatten)]
        engine: EngineArgs,
    },
    /// Keep a cron without starting runs
    #[command(after_help = exit::help(CRON_EXAMPLES), after_long_help = long_help(CRON_EXAMPLES))]
    Disable {
        /// The cron
        #[arg(value_name = "ID")]
        cron: CronId,
        #[command(flatten)]
        engine: EngineArgs,
    },
}

/// The arguments of `cron create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli::runner) struct CreateCron {
    /// Task of the runs
    #[arg(value_name = "TASK")]
    pub(in crate::cli::runner) task_name: String,
    /// Name of the cron
    #[arg(value_name = "NAME")]
    pub(in crate::cli::runner) name: String,
    /// Minute, hour, day of month, month and weekday, in UTC
    #[arg(value_name = "EXPRESSION")]
    pub(in crate::cli::runner) expression: String,
    #[command(flatten)]
    pub(in crate::cli::runner) input: InputArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Subcommands of `scheduled`.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli::runner) enum ScheduledCommand {
    /// List scheduled runs
    #[command(after_help = exit::help(SCHEDULED_EXAMPLES), after_long_help = long_help(SCHEDULED_EXAMPLES))]
    List {
        /// Only runs of this workflow
        #[arg(short, long, value_name = "NAME")]
        workflow: Option<String>,
        #[command(flatten)]
        engine: EngineArgs,
    },
    /// Schedule a run, and print the id of the schedule
    #[command(after_help = exit::help(SCHEDULED_EXAMPLES), after_long_help = long_help(SCHEDULED_EXAMPLES))]
    Create(CreateSchedule),
    /// Delete a scheduled run; a run that was started continues
    #[command(after_help = exit::help(SCHEDULED_EXAMPLES), after_long_help = long_help(SCHEDULED_EXAMPLES))]
    Delete {
        /// The schedule
        #[arg(value_name = "ID")]
        schedule: ScheduleId,
        #[command(flatten)]
        engine: EngineArgs,
    },
}

/// The arguments of `scheduled create`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("start").args(["at", "delay"]).required(true))]
pub(in crate::cli::runner) struct CreateSchedule {
    /// Task of the run
    #[arg(value_name = "TASK")]
    pub(in crate::cli::runner) task_name: String,
    /// Time of the start, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub(in crate::cli::runner) at: Option<SystemTime>,
    /// Delay until the start, such as 30s, 1h30m or 7d
    #[arg(long = "in", value_name = "DURATION", value_parser = parse_seconds)]
    pub(in crate::cli::runner) delay: Option<Duration>,
    #[command(flatten)]
    pub(in crate::cli::runner) input: InputArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

impl EventsCommand {
    pub(super) fn engine(&self) -> &EngineArgs {
        match self {
            Self::Push(PushEvent { engine, .. }) => engine,
        }
    }
}

impl CronCommand {
    pub(super) fn engine(&self) -> &EngineArgs {
        match self {
            Self::List { engine, .. }
            | Self::Create(CreateCron { engine, .. })
            | Self::Delete { engine, .. }
            | Self::Enable { engine, .. }
            | Self::Disable { engine, .. } => engine,
        }
    }
}

impl ScheduledCommand {
    pub(super) fn engine(&self) -> &EngineArgs {
        match self {
            Self::List { engine, .. } | Self::Create(CreateSchedule { engine, .. }) | Self::Delete { engine, .. } => {
                engine
            }
        }
    }
}
