//! The validated request of `runner bench`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::args::Args;
use crate::{
    bench::{ReportFolder, Summary, Template, generate_prefix, validate_prefix},
    cli::{
        Exit,
        connection::EmbeddedMode,
        output::OutputFormat,
        settings::{parse_seconds, read_file, unknown_fields},
        task_registry::TaskRegistry,
    },
    hatchet::{
        client::{Source, Sources},
        task::ErasedTask,
        wire::check_object,
    },
};

/// Maximum number of runs of a benchmark. The documented memory of a benchmark applies up to here.
const MAX_RUNS: usize = 1_000_000;
/// Maximum size of the summary of an earlier benchmark: 16 MiB. The summary of a million runs has less than 100 kB.
const MAX_SUMMARY: usize = 16 << 20;

/// A validated benchmark.
pub(crate) struct Request {
    /// The tasks with their inputs.
    pub(super) tasks: Vec<(ErasedTask, Template)>,
    /// Warnings about the inputs.
    pub(super) warnings: Vec<String>,
    pub(super) runs: usize,
    pub(super) prefix: String,
    pub(super) batch: usize,
    pub(super) rate: Option<f64>,
    pub(super) timeout: Duration,
    pub(super) folder: ReportFolder,
    /// Summary of an earlier benchmark to compare with.
    pub(super) before: Option<Summary>,
    pub(super) with_worker: bool,
    pub(super) verify_dedupe: bool,
    /// Whether to open the report at the end.
    pub(super) open: bool,
    pub(super) format: OutputFormat,
    /// Whether only results, warnings and errors are shown.
    pub(super) quiet: bool,
    pub(super) embedded: Option<EmbeddedMode>,
    pub(super) sources: Sources,
}

impl Request {
    /// Validates the arguments. Opens the report folder last, so that a refused request leaves nothing behind.
    pub(crate) fn from_args(args: Args, registry: &TaskRegistry) -> Result<Self, Exit> {
        let names = args.tasks.split(',').map(str::trim).filter(|name| !name.is_empty());
        let tasks = registry.select(names).map_err(|e| Exit::usage(format!("--tasks: {e}")))?;
        if tasks.is_empty() {
            return Err(Exit::usage(format!(
                "invalid --tasks \"{}\": name at least one task, such as externally-triggered-task",
                args.tasks
            )));
        }
        let runs = parse_number("--runs", &args.runs, MAX_RUNS / tasks.len())?;
        let batch = parse_number("--batch", &args.batch, MAX_RUNS)?;
        let rate = args.rate.as_deref().map(parse_rate).transpose()?;
        let timeout = parse_seconds(&args.timeout)
            .and_then(
                |timeout| if timeout.is_zero() { Err("set it to more than 0 s, such as 10m") } else { Ok(timeout) },
            )
            .map_err(|rule| Exit::usage(format!("invalid --timeout \"{}\": {rule}", args.timeout)))?;
        let prefix = args.key_prefix.unwrap_or_else(generate_prefix);
        validate_prefix(&prefix).map_err(|rule| Exit::usage(format!("invalid --key-prefix \"{prefix}\": {rule}")))?;
        let tasks = parse_inputs(tasks, &args.input_json, registry)?;
        let warnings = tasks.iter().flat_map(|(task, template)| input_warnings(task, template)).collect();
        let mut sources = args.connection.sources();
        if args.quiet {
            sources.set("HATCHET_CLIENT_LOG_LEVEL", "warn", Source::Flag("--quiet"));
        }
        let before = args.compare.as_deref().map(read_summary).transpose()?;
        let out = args.out.unwrap_or_else(|| default_folder(&prefix));
        let folder = ReportFolder::open(&out, &prefix).map_err(Exit::usage)?;
        Ok(Self {
            tasks,
            warnings,
            runs,
            prefix,
            batch,
            rate,
            timeout,
            folder,
            before,
            with_worker: args.with_worker,
            verify_dedupe: args.verify_dedupe,
            open: args.open,
            format: args.output,
            quiet: args.quiet,
            embedded: args.connection.embedded,
            sources,
        })
    }
}

fn default_folder(prefix: &str) -> PathBuf {
    Path::new("hatchet-bench").join(prefix)
}

fn parse_number(flag: &str, text: &str, max: usize) -> Result<usize, Exit> {
    text.parse()
        .ok()
        .filter(|n| (1..=max).contains(n))
        .ok_or_else(|| Exit::usage(format!("invalid {flag} \"{text}\": set it to a number from 1 to {max}")))
}

fn parse_rate(text: &str) -> Result<f64, Exit> {
    text.parse().ok().filter(|rate| (0.01..=1e6).contains(rate)).ok_or_else(|| {
        Exit::usage(format!("invalid --rate \"{text}\": set it to runs per second, from 0.01 to 1000000"))
    })
}

/// Pairs each task with its input: the input given for its name, otherwise the input given for all tasks, otherwise the
/// task's default.
fn parse_inputs(
    tasks: Vec<ErasedTask>,
    args: &[String],
    registry: &TaskRegistry,
) -> Result<Vec<(ErasedTask, Template)>, Exit> {
    let mut for_all = None;
    let mut by_task: Vec<(String, &str)> = Vec::new();
    for text in args {
        match text.split_once('=').filter(|_| !text.trim_start().starts_with(['{', '['])) {
            Some((name, json)) => {
                let task = registry.find(name.trim()).map_err(|e| Exit::usage(format!("--input-json: {e}")))?;
                if !tasks.iter().any(|t| t.name() == task.name()) {
                    let message = format!("--input-json is for {}, which is not among --tasks", task.name());
                    return Err(Exit::usage(message));
                }
                by_task.push((task.name().to_owned(), json));
            }
            None if for_all.is_some() => {
                return Err(Exit::usage("--input-json is given twice for all tasks: write TASK=JSON for each task"));
            }
            None => for_all = Some(text.as_str()),
        }
    }
    let input = |task: ErasedTask| {
        let task_input = by_task.iter().find(|(name, _)| name == task.name()).map(|(_, json)| *json);
        let json = task_input.or(for_all).unwrap_or("{}");
        let invalid = |e: String| Exit::usage(format!("--input-json for {} is {e}", task.name()));
        let template = Template::parse(json).map_err(invalid)?;
        check_object(json).map_err(|e| invalid(e.to_string()))?;
        // Inputs differ by the index only, so the first is representative.
        let unfit = |e| format!("not an input of the task: {e}: see the schema with `runner --list-tasks`");
        let complete = task.complete_input(&template.render(0).to_string()).map_err(|e| invalid(unfit(e)))?;
        let template = if json == "{}" { Template::parse(&complete).map_err(invalid)? } else { template };
        Ok((task, template))
    };
    tasks.into_iter().map(input).collect()
}

/// Returns warnings about the fields of an input that its task ignores. Inputs differ by the index only.
fn input_warnings(task: &ErasedTask, template: &Template) -> Vec<String> {
    let unknown = unknown_fields(task, &template.render(0).to_string());
    unknown.iter().map(|field| format!("--input-json for {} has {field}", task.name())).collect()
}

/// Reads the summary in the folder of an earlier report.
fn read_summary(folder: &Path) -> Result<Summary, Exit> {
    let path = folder.join("summary.json");
    let text = read_file(&path, MAX_SUMMARY).map_err(|e| {
        Exit::usage(format!("--compare: reading {} failed: {e}. Name the folder of a report", path.display()))
    })?;
    serde_json::from_str(&text).map_err(|e| {
        Exit::usage(format!(
            "--compare: {} is not the summary of a finished benchmark: {e}. Name another folder",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates(tasks: &[&str], inputs: &[&str]) -> Result<Vec<String>, String> {
        let registry = TaskRegistry::of_quickstart();
        let tasks = registry.select(tasks.iter().copied()).unwrap();
        let inputs: Vec<String> = inputs.iter().map(|text| (*text).to_owned()).collect();
        match parse_inputs(tasks, &inputs, &registry) {
            Ok(all) => Ok(all.into_iter().map(|(_, template)| template.text()).collect()),
            Err(exit) => Err(format!("{exit:?}")),
        }
    }

    #[test]
    fn input_for_a_task_precedes_input_for_all() {
        let two = ["sync-sleep-task", "cpu-heavy-task"];
        assert_eq!(templates(&two, &[]).unwrap(), [r#"{"seconds":2.0}"#, r#"{"limit":5000000}"#]);
        let own = templates(&two, &[r#"cpu-heavy-with-process-pool={"limit":"{index}"}"#, r#"{"seconds":0.5}"#]);
        assert_eq!(own.unwrap(), [r#"{"seconds":0.5}"#, r#"{"limit":"{index}"}"#]);
    }

    #[test]
    fn invalid_input_is_named() {
        for (inputs, part) in [
            (&["{"][..], "not JSON"),
            (&["[1]"], "not a JSON object"),
            (&[r#"{"seconds":"x"}"#], "field `seconds`"),
            (&["nope={}"], "no task is called"),
            (&["cpu-heavy-task={}"], "not among --tasks"),
            (&["{}", "{}"], "given twice"),
            (&[r#"{"seconds":1,"seconds":2}"#], "seconds"),
        ] {
            let message = templates(&["sync-sleep-task"], inputs).unwrap_err();
            assert!(message.contains(part), "{inputs:?}: {message}");
        }
    }

    #[test]
    fn unknown_field_is_a_warning() {
        let registry = TaskRegistry::of_quickstart();
        let warnings = |json: &str| {
            let tasks = registry.select(["sync-sleep-task"]).unwrap();
            let inputs = parse_inputs(tasks, &[json.to_owned()], &registry).unwrap_or_else(|e| panic!("{e:?}"));
            inputs.iter().flat_map(|(task, template)| input_warnings(task, template)).collect::<Vec<_>>()
        };
        assert_eq!(
            warnings(r#"{"secnds":"{index}"}"#),
            [
                "--input-json for sync-sleep-task has the unknown field `secnds`, which is ignored; did you mean `seconds`?"
            ]
        );
        assert!(warnings(r#"{"seconds":0.1}"#).is_empty());
    }

    #[test]
    fn number_out_of_range_is_invalid() {
        for text in ["0", "-1", "1.5", "many", "1000001", ""] {
            assert!(parse_number("--runs", text, MAX_RUNS).is_err(), "{text}");
        }
        for text in ["0", "-1", "NaN", "inf", "fast"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
