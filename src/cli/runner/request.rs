//! The runner's validated request.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::{
    args::Args,
    input::InputText,
    setup::{Setup, parse_timeout},
};
use crate::{
    cli::{Exit, task_registry::TaskRegistry},
    hatchet::{
        client::TriggerOptions,
        task::{ErasedTask, Priority},
        wire::RunId,
    },
};

/// A validated command of the runner.
pub(super) struct Request {
    pub(super) action: Action,
    /// Warnings about the input.
    pub(super) warnings: Vec<String>,
    pub(super) setup: Setup,
}

/// An action of the runner.
pub(super) enum Action {
    /// List these tasks.
    List { tasks: Vec<ErasedTask> },
    /// Trigger a task.
    Trigger { task: Box<NamedTask>, input: Box<RawValue>, options: TriggerOptions, mode: FollowMode },
    /// Trigger a task of another program by its name.
    TriggerByName { name: String, input: InputText, options: TriggerOptions, mode: FollowMode },
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
    /// `None` for a task of another program.
    pub(super) task: Option<ErasedTask>,
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
        let task = match args.task_name.as_deref().map(|name| tasks.find(name)).transpose() {
            Ok(task) => task,
            Err(_) if args.is_by_name => None,
            Err(error) => return Err(Exit::usage(error.to_string())),
        };
        let mut warnings = Vec::new();
        let action = match (args.list_tasks, &args.run_id, task, args.task_name) {
            (true, _, task, _) => Action::List { tasks: task.map_or_else(|| tasks.all().to_vec(), |task| vec![task]) },
            (false, Some(run), _, _) => {
                let run = run.parse().map_err(|e| Exit::usage(format!("--run-id: {e}")))?;
                if args.cancel { Action::Cancel { run } } else { Action::Attach { run, mode } }
            }
            (false, None, _, None) if let Some(pair) = &args.find => {
                let (key, value) = key_value("--find", pair)?;
                Action::Find { key, value, mode }
            }
            (false, None, Some(task), Some(name)) => {
                let given = InputText::read(args.input_json, args.input_file.as_deref())?;
                let input;
                (input, warnings) = given.unwrap_or_else(|| InputText::default_of(task.name())).complete(&task)?;
                let options = trigger_options(&args.metadata, args.priority.as_deref())?;
                Action::Trigger { task: Box::new(NamedTask { task: Some(task), name }), input, options, mode }
            }
            (false, None, None, Some(name)) => {
                let given = InputText::read(args.input_json, args.input_file.as_deref())?;
                let input = given.unwrap_or_else(|| InputText::default_of(&name));
                let options = trigger_options(&args.metadata, args.priority.as_deref())?;
                Action::TriggerByName { name, input, options, mode }
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
        let timeout = parse_timeout(args.timeout)?;
        let setup = Setup::new(tasks, args.output, args.quiet, timeout, &args.connection);
        Ok(Self { action, warnings, setup })
    }
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
            (&["--task-name", "cpu-heavy-task", "--timeout", "1w"], "invalid --timeout"),
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
