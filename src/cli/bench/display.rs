//! Shows the progress of a benchmark, and its results.

use std::{io, time::Duration};

use serde_json::{Value, json};

use crate::{
    bench::{BenchmarkResult, Observer, Progress, Summary, TaskProgress, ideal_time, metrics},
    cli::{
        Exit,
        output::{
            OutputFormat, Style, can_draw_rows, color_enabled, draw_rows, paint, print_line, print_message, printable,
        },
    },
    hatchet::wire::readable_duration,
};

/// Columns of a full bar.
const BAR: usize = 12;

/// Shows progress on stderr: bars on a terminal, a JSON line per second elsewhere.
pub(super) struct ProgressDisplay {
    bars: bool,
    /// Whether only notes are shown.
    quiet: bool,
}

impl ProgressDisplay {
    pub(super) fn new(quiet: bool) -> Self {
        Self { bars: can_draw_rows() && !quiet, quiet }
    }

    /// Prints a message, unless only notes are shown.
    pub(super) fn message(&self, text: &str) {
        if !self.quiet {
            print_message(text);
        }
    }
}

impl Drop for ProgressDisplay {
    /// Erases the bars.
    fn drop(&mut self) {
        if self.bars {
            draw_rows(Vec::new());
        }
    }
}

impl Observer for ProgressDisplay {
    fn progress(&mut self, progress: &Progress) {
        if self.bars {
            draw_rows(rows(progress));
        } else {
            self.message(&json_line(progress).to_string());
        }
    }

    fn note(&mut self, line: &str) {
        print_note(line);
    }
}

/// Prints a note, which the user should read, to stderr.
pub(super) fn print_note(text: &str) {
    print_message(&format!("{} {text}", paint("note:", Style::Cyan, color_enabled(&io::stderr()))));
}

/// Builds the rows of the display: one with a bar for each task, and one for all tasks.
fn rows(progress: &Progress) -> Vec<String> {
    let width = progress.tasks.iter().map(|task| task.name.len()).max().unwrap_or(0);
    let row = |task: &TaskProgress| {
        let bar = "=".repeat(BAR * task.finished().min(task.total) / task.total.max(1));
        format!("{:width$} [{bar:BAR$}] {}/{}  {}", task.name, task.finished(), task.total, details(task))
    };
    progress.tasks.iter().map(row).chain([total_line(progress)]).collect()
}

/// Formats the percentiles of a task, and its counts except zeros. The number beside the bar includes the completed
/// runs.
fn details(task: &TaskProgress) -> String {
    let finished = task.completed + task.failed + task.cancelled + task.unaccounted;
    let counts = [
        (task.failed, "failed"),
        (task.cancelled, "cancelled"),
        (task.refused, "refused"),
        (task.unaccounted, "unaccounted for"),
        (task.duplicates, "duplicates"),
        (task.accepted.saturating_sub(finished), "open"),
    ];
    let percentiles = task.percentiles.map(|percentiles| {
        let [p50, p95, p99] = percentiles.map(readable_duration);
        format!("p50 {p50}, p95 {p95}, p99 {p99}")
    });
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
    percentiles.into_iter().chain(counts).collect::<Vec<_>>().join(", ")
}

fn total_line(progress: &Progress) -> String {
    let slots =
        progress.slots.map(|slots| format!(", {} of {} slots in use", slots.used, slots.total)).unwrap_or_default();
    let remaining =
        progress.remaining.filter(|time| !time.is_zero()).map(|time| format!(", {} left", whole_seconds(time)));
    format!(
        "{:.0} runs/s{slots}, {} elapsed{}",
        progress.rate,
        whole_seconds(progress.elapsed),
        remaining.unwrap_or_default()
    )
}

/// Formats a duration in whole seconds: fractions would change with every line.
fn whole_seconds(duration: Duration) -> String {
    readable_duration(Duration::from_secs(duration.as_secs()))
}

/// Rounds to three decimals.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn json_line(progress: &Progress) -> Value {
    let task_json = |task: &TaskProgress| {
        let percentile = |index: usize| task.percentiles.map(|all| rounded(all[index].as_secs_f64() * 1e3));
        json!({
            "task": task.name, "total": task.total, "accepted": task.accepted, "duplicates": task.duplicates,
            "refused": task.refused, "completed": task.completed, "failed": task.failed, "cancelled": task.cancelled,
            "lost": task.unaccounted, "p50_ms": percentile(0), "p95_ms": percentile(1), "p99_ms": percentile(2),
        })
    };
    json!({
        "event": "progress",
        "elapsed_s": rounded(progress.elapsed.as_secs_f64()),
        "rate": rounded(progress.rate),
        "left_s": progress.remaining.map(|left| rounded(left.as_secs_f64())),
        "slots_used": progress.slots.map(|slots| slots.used),
        "slots": progress.slots.map(|slots| slots.total),
        "tasks": progress.tasks.iter().map(task_json).collect::<Vec<_>>(),
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
    let elapsed = readable_duration(Duration::try_from_secs_f64(summary.seconds).unwrap_or_default());
    let color = color_enabled(&io::stdout());
    let style = if all.completed == all.total { Style::Green } else { Style::Red };
    let completed = format!("{} of {} runs completed", all.completed, all.total);
    print_line(format!("{} in {elapsed}", paint(completed, style, color)))?;
    for (count, name) in [
        (all.failed, "failed"),
        (all.cancelled, "cancelled"),
        (all.refused, "refused"),
        (all.unaccounted, "unaccounted for"),
        (all.unconfirmed, "not known whether started"),
        (all.not_submitted, "not submitted"),
    ] {
        if count > 0 {
            print_line(format!("  {}", paint(format!("{count} {name}"), Style::Red, color)))?;
        }
    }
    let dedupe = &summary.dedupe;
    if dedupe.enabled {
        print_line(format!(
            "  {} started, {} duplicates of earlier runs; the first key expires at {}",
            dedupe.started,
            dedupe.duplicates,
            dedupe.first_expiry.as_deref().unwrap_or("–")
        ))?;
    }
    for metric in metrics(summary, before) {
        let earlier = metric.before.map(|before| format!("  before {before}")).unwrap_or_default();
        let change = metric.change.map(|change| format!("  {change}")).unwrap_or_default();
        print_line(format!("  {:<26}{:>12}{earlier}{change}", metric.name, metric.now))?;
    }
    if let Some(ideal) = ideal_time(summary) {
        print_line(format!("  ideal time: {ideal}"))?;
    }
    for error in &summary.errors {
        print_line(format!("  {} x {}", error.runs, printable(&error.text)))?;
    }
    Ok(())
}
