//! Arguments as typed, then as a validated plan; only the plan goes on.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    bench::{Journal, Summary, Template, check_prefix, prefix_now},
    cli::{ConnectionFlags, Exit, connection::engine::When, duration, exit, output::Format, settings::bounded},
    hatchet::{client::Sources, task::ErasedTask},
    tasks,
};

/// Submits many runs of tasks, follows them to their end, and writes a report with charts.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::CODES, after_long_help = crate::cli::settings_help() + "\n\n" + exit::CODES)]
pub(crate) struct Args {
    /// Tasks to run, by name
    #[arg(long, value_name = "NAME,…", default_value = "externally-triggered-task")]
    tasks: String,
    /// Runs of each task
    #[arg(long, value_name = "N", default_value = "1000", allow_hyphen_values = true)]
    runs: String,
    /// Input of each run, a JSON object, or TASK=JSON for one of several tasks; `{index}` in a text stands for the
    /// run's index, and a text that is nothing else becomes a number; `{index:text}` stays a text [default: the
    /// task's own]
    #[arg(long, value_name = "JSON")]
    input_json: Vec<String>,
    /// What the run keys begin with; the same again attaches to the runs that are there [default: the time]
    #[arg(long, value_name = "TEXT")]
    key_prefix: Option<String>,
    /// Runs in one call, at most
    #[arg(long, value_name = "N", default_value = "1000", allow_hyphen_values = true)]
    batch: String,
    /// Submit so many runs a second, by the clock [default: as fast as they are accepted]
    #[arg(long, value_name = "RUNS/S", allow_hyphen_values = true)]
    rate: Option<String>,
    /// Wait for the runs no longer than this, and before them no longer for the engine and a trial run
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: String,
    /// Folder for the report [default: hatchet-bench/<key prefix>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder of an earlier report to compare with
    #[arg(long, value_name = "DIR")]
    compare: Option<PathBuf>,
    /// Start a worker for the tasks, and stop it afterwards
    #[arg(long)]
    with_worker: bool,
    /// Submit every run a second time, and fail if any was executed twice, as counted by the tasks
    #[arg(long, requires = "with_worker")]
    verify_dedupe: bool,
    /// How the figures are written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    output: Format,
    #[command(flatten)]
    connection: ConnectionFlags,
}

/// What was asked for, checked before any call.
pub(crate) struct Plan {
    pub(super) tasks: Vec<(ErasedTask, Template)>,
    pub(super) runs: usize,
    pub(super) prefix: String,
    pub(super) batch: usize,
    pub(super) rate: Option<f64>,
    pub(super) timeout: Duration,
    pub(super) journal: Journal,
    pub(super) before: Option<Summary>,
    pub(super) with_worker: bool,
    pub(super) verify_dedupe: bool,
    pub(super) format: Format,
    pub(super) embedded: Option<When>,
    pub(super) sources: Sources,
}

/// Runs of a benchmark in all: beyond it, memory is no longer what it is said to be.
const MOST_RUNS: usize = 1_000_000;

pub(crate) fn check(args: Args) -> Result<Plan, Exit> {
    let names = args.tasks.split(',').map(str::trim).filter(|name| !name.is_empty());
    let tasks = tasks::select(names).map_err(|e| Exit::usage(format!("--tasks: {e}")))?;
    if tasks.is_empty() {
        return Err(Exit::usage("--tasks is empty: name a task, such as externally-triggered-task"));
    }
    let runs = number("--runs", &args.runs, MOST_RUNS / tasks.len())?;
    let batch = number("--batch", &args.batch, MOST_RUNS)?;
    let rate = args.rate.as_deref().map(rate).transpose()?;
    let timeout = duration(&args.timeout)
        .ok()
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| Exit::usage(format!("--timeout is `{}`: set it to a time such as 10m", args.timeout)))?;
    let prefix = args.key_prefix.unwrap_or_else(prefix_now);
    check_prefix(&prefix).map_err(|e| Exit::usage(format!("--key-prefix is {e}")))?;
    let tasks = inputs(tasks, &args.input_json)?;
    let before = args.compare.as_deref().map(earlier).transpose()?;
    // Last, so that nothing is left behind by what is refused.
    let out = args.out.unwrap_or_else(|| Path::new("hatchet-bench").join(&prefix));
    let journal = Journal::open(&out, &prefix).map_err(Exit::usage)?;
    Ok(Plan {
        tasks,
        runs,
        prefix,
        batch,
        rate,
        timeout,
        journal,
        before,
        with_worker: args.with_worker,
        verify_dedupe: args.verify_dedupe,
        format: args.output,
        embedded: args.connection.embedded,
        sources: args.connection.sources(),
    })
}

fn number(flag: &str, text: &str, most: usize) -> Result<usize, Exit> {
    text.parse()
        .ok()
        .filter(|n| (1..=most).contains(n))
        .ok_or_else(|| Exit::usage(format!("{flag} is `{text}`: set it to a number from 1 to {most}")))
}

fn rate(text: &str) -> Result<f64, Exit> {
    text.parse()
        .ok()
        .filter(|rate| (0.01..=1e6).contains(rate))
        .ok_or_else(|| Exit::usage(format!("--rate is `{text}`: set it to runs a second, from 0.01 to 1000000")))
}

/// Each task with its input: its own by name, else the one for all, else the task's default.
fn inputs(tasks: Vec<ErasedTask>, given: &[String]) -> Result<Vec<(ErasedTask, Template)>, Exit> {
    let mut for_all = None;
    let mut by_task: Vec<(String, &str)> = Vec::new();
    for text in given {
        match text.split_once('=').filter(|_| !text.trim_start().starts_with(['{', '['])) {
            Some((name, json)) => {
                let task = tasks::find(name.trim()).map_err(|e| Exit::usage(format!("--input-json: {e}")))?;
                if !tasks.iter().any(|t| t.name() == task.name()) {
                    let message = format!("--input-json is for {}, which is not among --tasks", task.name());
                    return Err(Exit::usage(message));
                }
                by_task.push((task.name().to_owned(), json));
            }
            None if for_all.is_some() => {
                return Err(Exit::usage("--input-json is given twice for all tasks: write TASK=JSON"));
            }
            None => for_all = Some(text.as_str()),
        }
    }
    let input = |task: ErasedTask| {
        let own = by_task.iter().find(|(name, _)| name == task.name()).map(|(_, json)| *json);
        let json = own.or(for_all).unwrap_or("{}");
        let bad = |e: String| Exit::usage(format!("--input-json for {} is {e}", task.name()));
        let template = Template::parse(json).map_err(bad)?;
        // The first run tells for all, as only the index differs.
        let unfit = |e| format!("no input of it: {e}: `runner --list-tasks` shows the schema");
        let whole = task.complete_input(&template.render(0).to_string()).map_err(|e| bad(unfit(e)))?;
        let template = if json == "{}" { Template::parse(&whole).map_err(bad)? } else { template };
        Ok((task, template))
    };
    tasks.into_iter().map(input).collect()
}

/// Largest summary of an earlier benchmark that is read, in bytes. One of a million runs has less than 100 kB.
const LARGEST_SUMMARY: usize = 16 << 20;

fn earlier(folder: &Path) -> Result<Summary, Exit> {
    let path = folder.join("summary.json");
    let text = bounded::read_file(&path, LARGEST_SUMMARY).map_err(|e| {
        Exit::usage(format!("--compare: {} cannot be read: {e}: name a report's folder", path.display()))
    })?;
    serde_json::from_str(&text).map_err(|e| {
        Exit::usage(format!("--compare: {} is no report that has ended ({e}): name another folder", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(tasks: &[&str], inputs: &[&str]) -> Result<Vec<String>, String> {
        let tasks = tasks::select(tasks.iter().copied()).unwrap();
        let inputs: Vec<String> = inputs.iter().map(|text| (*text).to_owned()).collect();
        match super::inputs(tasks, &inputs) {
            Ok(all) => Ok(all.into_iter().map(|(_, template)| template.text()).collect()),
            Err(exit) => Err(format!("{exit:?}")),
        }
    }

    #[test]
    fn each_task_has_its_input() {
        let two = ["sync-sleep-task", "cpu-heavy-task"];
        assert_eq!(given(&two, &[]).unwrap(), [r#"{"seconds":2.0}"#, r#"{"limit":5000000}"#]);
        let own = given(&two, &[r#"cpu-heavy-with-process-pool={"limit":"{index}"}"#, r#"{"seconds":0.5}"#]);
        assert_eq!(own.unwrap(), [r#"{"seconds":0.5}"#, r#"{"limit":"{index}"}"#]);
    }

    #[test]
    fn inputs_that_cannot_be_used() {
        for (inputs, said) in [
            (&["{"][..], "not JSON"),
            (&["[1]"], "not a JSON object"),
            (&[r#"{"seconds":"x"}"#], "field `seconds`"),
            (&["nope={}"], "no task is called"),
            (&["cpu-heavy-task={}"], "not among --tasks"),
            (&["{}", "{}"], "given twice"),
        ] {
            let message = given(&["sync-sleep-task"], inputs).unwrap_err();
            assert!(message.contains(said), "{inputs:?}: {message}");
        }
    }

    #[test]
    fn numbers_that_cannot_be_used() {
        for text in ["0", "-1", "1.5", "many", "1000001", ""] {
            assert!(number("--runs", text, MOST_RUNS).is_err(), "{text}");
        }
        for text in ["0", "-1", "NaN", "inf", "fast"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
