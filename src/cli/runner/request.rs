//! Arguments as typed, then as a validated plan; only the plan goes on.

use std::{collections::BTreeSet, ffi::OsString, path::Path, time::Duration};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, parser::ValueSource};
use serde_json::value::RawValue;

use crate::{
    cli::{
        ConnectionFlags, Exit, bench,
        connection::engine::When,
        doctor, exit,
        output::Format,
        settings::{bounded, explain},
    },
    hatchet::{
        client::{Sources, TriggerOptions},
        task::{ErasedTask, Priority},
        wire::{RunId, check_object, parse_duration},
    },
    tasks,
};

/// Largest input that is read, in bytes: far more than a message to an engine may have by default (4 MiB).
const LARGEST_INPUT: usize = 64 << 20;

/// Triggers a task by name, then follows its status or streams its events.
#[derive(Debug, Parser)]
#[command(name = "runner", version, after_help = exit::CODES, after_long_help = crate::cli::settings_help() + "\n\n" + exit::CODES)]
#[command(subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Task to trigger
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list_tasks", "run_id", "find", "cancel", "explain_config"])]
    task_name: Option<String>,
    /// Input, a JSON object [default: the task's own]
    #[arg(long, value_name = "JSON", conflicts_with_all = ["input_file", "run_id"])]
    input_json: Option<String>,
    /// File with the input, `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "run_id")]
    input_file: Option<String>,
    /// Show live events: status, stream chunks, the end
    #[arg(long, conflicts_with_all = ["no_wait", "cancel"])]
    stream: bool,
    /// Print the run's id and leave
    #[arg(long, conflicts_with_all = ["run_id", "cancel"])]
    no_wait: bool,
    /// Attach to a run that was made earlier
    #[arg(long, value_name = "ID", conflicts_with = "task_name")]
    run_id: Option<String>,
    /// Attach to the one run of the last 30 days that has this pair in its metadata
    #[arg(long, value_name = "K=V", conflicts_with_all = ["task_name", "run_id", "input_json", "input_file", "cancel", "list_tasks", "metadata", "priority"])]
    find: Option<String>,
    /// Cancel the run that --run-id names, or all runs, however old, that have not ended and
    /// have every pair of --metadata as strings; prints their ids
    #[arg(long, conflicts_with = "task_name")]
    cancel: bool,
    /// List names, kinds and schemas of the tasks; needs no connection
    #[arg(long, conflicts_with_all = ["run_id", "stream", "no_wait"])]
    list_tasks: bool,
    /// Wait no longer than this in all, such as 30s; the run goes on
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Pair that the run can be found by; may be given again
    #[arg(long, value_name = "K=V", conflicts_with = "run_id")]
    metadata: Vec<String>,
    /// 1 to 3 [default: the task's]
    #[arg(long, value_name = "N", conflicts_with = "run_id")]
    priority: Option<String>,
    /// How results are written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    output: Format,
    /// Print each setting with where it came from, secrets left out, and leave; `=json` for one object a line
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "human")]
    explain_config: Option<Format>,
    #[command(flatten)]
    connection: ConnectionFlags,
}

impl Args {
    /// `--explain-config`, in words, where that was asked for.
    pub(super) fn explain(&self) -> Option<Result<(), Exit>> {
        let format = if self.output == Format::Json { self.output } else { self.explain_config? };
        self.explain_config?;
        Some(explain::print(format, self.connection.embedded, &self.connection.sources(), &[]))
    }
}

/// Reads the words. Flags of the connection may stand before a subcommand as well as after it; those that are about a
/// run say nothing to one.
pub(super) fn parse(words: impl IntoIterator<Item: Into<OsString> + Clone>) -> Result<Args, clap::Error> {
    let mut command = Args::command();
    let matches = command.try_get_matches_from_mut(words)?;
    if let Some(subcommand) = matches.subcommand_name() {
        let typed = |arg: &&clap::Arg| {
            !arg.is_global_set() && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        if let Some(flag) = command.get_arguments().find(typed).and_then(clap::Arg::get_long) {
            let message = format!("--{flag} does not go before `{subcommand}`: see `runner {subcommand} --help`");
            return Err(command.clone().error(clap::error::ErrorKind::ArgumentConflict, message));
        }
    }
    Args::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

/// What is not about one run.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Submit many runs at once, follow them to their end, and write a report with charts
    Bench(Box<bench::Args>),
    Doctor(doctor::Args),
}

/// What was asked for, checked before any call.
pub(super) struct Plan {
    pub(super) action: Action,
    pub(super) format: Format,
    pub(super) timeout: Option<Duration>,
    pub(super) embedded: Option<When>,
    pub(super) sources: Sources,
}

pub(super) enum Action {
    List {
        task: Option<ErasedTask>,
    },
    Trigger {
        task: ErasedTask,
        /// The name that was asked for, which may be an alias.
        name: String,
        input: Box<RawValue>,
        options: TriggerOptions,
        mode: Mode,
    },
    Attach {
        run: RunId,
        mode: Mode,
    },
    Find {
        key: String,
        value: String,
        mode: Mode,
    },
    Cancel {
        run: RunId,
    },
    CancelWhere {
        metadata: Vec<(String, String)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Wait,
    Stream,
    NoWait,
}

pub(super) fn check(args: Args) -> Result<Plan, Exit> {
    let mode = match (args.stream, args.no_wait) {
        (true, _) => Mode::Stream,
        (false, true) => Mode::NoWait,
        (false, false) => Mode::Wait,
    };
    let task = args.task_name.as_deref().map(tasks::find).transpose().map_err(|e| Exit::usage(e.to_string()))?;
    let action = match (args.list_tasks, &args.run_id, task, args.task_name) {
        (true, _, task, _) => Action::List { task },
        (false, Some(run), _, _) => {
            let run = run.parse().map_err(|e| Exit::usage(format!("--run-id: {e}")))?;
            if args.cancel { Action::Cancel { run } } else { Action::Attach { run, mode } }
        }
        (false, None, None, None) if let Some(pair) = &args.find => {
            let (key, value) = key_value("--find", pair)?;
            Action::Find { key, value, mode }
        }
        (false, None, Some(task), Some(name)) => {
            let input = input(&task, args.input_json, args.input_file.as_deref())?;
            let options = options(&args.metadata, args.priority.as_deref())?;
            Action::Trigger { task, name, input, options, mode }
        }
        (false, None, _, _) if args.cancel && !args.metadata.is_empty() => {
            Action::CancelWhere { metadata: key_values(&args.metadata)? }
        }
        (false, None, _, _) if args.cancel => {
            return Err(Exit::usage("--cancel: say which run by --run-id, or which runs by --metadata key=value"));
        }
        (false, None, _, _) => return Err(Exit::usage("nothing to do: name a task with --task-name")),
    };
    let timeout = args
        .timeout
        .map(|text| parse_duration(&text).map_err(|e| Exit::usage(format!("--timeout: {e}"))))
        .transpose()?;
    Ok(Plan {
        action,
        format: args.output,
        timeout,
        embedded: args.connection.embedded,
        sources: args.connection.sources(),
    })
}

/// The input in full, by the task's own type: a field that does not fit is named before anything is sent.
fn input(task: &ErasedTask, json: Option<String>, file: Option<&str>) -> Result<Box<RawValue>, Exit> {
    let (from, text) = match (json, file) {
        (Some(json), _) => ("--input-json".to_owned(), json),
        (None, Some("-")) => {
            let text = bounded::read(std::io::stdin(), LARGEST_INPUT)
                .map_err(|e| Exit::usage(format!("--input-file -: stdin cannot be read: {e}")))?;
            ("--input-file -".to_owned(), text)
        }
        (None, Some(file)) => {
            let text = bounded::read_file(Path::new(file), LARGEST_INPUT)
                .map_err(|e| Exit::usage(format!("--input-file: {file} cannot be read: {e}")))?;
            (format!("--input-file {file}"), text)
        }
        (None, None) => (format!("the default input of {}", task.name()), "{}".to_owned()),
    };
    check_object(&text).map_err(|e| Exit::usage(format!("{from} is {e}")))?;
    let full = task.complete_input(&text).map_err(|e| {
        Exit::usage(format!("{from} does not fit {}: {e}: `runner --list-tasks` shows the schema", task.name()))
    })?;
    RawValue::from_string(full).map_err(|e| Exit::usage(format!("{from} cannot be written as JSON: {e}")))
}

fn options(metadata: &[String], priority: Option<&str>) -> Result<TriggerOptions, Exit> {
    let mut options = TriggerOptions::default();
    for (key, value) in key_values(metadata)? {
        options.additional_metadata.insert(key, value.into());
    }
    options.priority = match priority {
        None => None,
        Some(text) => match text.parse().ok().and_then(Priority::from_number) {
            Some(priority) => Some(priority),
            None => return Err(Exit::usage(format!("--priority is `{text}`: it goes from 1 to 3"))),
        },
    };
    Ok(options)
}

/// The pairs, each key once: of two values of one key, a run has one at most.
fn key_values(pairs: &[String]) -> Result<Vec<(String, String)>, Exit> {
    let mut seen = BTreeSet::new();
    pairs
        .iter()
        .map(|pair| {
            let (key, value) = key_value("--metadata", pair)?;
            if !seen.insert(key.clone()) {
                return Err(Exit::usage(format!("--metadata has the key `{key}` twice: give each key once")));
            }
            Ok((key, value))
        })
        .collect()
}

fn key_value(flag: &str, pair: &str) -> Result<(String, String), Exit> {
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Exit::usage(format!("{flag} is `{pair}`: write key=value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str]) -> Result<Plan, String> {
        let args = parse([&["runner"], words].concat()).map_err(|e| e.to_string())?;
        check(args).map_err(|e| format!("{e:?}"))
    }

    #[test]
    fn the_default_input_is_sent_in_full() {
        let Ok(Plan { action: Action::Trigger { input, .. }, .. }) =
            plan(&["--task-name", "externally-triggered-task"])
        else {
            panic!("no trigger")
        };
        assert_eq!(input.get(), r#"{"name":"World"}"#);
    }

    #[test]
    fn flags_of_the_connection_stand_before_a_subcommand_or_after_it() {
        for words in [["runner", "--embedded", "doctor"], ["runner", "doctor", "--embedded"]] {
            let Ok(Args { command: Some(Command::Doctor(doctor)), .. }) = parse(words) else { panic!("{words:?}") };
            assert_eq!(format!("{:?}", doctor).matches("Some(Always)").count(), 1, "{doctor:?}");
        }
        let words = ["runner", "--host-port", "x:1", "bench", "--runs", "3"];
        let Ok(Args { command: Some(Command::Bench(bench)), .. }) = parse(words) else { panic!("{words:?}") };
        assert!(format!("{bench:?}").contains(r#"host_port: Some("x:1")"#), "{bench:?}");
    }

    #[test]
    fn each_bad_word_is_named() {
        for (words, named) in [
            (&["--task-name", "cpu-heavy-tsk"][..], "did you mean `cpu-heavy-task`"),
            (&["--task-name", "cpu-heavy-task", "--input-json", "{"], "--input-json is not JSON"),
            (&["--task-name", "cpu-heavy-task", "--input-json", "[]"], "array"),
            (&["--task-name", "cpu-heavy-task", "--input-json", r#"{"limit":"x"}"#], "field `limit`"),
            (&["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"\u0000"}"#], "NUL"),
            (&["--task-name", "cpu-heavy-task", "--priority", "4"], "--priority is `4`"),
            (&["--task-name", "cpu-heavy-task", "--metadata", "x"], "--metadata is `x`"),
            (&["--task-name", "cpu-heavy-task", "--timeout", "1d"], "--timeout"),
            (&["--run-id", "x"], "--run-id"),
            (&["--cancel"], "--run-id"),
            (&["--find", "x"], "--find is `x`"),
            (&["--cancel", "--metadata", "x"], "--metadata is `x`"),
            (&["--cancel", "--metadata", "k=1", "--metadata", "k=2"], "the key `k` twice"),
            (&["--task-name", "cpu-heavy-task", "--metadata", "k=1", "--metadata", "k=1"], "the key `k` twice"),
            (&["--task-name", "cpu-heavy-task", "doctor"], "--task-name does not go before `doctor`"),
            (&["--timeout", "1s", "bench"], "see `runner bench --help`"),
            (&[], "--task-name"),
        ] {
            let Err(message) = plan(words) else { panic!("{words:?} passed") };
            assert!(message.contains(named), "{words:?}: {message}");
        }
    }
}
