//! The arguments of `runner bench`, as typed.

use std::path::PathBuf;

use crate::cli::{
    connection::{ConnectionArgs, long_help},
    exit,
    output::OutputFormat,
};

/// Headings of the help.
const LOAD: &str = "Load";
const REPORT: &str = "Report";

const EXAMPLES: &str = r#"Examples:
  runner bench -e --with-worker --open
  runner bench -e -w -t sync-sleep-task -n 200 -i '{"seconds": 0.05}'
  runner bench -e -w --rate 50 --timeout 2m --out now --compare before"#;

/// Submits many runs of tasks, follows them until they finish, and writes a report with charts.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
pub(crate) struct Args {
    /// Tasks to run, by name
    #[arg(short, long, value_name = "NAME,…", default_value = "externally-triggered-task")]
    pub(super) tasks: String,
    /// Number of runs of each task
    #[arg(short = 'n', long, value_name = "N", default_value = "1000", allow_hyphen_values = true)]
    pub(super) runs: String,
    /// Input of each run, a JSON object, or TASK=JSON for one of several tasks; `{index}` inside a string becomes the
    /// run's index, a string that is `{index}` becomes a number, and `{index:text}` stays a string [default: the task's
    /// default]
    #[arg(short, long, value_name = "JSON")]
    pub(super) input_json: Vec<String>,
    /// Prefix of the run keys; repeating a prefix attaches to the existing runs [default: generated from the time]
    #[arg(long, value_name = "TEXT", help_heading = LOAD)]
    pub(super) key_prefix: Option<String>,
    /// Maximum number of runs per call
    #[arg(long, value_name = "N", default_value = "1000", allow_hyphen_values = true, help_heading = LOAD)]
    pub(super) batch: String,
    /// Runs per second, submitted on a fixed schedule [default: as fast as they are accepted]
    #[arg(long, value_name = "RUNS/S", allow_hyphen_values = true, help_heading = LOAD)]
    pub(super) rate: Option<String>,
    /// Time limit for the runs, and separately for the preparation before them
    #[arg(long, value_name = "DURATION", default_value = "10m", allow_hyphen_values = true, help_heading = LOAD)]
    pub(super) timeout: String,
    /// Folder for the report [default: hatchet-bench/<key prefix>]
    #[arg(long, value_name = "DIR", help_heading = REPORT)]
    pub(super) out: Option<PathBuf>,
    /// Folder of an earlier report to compare with
    #[arg(long, value_name = "DIR", help_heading = REPORT)]
    pub(super) compare: Option<PathBuf>,
    /// Open the report in a browser at the end
    #[arg(long, help_heading = REPORT)]
    pub(super) open: bool,
    /// Start a worker for the tasks, and stop it at the end
    #[arg(short, long)]
    pub(super) with_worker: bool,
    /// Submit every run a second time, and fail if the tasks counted an execution twice
    #[arg(long, requires = "with_worker", help_heading = LOAD)]
    pub(super) verify_dedupe: bool,
    /// Format of results
    #[arg(short, long, value_name = "FORMAT", default_value = "human", help_heading = REPORT)]
    pub(super) output: OutputFormat,
    /// Show results, warnings and errors only
    #[arg(long, short, conflicts_with_all = ["log_level", "verbose"])]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}
