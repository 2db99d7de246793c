//! The report as Markdown.

use std::fmt::Write as _;

use super::{
    super::summary::{Latency, Outcomes, Summary, stats::Percentiles},
    compare::figures,
    format::{bytes, moment, ms, number},
};

/// The whole report.
pub(in crate::bench) fn markdown(summary: &Summary, before: Option<&Summary>) -> String {
    let mut text = String::new();
    let all = summary.all();
    let mut put = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    put(&format!("# Benchmark {}\n", summary.prefix));
    put(&format!("{} runs, {}, in {}.\n", all.total, summary.state, ms(summary.seconds * 1e3)));
    put("## What ran where\n\n| | |\n|---|---|");
    for (name, value) in facts(summary) {
        put(&format!("| {name} | {} |", cell(&value)));
    }
    put("\n## Outcomes\n");
    put(&format!("| {} |", OUTCOME_HEAD.join(" | ")));
    put(&format!("|---|{}", "---:|".repeat(OUTCOME_HEAD.len() - 1)));
    for (name, o) in summary.outcomes.iter().map(|(name, o)| (name.as_str(), o)).chain([("all", &all)]) {
        let cells: Vec<String> = outcome_cells(o).iter().map(usize::to_string).collect();
        put(&format!("| {name} | {} |", cells.join(" | ")));
    }
    put(&format!("\n{}\n", dedupe(summary)));
    put("## Times\n\nFrom when a run was due.\n");
    put("| | runs | min | mean | p50 | p90 | p99 | p99.9 | max |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (name, percentiles) in rows(&summary.latency) {
        let Some(p) = percentiles else {
            put(&format!("| {name} | – | | | | | | | |"));
            continue;
        };
        put(&format!("| {name} | {} | {} |", p.n, percentile_cells(p).join(" | ")));
    }
    put("\n## Figures\n");
    put(if before.is_some() { "| | now | before | change |\n|---|---:|---:|---:|" } else { "| | |\n|---|---:|" });
    for figure in figures(summary, before) {
        let mut line = format!("| {} | {} |", figure.name, figure.now);
        if let Some(earlier) = &figure.before {
            let _ = write!(line, " {earlier} | {} |", figure.change.map(change).unwrap_or_default());
        }
        put(&line);
    }
    if !summary.errors.is_empty() {
        put("\n## Errors\n\n| runs | error | for example |\n|---:|---|---|");
        for error in &summary.errors {
            put(&format!("| {} | {} | {} |", error.runs, cell(&error.text), error.example.as_deref().unwrap_or("–")));
        }
    }
    put("\n## What to keep in mind\n");
    for doubt in &summary.doubts {
        put(&format!("- {doubt}"));
    }
    text
}

/// What ran where, for both reports.
pub(super) fn facts(summary: &Summary) -> Vec<(&'static str, String)> {
    let (place, settings) = (&summary.place, &summary.settings);
    let machine = &place.machine;
    let load = |load: Option<f64>| load.map_or_else(|| "–".to_owned(), |load| format!("{load:.1}"));
    let tasks: Vec<String> = settings.tasks.iter().map(|t| format!("{} {}", t.workflow, t.input)).collect();
    vec![
        ("began", moment(&summary.began)),
        ("engine", format!("{} {} at {}", place.engine, place.engine_version, place.address)),
        ("program", format!("{}, {}", place.version, if place.optimised { "optimised" } else { "not optimised" })),
        (
            "machine",
            format!(
                "{}, {}, {} cores, {}",
                machine.system,
                machine.cpu.as_deref().unwrap_or("unknown processor"),
                machine.cores,
                machine.memory.map_or_else(|| "unknown memory".to_owned(), bytes)
            ),
        ),
        ("load", format!("{} before, {} after", load(machine.load_before), load(machine.load_after))),
        ("tasks", tasks.join("; ")),
        (
            "submission",
            format!(
                "{} runs of each task, at most {} in a call, {}",
                settings.runs,
                settings.batch,
                settings.rate.map_or_else(|| "as fast as accepted".to_owned(), |rate| format!("{rate} runs/s"))
            ),
        ),
        ("slots", slots(summary)),
        ("benchmark itself", own(summary)),
        ("command", place.command.clone()),
    ]
}

fn slots(summary: &Summary) -> String {
    let limits: Vec<String> = summary.slots.limits.iter().map(|(kind, limit)| format!("{limit} {kind}")).collect();
    if limits.is_empty() { "unknown".to_owned() } else { limits.join(", ") }
}

fn own(summary: &Summary) -> String {
    let own = &summary.own;
    format!(
        "{} of CPU, {} a run; {} of memory at most",
        own.cpu_s.map_or_else(|| "–".to_owned(), |s| ms(s * 1e3)),
        own.cpu_us_per_run.map_or_else(|| "–".to_owned(), |us| ms(us / 1e3)),
        own.memory.map_or_else(|| "–".to_owned(), bytes)
    )
}

/// Dedupe in a sentence or two, for both reports.
pub(super) fn dedupe(summary: &Summary) -> String {
    let dedupe = &summary.dedupe;
    let mut text = if dedupe.on {
        format!(
            "Dedupe is on: {} runs were started, {} were duplicates of earlier ones and stand for them. The keys hold \
             until {} at least.",
            dedupe.started,
            dedupe.duplicates,
            dedupe.until.as_deref().map_or_else(|| "–".to_owned(), moment)
        )
    } else {
        "Dedupe is off: no worker has the tasks that take run keys (`worker --run-keys`), so the same benchmark again \
         starts its runs again."
            .to_owned()
    };
    if let Some(verified) = &dedupe.verified {
        let _ = write!(text, " Submitted a second time, {} runs were refused as duplicates", verified.refused);
        if let Some(executions) = verified.executions {
            let _ = write!(text, ", and the tasks counted {executions} executions");
        }
        let wrong = if verified.wrong.is_empty() { "nothing ran twice" } else { "it did NOT hold" };
        let _ = write!(text, ": {wrong}.");
        for wrong in &verified.wrong {
            let _ = write!(text, " {wrong}.");
        }
    }
    text
}

/// The distributions, for both reports.
pub(super) fn rows(latency: &Latency) -> [(&'static str, Option<&Percentiles>); 5] {
    [
        ("accepting: due to accepted", latency.accepting.as_ref()),
        ("queueing: due to started", latency.queueing.as_ref()),
        ("running: started to finished", latency.running.as_ref()),
        ("telling: finished to seen", latency.telling.as_ref()),
        ("total: due to seen", latency.total.as_ref()),
    ]
}

pub(super) fn percentile_cells(p: &Percentiles) -> Vec<String> {
    [p.min, p.mean, p.p50, p.p90, p.p99, p.p999, p.max].into_iter().map(ms).collect()
}

/// The columns of a table of outcomes: the task, then those of [`outcome_cells`].
pub(super) const OUTCOME_HEAD: [&str; 10] = [
    "task",
    "runs",
    "completed",
    "failed",
    "cancelled",
    "refused",
    "unaccounted",
    "not known whether started",
    "not submitted",
    "duplicates",
];

pub(super) fn outcome_cells(o: &Outcomes) -> [usize; 9] {
    [
        o.total,
        o.completed,
        o.failed,
        o.cancelled,
        o.refused,
        o.unaccounted,
        o.unconfirmed,
        o.not_submitted,
        o.duplicates,
    ]
}

/// A change in per cent.
pub(super) fn change(change: f64) -> String {
    if change.abs() < 1000.0 { format!("{change:+.0} %") } else { format!("x {}", number(change / 100.0 + 1.0)) }
}

/// Text that cannot leave its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
