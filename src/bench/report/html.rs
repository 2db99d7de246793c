//! The report as an HTML page.

use std::fmt::Write as _;

use super::{
    chart::{self, BLUE, GREEN, Line, ORANGE},
    chart_data::ChartData,
    format::{ms, number, timestamp},
    markup::{STYLE, escape, table},
    metrics::metrics,
    sections::{
        OUTCOME_COLUMNS, TIMES_COLUMNS, TIMES_NOTE, dedupe, environment_rows, ideal_time, latencies, outcome_cells,
        percentile_cells,
    },
};
use crate::bench::summary::{OutcomeCounts, Percentiles, Summary};

/// Renders the HTML page.
pub(in crate::bench) fn html(summary: &Summary, before: Option<&Summary>, data: &ChartData) -> String {
    let title = format!("Benchmark {}", escape(&summary.prefix));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    let environment = &summary.environment;
    let _ = writeln!(
        html,
        "<h1>{title}</h1>\n<p class=\"soft\">{} · {} {} · {} · {}</p>",
        escape(&timestamp(&summary.started)),
        escape(&environment.engine),
        escape(&environment.engine_version),
        escape(environment.machine.cpu.as_deref().unwrap_or("unknown processor")),
        escape(&summary.state)
    );
    html.push_str(&tiles(summary));
    html.push_str(&charts(summary, data));
    html.push_str(&times(summary));
    html.push_str(&outcomes(summary));
    if before.is_some() {
        html.push_str(&compared(summary, before));
    }
    html.push_str(&errors(summary));
    let warnings: String = summary.warnings.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    let _ = writeln!(html, "<h2>Warnings</h2>\n<ul class=\"warnings\">\n{warnings}</ul>");
    html.push_str("<h2>Environment</h2>\n<dl>\n");
    for (name, value) in environment_rows(summary) {
        let value = escape(&value);
        let value = if name == "command" { format!("<code>{value}</code>") } else { value };
        let _ = writeln!(html, "<dt>{name}</dt><dd>{value}</dd>");
    }
    html.push_str("</dl>\n</main>\n</body>\n</html>\n");
    html
}

/// The tiles with the most important metrics.
fn tiles(summary: &Summary) -> String {
    let all = summary.all();
    let dash = || "–".to_owned();
    let percentile =
        |pick: fn(&Percentiles) -> Option<f64>| summary.latency.total.as_ref().and_then(pick).map_or_else(dash, ms);
    let rate_text = |rate: Option<f64>| rate.map_or_else(dash, |rate| format!("{}/s", number(rate)));
    let ratio = summary.slots.taken_s.zip(summary.slots.ideal_s.filter(|ideal| *ideal > 0.0));
    let good = if all.completed == all.total { " class=\"good\"" } else { " class=\"bad\"" };
    let classed = |class: &str, value: &str, name: &str| {
        format!("<div class=\"tile\"><b{class}>{value}</b><span>{name}</span></div>\n")
    };
    let tile = |value: &str, name: &str| classed("", value, name);
    let completed = number(all.completed as f64);
    [
        "<div class=\"tiles\">\n".to_owned(),
        classed(good, &completed, &format!("of {} runs completed", all.total)),
        tile(&rate_text(summary.throughput.accepted), "accepted"),
        tile(&rate_text(summary.throughput.finished), "finished"),
        tile(&percentile(|p| Some(p.p50)), "median total time"),
        tile(&percentile(|p| p.p95), "95th percentile of total time"),
        tile(&percentile(|p| Some(p.p99)), "99th percentile of total time"),
        tile(
            &ratio.map_or_else(dash, |(taken, ideal)| format!("{:.2} x", taken / ideal)),
            "of the ideal time on these slots",
        ),
        "</div>\n".to_owned(),
    ]
    .concat()
}

fn legend(entries: &[(&str, &str)]) -> String {
    let entries: String = entries
        .iter()
        .map(|(color, name)| format!("<span><i style=\"background:{color}\"></i>{name}</span>"))
        .collect();
    format!("<div class=\"legend\">{entries}</div>")
}

fn figure(class: &str, title: &str, small: &str, legend: &str, svg: &str) -> String {
    format!("<figure{class}><figcaption>{title}<small>{small}</small></figcaption>{legend}\n{svg}</figure>\n")
}

fn charts(summary: &Summary, data: &ChartData) -> String {
    let series = &summary.series;
    let step = series.step_ms / 1e3;
    let step_note = format!("mean per {}", ms(series.step_ms));
    let line = |color, values, filled| Line { color, values, filled };
    let limit: i64 = summary.slots.limits.values().sum();
    let mut html = "<h2>Over time</h2>\n<div class=\"charts\">\n".to_owned();
    html.push_str(&figure(
        "",
        "Throughput",
        &step_note,
        &legend(&[(ORANGE, "accepted"), (BLUE, "finished")]),
        &chart::over_time(
            "Runs accepted and finished per second, over time",
            "runs/s",
            step,
            &[line(ORANGE, &series.accepted, false), line(BLUE, &series.finished, true)],
            None,
        ),
    ));
    html.push_str(&figure(
        "",
        "Slots in use",
        &format!("{step_note}; by the engine's clock"),
        &legend(&[(GREEN, "in use"), (ORANGE, "total (dashed)")]),
        &chart::over_time(
            "Slots in use over time",
            "slots",
            step,
            &[line(GREEN, &series.in_use, true)],
            (limit > 0).then_some(limit as f64),
        ),
    ));
    html.push_str(&figure(
        "",
        "Queueing and running times",
        "number of runs by time",
        &legend(&[(ORANGE, "queueing"), (BLUE, "running")]),
        &chart::histogram(
            "Histogram of queueing and running times",
            &[(ORANGE, &data.queueing), (BLUE, &data.running)],
        ),
    ));
    html.push_str(&figure(
        "",
        "Percentiles",
        "times by percentile of the runs",
        &legend(&[(ORANGE, "queueing"), (BLUE, "running"), (GREEN, "total")]),
        &percentile_chart(summary),
    ));
    if !data.bars.is_empty() {
        html.push_str(&timeline(summary, data));
    }
    html.push_str("</div>\n");
    html
}

fn timeline(summary: &Summary, data: &ChartData) -> String {
    let count = data.bars.len();
    let counted =
        if count == data.runs { format!("all {count} runs") } else { format!("{count} of {} runs", data.runs) };
    let first = data.bars.iter().map(|line| line.1).fold(f64::INFINITY, f64::min);
    let ideal = summary.slots.ideal_s.map(|ideal| first.max(0.0) + ideal);
    let derivation = ideal_time(summary).map(|text| format!("; ideal time {text}")).unwrap_or_default();
    figure(
        " class=\"wide\"",
        "Timeline",
        &format!("{counted}, ordered by start{}", escape(&derivation)),
        &legend(&[("color-mix(in srgb,var(--a) 22%,transparent)", "queued"), (BLUE, "running"), (ORANGE, "ideal end")]),
        &chart::timeline("Timeline of runs against the ideal end", &data.bars, ideal),
    )
}

fn percentile_chart(summary: &Summary) -> String {
    let latency = &summary.latency;
    let kinds = [(ORANGE, &latency.queueing), (BLUE, &latency.running), (GREEN, &latency.total)];
    let curves: Vec<(&'static str, [f64; 7])> = kinds
        .into_iter()
        .filter_map(|(color, p)| {
            let p = p.as_ref()?;
            Some((color, [p.min, p.p50, p.p90, p.p95?, p.p99, p.p999, p.max]))
        })
        .collect();
    chart::percentiles(
        "Percentiles of queueing, running and total time",
        &["min", "p50", "p90", "p95", "p99", "p99.9", "max"],
        &curves,
    )
}

fn times(summary: &Summary) -> String {
    let row = |name: &str, p: Option<&Percentiles>| {
        let mut cells = vec![escape(name), p.map_or_else(|| "–".to_owned(), |p| p.n.to_string())];
        cells.extend(p.map_or_else(|| vec!["–".to_owned(); TIMES_COLUMNS.len() - 2], percentile_cells));
        cells
    };
    let mut all: Vec<Vec<String>> = latencies(&summary.latency).into_iter().map(|(name, p)| row(name, p)).collect();
    if summary.latency_by_task.len() > 1 {
        for (task, latency) in &summary.latency_by_task {
            all.push(row(&format!("total, {task}"), latency.total.as_ref()));
        }
    }
    format!("<h2>Times</h2>\n<p class=\"soft\">{TIMES_NOTE}</p>\n{}", table(&TIMES_COLUMNS, &all))
}

fn outcomes(summary: &Summary) -> String {
    let row = |name: &str, counts: &OutcomeCounts| {
        let mut cells = vec![escape(name)];
        cells.extend(outcome_cells(counts).iter().map(usize::to_string));
        cells
    };
    let mut all: Vec<Vec<String>> = summary.outcomes.iter().map(|(name, counts)| row(name, counts)).collect();
    if all.len() > 1 {
        all.push(row("all", &summary.all()));
    }
    format!("<h2>Outcomes</h2>\n{}<p>{}</p>\n", table(&OUTCOME_COLUMNS, &all), escape(&dedupe(summary)))
}

/// Renders the table of metrics, with the metrics of the earlier benchmark.
fn compared(summary: &Summary, before: Option<&Summary>) -> String {
    let rows: Vec<Vec<String>> = metrics(summary, before)
        .into_iter()
        .map(|metric| {
            let class = match metric.is_better {
                Some(true) => " class=\"good\"",
                Some(false) => " class=\"bad\"",
                None => "",
            };
            let change = format!("<td{class}>{}</td>", metric.change.unwrap_or_default());
            vec![escape(metric.name), metric.now, metric.before.unwrap_or_default(), change]
        })
        .collect();
    let name = before.map(|before| escape(&before.prefix)).unwrap_or_default();
    format!("<h2>Compared with {name}</h2>\n{}", table(&["", "now", "before", "change"], &rows))
}

fn errors(summary: &Summary) -> String {
    if summary.errors.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = summary
        .errors
        .iter()
        .map(|error| {
            let text = format!("<td class=\"text\">{}</td>", escape(&error.text));
            vec![error.runs.to_string(), text, escape(error.example.as_deref().unwrap_or("–"))]
        })
        .collect();
    format!("<h2>Errors</h2>\n{}", table(&["runs", "error", "for example"], &rows))
}
