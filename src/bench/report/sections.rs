//! Texts and tables that the Markdown report and the HTML page share.

use std::fmt::Write as _;

use super::format::{bytes, ms, timestamp};
use crate::bench::summary::{Latency, OutcomeCounts, Percentiles, Summary};

/// Names and values of the environment and of the settings.
pub(super) fn environment_rows(summary: &Summary) -> Vec<(&'static str, String)> {
    let (environment, settings) = (&summary.environment, &summary.settings);
    let machine = &environment.machine;
    let load_text = |load: Option<f64>| load.map_or_else(|| "–".to_owned(), |load| format!("{load:.1}"));
    let tasks: Vec<String> = settings.tasks.iter().map(|t| format!("{} {}", t.workflow, t.input)).collect();
    vec![
        ("started", timestamp(&summary.started)),
        ("engine", format!("{} {} at {}", environment.engine, environment.engine_version, environment.address)),
        (
            "program",
            format!("{}, {}", environment.version, if environment.optimized { "optimized" } else { "not optimized" }),
        ),
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
        ("load", format!("{} before, {} after", load_text(machine.load_before), load_text(machine.load_after))),
        ("tasks", tasks.join("; ")),
        (
            "submission",
            format!(
                "{} runs of each task, at most {} per call, {}",
                settings.runs,
                settings.batch,
                settings.rate.map_or_else(|| "as fast as accepted".to_owned(), |rate| format!("{rate} runs/s"))
            ),
        ),
        ("slots", slots(summary)),
        ("ideal time", ideal_time(summary).unwrap_or_else(|| "unknown".to_owned())),
        ("benchmark itself", overhead(summary)),
        ("command", environment.command.clone()),
    ]
}

fn slots(summary: &Summary) -> String {
    let limits: Vec<String> = summary.slots.limits.iter().map(|(kind, limit)| format!("{limit} {kind}")).collect();
    if limits.is_empty() { "unknown".to_owned() } else { limits.join(", ") }
}

/// The minimum time that the runs need on the slots, and its derivation.
pub fn ideal_time(summary: &Summary) -> Option<String> {
    let slots = &summary.slots;
    let time = |seconds: f64| ms(seconds * 1e3);
    let ideal = time(slots.ideal_s?);
    let per_slot = slots.running_s.iter().filter_map(|(pool, running)| {
        let limit = slots.limits.get(pool).filter(|limit| **limit > 0)?;
        Some((running / *limit as f64, format!("{} of running on {limit} {pool} slot(s)", time(*running))))
    });
    Some(match (per_slot.max_by(|a, b| a.0.total_cmp(&b.0)), slots.longest_s) {
        (Some((needed, running)), Some(longest)) if longest > needed => {
            format!("{ideal}, of the longest run ({running}: {})", time(needed))
        }
        (Some((_, running)), _) => format!("{ideal}, for {running}"),
        (None, _) => ideal,
    })
}

fn overhead(summary: &Summary) -> String {
    let overhead = &summary.overhead;
    format!(
        "{} of CPU, {} per run; at most {} of memory",
        overhead.cpu_s.map_or_else(|| "–".to_owned(), |s| ms(s * 1e3)),
        overhead.cpu_us_per_run.map_or_else(|| "–".to_owned(), |us| ms(us / 1e3)),
        overhead.memory.map_or_else(|| "–".to_owned(), bytes)
    )
}

/// The paragraph about deduplication.
pub(super) fn dedupe(summary: &Summary) -> String {
    let dedupe = &summary.dedupe;
    let mut text = if dedupe.enabled {
        format!(
            "Dedupe is on: {} runs were started; for {} duplicates the earlier run counts. The first key expires at \
             {}.",
            dedupe.started,
            dedupe.duplicates,
            dedupe.first_expiry.as_deref().map_or_else(|| "–".to_owned(), timestamp)
        )
    } else {
        "Dedupe is off: no worker serves the keyed tasks (`worker --run-keys`), so repeating the benchmark starts its \
         runs again."
            .to_owned()
    };
    if let Some(verified) = &dedupe.verified {
        let _ = write!(text, " Submitted a second time, {} runs were refused as duplicates", verified.refused);
        if let Some(executions) = verified.executions {
            let _ = write!(text, ", and the tasks counted {executions} executions");
        }
        let result = if verified.violations.is_empty() { "no run was executed twice" } else { "deduplication FAILED" };
        let _ = write!(text, ": {result}.");
        for violation in &verified.violations {
            let _ = write!(text, " {violation}.");
        }
    }
    text
}

/// The paragraph above the table of times.
pub(super) const TIMES_NOTE: &str = "Accepting, queueing and total times count from the time at which a run was due.";

/// Names and distributions of the times.
pub(super) fn latencies(latency: &Latency) -> [(&'static str, Option<&Percentiles>); 5] {
    [
        ("accepting: due to accepted", latency.accepting.as_ref()),
        ("queueing: due to started", latency.queueing.as_ref()),
        ("running: started to finished", latency.running.as_ref()),
        ("notifying: finished to seen", latency.notifying.as_ref()),
        ("total: due to seen", latency.total.as_ref()),
    ]
}

/// Columns of the table of times: the time, the number of runs, then the columns of [`percentile_cells`].
pub(super) const TIMES_COLUMNS: [&str; 10] = ["", "runs", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"];

/// Cells of a row of the table of times, from `min` to `max`.
pub(super) fn percentile_cells(p: &Percentiles) -> Vec<String> {
    let times = [Some(p.min), Some(p.mean), Some(p.p50), Some(p.p90), p.p95, Some(p.p99), Some(p.p999), Some(p.max)];
    times.into_iter().map(|time| time.map_or_else(|| "–".to_owned(), ms)).collect()
}

/// Columns of the table of outcomes: the task, then the columns of [`outcome_cells`].
pub(super) const OUTCOME_COLUMNS: [&str; 10] = [
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

/// Cells of a row of the table of outcomes, after the task's name.
pub(super) fn outcome_cells(o: &OutcomeCounts) -> [usize; 9] {
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
