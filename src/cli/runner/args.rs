//! The runner's arguments, as typed.

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, parser::ValueSource};

use super::command_args::{EngineCommand, RunArgs};
use crate::cli::{
    Exit, bench, completions,
    connection::{ConnectionArgs, long_help},
    doctor, exit,
    output::{OutputFormat, Program},
    settings::explain_config,
};

/// Headings of the help.
const EXISTING_RUNS: &str = "Existing runs";
const INFORMATION: &str = "Information";

const EXAMPLES: &str = r#"Examples:
  runner -e -t externally-triggered-task                    use the embedded engine
  runner -e -t externally-triggered-task -i '{"name": "Ada"}' -s
  runner -e -t sync-sleep-task --no-wait                    print the run's id
  runner -e -r ID                                           follow that run
  runner -e runs list                                       list the latest runs
  runner -e open                                            open the dashboard
  runner -e bench -n 500 --with-worker --open               measure 500 runs
  runner doctor                                             find a problem's cause"#;

/// Triggers a task by name, then follows its status or streams its events.
#[derive(Debug, Parser)]
#[command(name = "runner", version = env!("HATCHET_QUICKSTART_VERSION"))]
#[command(after_help = exit::help(EXAMPLES), after_long_help = long_help(EXAMPLES))]
#[command(subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Task to trigger
    #[arg(short, long, value_name = "NAME", required_unless_present_any = ["list_tasks", "run_id", "find", "cancel", "explain_config"])]
    pub(super) task_name: Option<String>,
    /// Input, a JSON object [default: the task's default]
    #[arg(short, long, value_name = "JSON", conflicts_with_all = ["input_file", "run_id"])]
    pub(super) input_json: Option<String>,
    /// File with the input; `-` for stdin
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "run_id")]
    pub(super) input_file: Option<String>,
    /// Show live events: status, stream chunks, the result
    #[arg(short, long, conflicts_with_all = ["no_wait", "cancel"])]
    pub(super) stream: bool,
    /// Print the run's id and exit
    #[arg(long, conflicts_with_all = ["run_id", "cancel"])]
    pub(super) no_wait: bool,
    /// Attach to an existing run
    #[arg(short, long, value_name = "ID", conflicts_with = "task_name", help_heading = EXISTING_RUNS)]
    pub(super) run_id: Option<String>,
    /// Attach to the only run of the last 30 days that has this pair in its metadata
    #[arg(long, value_name = "K=V", help_heading = EXISTING_RUNS, conflicts_with_all = ["task_name", "run_id", "input_json", "input_file", "cancel", "list_tasks", "metadata", "priority"])]
    pub(super) find: Option<String>,
    /// Cancel the run with the id --run-id, or all runs of any age that have not finished and have every pair of
    /// --metadata as strings, and print their ids
    #[arg(long, conflicts_with = "task_name", help_heading = EXISTING_RUNS)]
    pub(super) cancel: bool,
    /// List names, kinds and schemas of the tasks; needs no connection
    #[arg(short, long, conflicts_with_all = ["run_id", "stream", "no_wait"], help_heading = INFORMATION)]
    pub(super) list_tasks: bool,
    /// Maximum time to wait, such as 30s, or a number of seconds; the run continues
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub(super) timeout: Option<String>,
    /// Metadata pair by which the run can be found; repeatable
    #[arg(short, long, value_name = "K=V", conflicts_with = "run_id")]
    pub(super) metadata: Vec<String>,
    /// Priority from 1 to 3 [default: the task's]
    #[arg(long, value_name = "N", conflicts_with = "run_id")]
    pub(super) priority: Option<String>,
    /// Format of results
    #[arg(short, long, value_name = "FORMAT", default_value = "human")]
    pub(super) output: OutputFormat,
    /// Show results, warnings and errors only
    #[arg(long, short, conflicts_with_all = ["log_level", "verbose"])]
    pub(super) quiet: bool,
    /// Print each setting and its source, without secrets, and exit; `=json` prints one object per line
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "human", help_heading = INFORMATION)]
    explain_config: Option<OutputFormat>,
    /// Whether the task may belong to another program: it is looked up at the engine then.
    #[arg(skip)]
    pub(super) is_by_name: bool,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Trigger a task by name, and follow its run; the same as --task-name TASK, and for tasks of other programs, too
    Run(Box<RunArgs>),
    #[command(flatten)]
    Engine(EngineCommand),
    /// Submit many runs, follow them until they finish, and write a report with charts
    Bench(Box<bench::Args>),
    Doctor(doctor::Args),
    #[command(override_usage = "runner completions <SHELL>", after_help = completions::help("runner"))]
    Completions(completions::Args),
}

impl Args {
    /// Prints the settings if `--explain-config` is given. `None` without that flag.
    pub(super) fn explain_config(&self) -> Option<Result<(), Exit>> {
        let requested = self.explain_config?;
        let format = if self.output == OutputFormat::Json { OutputFormat::Json } else { requested };
        Some(explain_config(Program::Runner, format, self.connection.embedded, &self.connection.sources(), &[]))
    }
}

impl From<RunArgs> for Args {
    /// The flags without a subcommand that have the same effect.
    fn from(run: RunArgs) -> Self {
        Self {
            command: None,
            task_name: Some(run.task_name),
            input_json: run.input_json,
            input_file: run.input_file,
            stream: run.stream,
            no_wait: run.no_wait,
            run_id: None,
            find: None,
            cancel: false,
            list_tasks: false,
            timeout: run.timeout,
            metadata: run.metadata,
            priority: run.priority,
            output: run.output,
            quiet: run.quiet,
            explain_config: None,
            is_by_name: true,
            connection: run.connection,
        }
    }
}

/// The definition of the arguments, for a completion script.
pub(super) fn definition() -> clap::Command {
    Args::command()
}

/// Parses arguments. Connection flags may precede or follow a subcommand; other flags of the runner do not apply to
/// subcommands and are refused before a subcommand.
pub(super) fn parse(args: impl IntoIterator<Item: Into<OsString> + Clone>) -> Result<Args, clap::Error> {
    let mut command = Args::command();
    let matches = command.try_get_matches_from_mut(args)?;
    if let Some(subcommand) = matches.subcommand_name() {
        let is_given = |arg: &&clap::Arg| {
            !arg.is_global_set() && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        if let Some(flag) = command.get_arguments().find(is_given).and_then(clap::Arg::get_long) {
            let message = format!("--{flag} does not apply to `{subcommand}`: see `runner {subcommand} --help`");
            return Err(command.clone().error(clap::error::ErrorKind::ArgumentConflict, message));
        }
    }
    Args::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_flags_may_precede_or_follow_a_subcommand() {
        for args in [["runner", "--embedded", "doctor"], ["runner", "doctor", "--embedded"]] {
            let Ok(Args { command: Some(Command::Doctor(doctor)), .. }) = parse(args) else { panic!("{args:?}") };
            assert_eq!(format!("{doctor:?}").matches("Some(Always)").count(), 1, "{doctor:?}");
        }
        let args = ["runner", "--host-port", "x:1", "bench", "--runs", "3"];
        let Ok(Args { command: Some(Command::Bench(bench)), .. }) = parse(args) else { panic!("{args:?}") };
        assert!(format!("{bench:?}").contains(r#"host_port: Some("x:1")"#), "{bench:?}");
    }
}
