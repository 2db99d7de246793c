//! Shows the progress of a benchmark, and its results.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::{
    bench::{BenchmarkResult, Observer, Progress, Summary, TaskProgress, metrics},
    cli::{
        Exit,
        output::{OutputFormat, print_line, print_message},
    },
    hatchet::wire::readable_duration,
};

/// Shows progress on stderr: bars on a terminal, a JSON line per second elsewhere.
pub(super) enum ProgressDisplay {
    Bars { all: MultiProgress, tasks: Vec<ProgressBar>, total: ProgressBar },
    Lines,
}

impl ProgressDisplay {
    pub(super) fn new<'a>(tasks: impl Iterator<Item = &'a str>, runs: usize) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let all = MultiProgress::new();
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ")
        };
        let bar = |name: &str| {
            let bar = all.add(ProgressBar::new(runs as u64));
            bar.set_style(style("{prefix:26} [{bar:20}] {pos}/{len}  {msg}"));
            bar.set_prefix(name.to_owned());
            bar
        };
        let tasks = tasks.map(bar).collect();
        let total = all.add(ProgressBar::new(0));
        total.set_style(style("{msg}"));
        Self::Bars { all, tasks, total }
    }

    /// Removes the bars.
    pub(super) fn clear(&self) {
        if let Self::Bars { all, .. } = self {
            // Fails if the terminal was closed.
            let _ = all.clear();
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

impl Observer for ProgressDisplay {
    fn progress(&mut self, progress: &Progress) {
        match self {
            Self::Bars { tasks, total, .. } => {
                for (bar, task) in tasks.iter().zip(&progress.tasks) {
                    bar.set_position(task.finished() as u64);
                    bar.set_message(counts(task));
                }
                total.set_message(total_line(progress));
            }
            Self::Lines => print_message(&json_line(progress).to_string()),
        }
    }

    fn note(&mut self, line: &str) {
        match self {
            Self::Bars { all, .. } if !all.is_hidden() => {
                let _ = all.println(format!("note: {line}"));
            }
            Self::Bars { .. } | Self::Lines => print_message(&format!("note: {line}")),
        }
    }
}

/// The counts of a task, without zeros.
fn counts(task: &TaskProgress) -> String {
    let counts = [
        (task.completed, "completed"),
        (task.failed, "failed"),
        (task.cancelled, "cancelled"),
        (task.refused, "refused"),
        (task.unaccounted, "unaccounted for"),
        (task.duplicates, "duplicates"),
        (task.accepted - task.accepted.min(task.completed + task.failed + task.cancelled + task.unaccounted), "open"),
    ];
    let mut parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    parts.extend(task.p50_ms.map(|p50| format!("p50 {p50:.0} ms")));
    parts.join(", ")
}

fn total_line(progress: &Progress) -> String {
    let slots = progress.slots.map(|(used, all)| format!(", {used} of {all} slots in use")).unwrap_or_default();
    let left = progress.left.filter(|left| !left.is_zero()).map(|left| format!(", {} left", whole_seconds(left)));
    format!(
        "{:.0} runs/s{slots}, {} elapsed{}",
        progress.rate,
        whole_seconds(progress.elapsed),
        left.unwrap_or_default()
    )
}

/// A duration for readers without fractions of a second, which would change all the time.
fn whole_seconds(duration: Duration) -> String {
    readable_duration(Duration::from_secs(duration.as_secs()))
}

/// Rounds to three decimals.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn json_line(progress: &Progress) -> Value {
    let task = |task: &TaskProgress| {
        json!({
            "task": task.name, "total": task.total, "accepted": task.accepted, "duplicates": task.duplicates,
            "refused": task.refused, "completed": task.completed, "failed": task.failed, "cancelled": task.cancelled,
            "lost": task.unaccounted, "p50_ms": task.p50_ms.map(rounded),
        })
    };
    json!({
        "event": "progress",
        "elapsed_s": rounded(progress.elapsed.as_secs_f64()),
        "rate": rounded(progress.rate),
        "left_s": progress.left.map(|left| rounded(left.as_secs_f64())),
        "slots_used": progress.slots.map(|slots| slots.0),
        "slots": progress.slots.map(|slots| slots.1),
        "tasks": progress.tasks.iter().map(task).collect::<Vec<_>>(),
    })
}

/// Prints the results to stdout.
pub(super) fn print_result(
    result: &BenchmarkResult,
    before: Option<&Summary>,
    format: OutputFormat,
) -> Result<(), Exit> {
    let summary = &result.summary;
    if format == OutputFormat::Json {
        return print_line(
            serde_json::to_string(summary).unwrap_or_else(|e| json!({ "error": e.to_string() }).to_string()),
        );
    }
    let all = summary.all();
    let took = readable_duration(Duration::try_from_secs_f64(summary.seconds).unwrap_or_default());
    print_line(format!("{} of {} runs completed in {took}", all.completed, all.total))?;
    for (count, name) in [
        (all.failed, "failed"),
        (all.cancelled, "cancelled"),
        (all.refused, "refused"),
        (all.unaccounted, "unaccounted for"),
        (all.unconfirmed, "not known whether started"),
        (all.not_submitted, "not submitted"),
    ] {
        if count > 0 {
            print_line(format!("  {count} {name}"))?;
        }
    }
    let dedupe = &summary.dedupe;
    if dedupe.on {
        print_line(format!(
            "  {} started, {} duplicates of earlier runs; the first key expires at {}",
            dedupe.started,
            dedupe.duplicates,
            dedupe.until.as_deref().unwrap_or("–")
        ))?;
    }
    for metric in metrics(summary, before) {
        let earlier = metric.before.map(|before| format!("  before {before}")).unwrap_or_default();
        let change = metric.change.map(|change| format!("  {change}")).unwrap_or_default();
        print_line(format!("  {:<26}{:>12}{earlier}{change}", metric.name, metric.now))?;
    }
    for error in &summary.errors {
        print_line(format!("  {} x {}", error.runs, error.text))?;
    }
    Ok(())
}
