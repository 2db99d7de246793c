//! The arguments of `runner run`.

use crate::cli::{
    connection::{ConnectionArgs, long_help},
    exit,
    output::OutputFormat,
};

const EXAMPLES: &str = r#"Examples:
  runner run externally-triggered-task -e                   wait for the result
  runner run externally-triggered-task -e -i '{"name": "Ada"}' -s
  runner run sync-sleep-task -e --no-wait                   print the run's id
  runner run report --input-file order.json                 a task of another program

A task of this program has a typed input. For another task, the engine's JSON Schema of the workflow is used: see it with
`runner workflows get TASK`."#;

/// The arguments of `runner run`.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
pub(in crate::cli::runner) struct RunArgs {
    /// Task to trigger
    #[arg(value_name = "TASK")]
    pub(in crate::cli::runner) task_name: String,
    /// Input, a JSON object [default: the task's default]
    #[arg(short, long, value_name = "JSON", conflicts_with = "input_file")]
    pub(in crate::cli::runner) input_json: Option<String>,
    /// File with the input; `-` for stdin
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(in crate::cli::runner) input_file: Option<String>,
    /// Show live events: status, stream chunks, the result
    #[arg(short, long, conflicts_with = "no_wait")]
    pub(in crate::cli::runner) stream: bool,
    /// Print the run's id and exit
    #[arg(long)]
    pub(in crate::cli::runner) no_wait: bool,
    /// Maximum time to wait, such as 30s, or a number of seconds; the run continues
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub(in crate::cli::runner) timeout: Option<String>,
    /// Metadata pair by which the run can be found; repeatable
    #[arg(short, long, value_name = "K=V")]
    pub(in crate::cli::runner) metadata: Vec<String>,
    /// Priority from 1 to 3 [default: the task's]
    #[arg(long, value_name = "N")]
    pub(in crate::cli::runner) priority: Option<String>,
    /// Format of results
    #[arg(short, long, value_name = "FORMAT", default_value = "human")]
    pub(in crate::cli::runner) output: OutputFormat,
    /// Show results, warnings and errors only
    #[arg(long, short, conflicts_with_all = ["log_level", "verbose"])]
    pub(in crate::cli::runner) quiet: bool,
    #[command(flatten)]
    pub(in crate::cli::runner) connection: ConnectionArgs,
}
