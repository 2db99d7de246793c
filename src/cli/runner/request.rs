//! The runner's validated request.

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde_json::value::RawValue;

use super::args::Args;
use crate::{
    cli::{
        Exit,
        connection::EmbeddedMode,
        output::OutputFormat,
        settings::{parse_seconds, read_file, read_text, unknown_fields},
        task_registry::TaskRegistry,
    },
    hatchet::{
        client::{Source, Sources, TriggerOptions},
        task::{ErasedTask, Priority},
        wire::{RunId, check_object},
    },
};

/// Maximum size of an input: 64 MiB, far more than the default limit of a message to an engine (4 MiB).
const MAX_INPUT: usize = 64 << 20;

/// A validated command of the runner.
pub(super) struct Request {
    pub(super) action: Action,
    pub(super) tasks: TaskRegistry,
    /// Warnings about the input.
    pub(super) warnings: Vec<String>,
    pub(super) format: OutputFormat,
    /// Whether only results, notes and errors are shown.
    pub(super) quiet: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) embedded: Option<EmbeddedMode>,
    pub(super) sources: Sources,
}

/// An action of the runner.
pub(super) enum Action {
    /// List these tasks.
    List { tasks: Vec<ErasedTask> },
    /// Trigger a task.
    Trigger { task: Box<NamedTask>, input: Box<RawValue>, options: TriggerOptions, mode: FollowMode },
    /// Attach to the run with this id.
    Attach { run: RunId, mode: FollowMode },
    /// Attach to the only run with this metadata pair.
    Find { key: String, value: String, mode: FollowMode },
    /// Cancel the run with this id.
    Cancel { run: RunId },
    /// Cancel all runs with these metadata pairs.
    CancelWhere { metadata: Vec<(String, String)> },
}

/// A task, and the name by which it is triggered: its own name or an alias.
#[derive(Debug, Clone)]
pub(super) struct NamedTask {
    pub(super) task: ErasedTask,
    pub(super) name: String,
}

/// The display of a run while it is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FollowMode {
    /// Show its status, and its result at the end.
    Wait,
    /// Show its status, its events and its result.
    Stream,
    /// Print its id, and do not wait.
    NoWait,
}

impl Request {
    /// Validates the arguments.
    pub(super) fn from_args(args: Args, tasks: TaskRegistry) -> Result<Self, Exit> {
        let mode = match (args.stream, args.no_wait) {
            (true, _) => FollowMode::Stream,
            (false, true) => FollowMode::NoWait,
            (false, false) => FollowMode::Wait,
        };
        let task = args
            .task_name
            .as_deref()
            .map(|name| tasks.find(name))
            .transpose()
            .map_err(|e| Exit::usage(e.to_string()))?;
        let mut warnings = Vec::new();
        let action = match (args.list_tasks, &args.run_id, task, args.task_name) {
            (true, _, task, _) => Action::List { tasks: task.map_or_else(|| tasks.all().to_vec(), |task| vec![task]) },
            (false, Some(run), _, _) => {
                let run = run.parse().map_err(|e| Exit::usage(format!("--run-id: {e}")))?;
                if args.cancel { Action::Cancel { run } } else { Action::Attach { run, mode } }
            }
            (false, None, None, None) if let Some(pair) = &args.find => {
                let (key, value) = key_value("--find", pair)?;
                Action::Find { key, value, mode }
            }
            (false, None, Some(task), Some(name)) => {
                let input;
                (input, warnings) = read_input(&task, args.input_json, args.input_file.as_deref())?;
                let options = trigger_options(&args.metadata, args.priority.as_deref())?;
                Action::Trigger { task: Box::new(NamedTask { task, name }), input, options, mode }
            }
            (false, None, _, _) if args.cancel && !args.metadata.is_empty() => {
                Action::CancelWhere { metadata: key_values(&args.metadata)? }
            }
            (false, None, _, _) if args.cancel => {
                return Err(Exit::usage(
                    "--cancel needs a run: add --run-id, or --metadata key=value for several runs",
                ));
            }
            (false, None, _, _) => return Err(Exit::usage("nothing to do: name a task with --task-name")),
        };
        let invalid = |text: &str, rule| Exit::usage(format!("invalid --timeout \"{text}\": {rule}"));
        let timeout = args.timeout.map(|text| parse_seconds(&text).map_err(|rule| invalid(&text, rule))).transpose()?;
        let mut sources = args.connection.sources();
        if args.quiet {
            sources.set("HATCHET_CLIENT_LOG_LEVEL", "warn", Source::Flag("--quiet"));
        }
        let (format, quiet, embedded) = (args.output, args.quiet, args.connection.embedded);
        Ok(Self { action, tasks, warnings, format, quiet, timeout, embedded, sources })
    }
}

/// Reads and completes the input. It is validated by the task's input type, so that an invalid field is named before
/// anything is sent. Also returns warnings about fields that the task ignores.
fn read_input(
    task: &ErasedTask,
    json: Option<String>,
    file: Option<&str>,
) -> Result<(Box<RawValue>, Vec<String>), Exit> {
    let (source, text) = match (json, file) {
        (Some(json), _) => ("--input-json".to_owned(), json),
        (None, Some("-")) => {
            let text = read_text(std::io::stdin(), MAX_INPUT)
                .map_err(|e| Exit::usage(format!("--input-file -: reading stdin failed: {e}")))?;
            ("--input-file -".to_owned(), text)
        }
        (None, Some(file)) => {
            let text = read_file(Path::new(file), MAX_INPUT)
                .map_err(|e| Exit::usage(format!("--input-file: reading {file} failed: {e}")))?;
            (format!("--input-file {file}"), text)
        }
        (None, None) => (format!("the default input of {}", task.name()), "{}".to_owned()),
    };
    check_object(&text).map_err(|e| Exit::usage(format!("{source} is {e}")))?;
    let complete = task.complete_input(&text).map_err(|e| {
        Exit::usage(format!("{source} does not fit {}: {e}: see the schema with `runner --list-tasks`", task.name()))
    })?;
    let warnings = unknown_fields(task, &text).iter().map(|field| format!("{source} has {field}")).collect();
    let input =
        RawValue::from_string(complete).map_err(|e| Exit::usage(format!("writing {source} as JSON failed: {e}")))?;
    Ok((input, warnings))
}

fn trigger_options(metadata: &[String], priority: Option<&str>) -> Result<TriggerOptions, Exit> {
    let mut options = TriggerOptions::default();
    for (key, value) in key_values(metadata)? {
        options.additional_metadata.insert(key, value.into());
    }
    options.priority = match priority {
        None => None,
        Some(text) => match text.parse().ok().and_then(Priority::from_number) {
            Some(priority) => Some(priority),
            None => return Err(Exit::usage(format!("invalid --priority \"{text}\": set it to a number from 1 to 3"))),
        },
    };
    Ok(options)
}

/// Parses metadata pairs. Each key must be unique, since a run has one value per key.
fn key_values(pairs: &[String]) -> Result<Vec<(String, String)>, Exit> {
    let mut keys = BTreeSet::new();
    pairs
        .iter()
        .map(|pair| {
            let (key, value) = key_value("--metadata", pair)?;
            if !keys.insert(key.clone()) {
                return Err(Exit::usage(format!("--metadata has the key `{key}` twice: give each key once")));
            }
            Ok((key, value))
        })
        .collect()
}

fn key_value(flag: &str, pair: &str) -> Result<(String, String), Exit> {
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Exit::usage(format!("invalid {flag} \"{pair}\": write key=value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::args::parse, *};

    fn request(args: &[&str]) -> Result<Request, String> {
        let args = parse([&["runner"], args].concat()).map_err(|e| e.to_string())?;
        Request::from_args(args, TaskRegistry::of_quickstart()).map_err(|e| format!("{e:?}"))
    }

    #[test]
    fn default_input_is_complete() {
        let Ok(Request { action: Action::Trigger { input, .. }, .. }) =
            request(&["--task-name", "externally-triggered-task"])
        else {
            panic!("not a trigger")
        };
        assert_eq!(input.get(), r#"{"name":"World"}"#);
    }

    #[test]
    fn unknown_field_is_a_warning() {
        let warnings = |json: &str| {
            let args = ["--task-name", "externally-triggered-task", "--input-json", json];
            request(&args).unwrap_or_else(|e| panic!("{e}")).warnings
        };
        assert_eq!(
            warnings(r#"{"nmae":"Ada"}"#),
            ["--input-json has the unknown field `nmae`, which is ignored; did you mean `name`?"]
        );
        assert!(warnings(r#"{"name":"Ada"}"#).is_empty());
    }

    #[test]
    fn invalid_argument_is_named() {
        for (args, named) in [
            (&["--task-name", "cpu-heavy-tsk"][..], "did you mean `cpu-heavy-task`"),
            (&["--task-name", "cpu-heavy-task", "--input-json", "{"], "--input-json is not JSON"),
            (&["--task-name", "cpu-heavy-task", "--input-json", "[]"], "array"),
            (&["--task-name", "cpu-heavy-task", "--input-json", r#"{"limit":"x"}"#], "field `limit`"),
            (&["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"\u0000"}"#], "NUL"),
            (&["--task-name", "cpu-heavy-task", "--priority", "4"], "invalid --priority"),
            (&["--task-name", "cpu-heavy-task", "--metadata", "x"], "invalid --metadata"),
            (&["--task-name", "cpu-heavy-task", "--timeout", "1d"], "invalid --timeout"),
            (&["--run-id", "x"], "--run-id"),
            (&["--cancel"], "--run-id"),
            (&["--find", "x"], "invalid --find"),
            (&["--cancel", "--metadata", "x"], "invalid --metadata"),
            (&["--cancel", "--metadata", "k=1", "--metadata", "k=2"], "the key `k` twice"),
            (&["--task-name", "cpu-heavy-task", "--metadata", "k=1", "--metadata", "k=1"], "the key `k` twice"),
            (&["--task-name", "cpu-heavy-task", "doctor"], "--task-name does not apply to `doctor`"),
            (&["--timeout", "1s", "bench"], "see `runner bench --help`"),
            (&[], "--task-name"),
        ] {
            let Err(message) = request(args) else { panic!("{args:?} passed") };
            assert!(message.contains(named), "{args:?}: {message}");
        }
    }
}
