//! The report as Markdown.

use std::fmt::Write as _;

use super::{
    format::ms,
    metrics::metrics,
    sections::{
        OUTCOME_COLUMNS, TIMES_COLUMNS, TIMES_NOTE, dedupe, environment_rows, latencies, outcome_cells,
        percentile_cells,
    },
};
use crate::bench::summary::Summary;

/// Renders the Markdown report.
pub(in crate::bench) fn markdown(summary: &Summary, before: Option<&Summary>) -> String {
    let mut text = String::new();
    let all = summary.all();
    let mut put = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    put(&format!("# Benchmark {}\n", summary.prefix));
    put(&format!("{} runs, {}, in {}.\n", all.total, summary.state, ms(summary.seconds * 1e3)));
    put("## Environment\n\n| | |\n|---|---|");
    for (name, value) in environment_rows(summary) {
        put(&format!("| {name} | {} |", cell(&value)));
    }
    put("\n## Outcomes\n");
    put(&format!("| {} |", OUTCOME_COLUMNS.join(" | ")));
    put(&format!("|---|{}", "---:|".repeat(OUTCOME_COLUMNS.len() - 1)));
    for (name, o) in summary.outcomes.iter().map(|(name, o)| (name.as_str(), o)).chain([("all", &all)]) {
        let cells: Vec<String> = outcome_cells(o).iter().map(usize::to_string).collect();
        put(&format!("| {name} | {} |", cells.join(" | ")));
    }
    put(&format!("\n{}\n", dedupe(summary)));
    put(&format!("## Times\n\n{TIMES_NOTE}\n"));
    put(&format!("| {} |", TIMES_COLUMNS.join(" | ")));
    put(&format!("|---|{}", "---:|".repeat(TIMES_COLUMNS.len() - 1)));
    for (name, percentiles) in latencies(&summary.latency) {
        let Some(p) = percentiles else {
            put(&format!("| {name} | – |{}", " |".repeat(TIMES_COLUMNS.len() - 2)));
            continue;
        };
        put(&format!("| {name} | {} | {} |", p.n, percentile_cells(p).join(" | ")));
    }
    put("\n## Metrics\n");
    put(if before.is_some() { "| | now | before | change |\n|---|---:|---:|---:|" } else { "| | |\n|---|---:|" });
    for metric in metrics(summary, before) {
        let mut line = format!("| {} | {} |", metric.name, metric.now);
        if let Some(earlier) = &metric.before {
            let _ = write!(line, " {earlier} | {} |", metric.change.unwrap_or_default());
        }
        put(&line);
    }
    if !summary.errors.is_empty() {
        put("\n## Errors\n\n| runs | error | for example |\n|---:|---|---|");
        for error in &summary.errors {
            put(&format!("| {} | {} | {} |", error.runs, cell(&error.text), error.example.as_deref().unwrap_or("–")));
        }
    }
    put("\n## Warnings\n");
    for warning in &summary.warnings {
        put(&format!("- {warning}"));
    }
    text
}

/// Escapes the text of a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
