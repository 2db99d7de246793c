//! What is seen of a benchmark while it runs, and at its end.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::super::{
    Exit,
    output::{self, Format},
};
use crate::bench::{Observer, Progress, Report, TaskProgress, figures};

/// Bars on a terminal; a JSON line a second elsewhere. Both on stderr.
pub(super) enum Screen {
    Bars { all: MultiProgress, tasks: Vec<ProgressBar>, sum: ProgressBar },
    Lines,
}

impl Screen {
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
        let sum = all.add(ProgressBar::new(0));
        sum.set_style(style("{msg}"));
        Self::Bars { all, tasks, sum }
    }

    /// Takes the bars away.
    pub(super) fn clear(&self) {
        if let Self::Bars { all, .. } = self {
            // A terminal that cannot be written is not there.
            let _ = all.clear();
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

impl Observer for Screen {
    fn progress(&mut self, progress: &Progress) {
        match self {
            Self::Bars { tasks, sum, .. } => {
                for (bar, task) in tasks.iter().zip(&progress.tasks) {
                    bar.set_position(task.settled() as u64);
                    bar.set_message(counts(task));
                }
                sum.set_message(line(progress));
            }
            Self::Lines => output::complain(&json_line(progress).to_string()),
        }
    }

    fn note(&mut self, line: &str) {
        match self {
            Self::Bars { all, .. } if !all.is_hidden() => {
                let _ = all.println(format!("note: {line}"));
            }
            Self::Bars { .. } => output::complain(&format!("note: {line}")),
            Self::Lines => output::complain(&format!("note: {line}")),
        }
    }
}

/// The counts that are not zero.
fn counts(task: &TaskProgress) -> String {
    let counts = [
        (task.completed, "completed"),
        (task.failed, "failed"),
        (task.cancelled, "cancelled"),
        (task.refused, "refused"),
        (task.lost, "lost"),
        (task.duplicates, "duplicates"),
        (task.accepted - task.accepted.min(task.completed + task.failed + task.cancelled + task.lost), "open"),
    ];
    let mut words: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    words.extend(task.p50_ms.map(|p50| format!("p50 {p50:.0} ms")));
    words.join(", ")
}

fn line(progress: &Progress) -> String {
    let slots = progress.slots.map(|(used, all)| format!(", {used} of {all} slots in use")).unwrap_or_default();
    let left = progress.left.filter(|left| !left.is_zero()).map(|left| format!(", {} left", whole(left)));
    format!("{:.0} runs/s{slots}, {} so far{}", progress.rate, whole(progress.elapsed), left.unwrap_or_default())
}

fn whole(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn json_line(progress: &Progress) -> Value {
    let task = |task: &TaskProgress| {
        json!({
            "task": task.name, "total": task.total, "accepted": task.accepted, "duplicates": task.duplicates,
            "refused": task.refused, "completed": task.completed, "failed": task.failed, "cancelled": task.cancelled,
            "lost": task.lost, "p50_ms": task.p50_ms.map(rounded),
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

/// The figures on stdout.
pub(super) fn result(report: &Report, before: Option<&crate::bench::Summary>, format: Format) -> Result<(), Exit> {
    let summary = &report.summary;
    if format == Format::Json {
        return output::data(
            serde_json::to_string(summary).unwrap_or_else(|e| json!({ "error": e.to_string() }).to_string()),
        );
    }
    let all = summary.all();
    output::data(format!("{} of {} runs completed in {:.2} s", all.completed, all.total, summary.seconds))?;
    for (count, word) in [
        (all.failed, "failed"),
        (all.cancelled, "cancelled"),
        (all.refused, "refused"),
        (all.unaccounted, "unaccounted for"),
        (all.unconfirmed, "not known whether started"),
        (all.not_submitted, "not submitted"),
    ] {
        if count > 0 {
            output::data(format!("  {count} {word}"))?;
        }
    }
    let dedupe = &summary.dedupe;
    if dedupe.on {
        output::data(format!(
            "  {} started, {} duplicates of earlier runs; the keys hold until {}",
            dedupe.started,
            dedupe.duplicates,
            dedupe.until.as_deref().unwrap_or("–")
        ))?;
    }
    for figure in figures(summary, before) {
        let earlier = figure.before.map(|before| format!("  before {before}")).unwrap_or_default();
        let change = figure.change.map(|change| format!("  {change:+.0} %")).unwrap_or_default();
        output::data(format!("  {:<26}{:>12}{earlier}{change}", figure.name, figure.now))?;
    }
    for error in &summary.errors {
        output::data(format!("  {} x {}", error.runs, error.text))?;
    }
    Ok(())
}
