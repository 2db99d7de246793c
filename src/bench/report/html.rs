//! The report as a page.

use std::fmt::Write as _;

use super::{
    super::summary::Summary,
    Drawn,
    chart::{self, A, B, C, Line},
    compare::figures,
    format::{moment, ms, number},
    markdown::{OUTCOME_HEAD, change, dedupe, facts, outcome_cells, percentile_cells, rows},
    markup::{STYLE, escape, table},
};

/// The whole page.
pub(in crate::bench) fn page(summary: &Summary, before: Option<&Summary>, drawn: &Drawn) -> String {
    let title = format!("Benchmark {}", escape(&summary.prefix));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    let place = &summary.place;
    let _ = writeln!(
        html,
        "<h1>{title}</h1>\n<p class=\"soft\">{} · {} {} · {} · {}</p>",
        escape(&moment(&summary.began)),
        escape(&place.engine),
        escape(&place.engine_version),
        escape(place.machine.cpu.as_deref().unwrap_or("unknown processor")),
        escape(&summary.state)
    );
    html.push_str(&tiles(summary));
    html.push_str(&charts(summary, drawn));
    html.push_str(&times(summary));
    html.push_str(&outcomes(summary));
    if before.is_some() {
        html.push_str(&compared(summary, before));
    }
    html.push_str(&errors(summary));
    let doubts: String = summary.doubts.iter().map(|doubt| format!("<li>{}</li>\n", escape(doubt))).collect();
    let _ = writeln!(html, "<h2>What to keep in mind</h2>\n<ul class=\"doubts\">\n{doubts}</ul>");
    html.push_str("<h2>What ran where</h2>\n<dl>\n");
    for (name, value) in facts(summary) {
        let value = escape(&value);
        let value = if name == "command" { format!("<code>{value}</code>") } else { value };
        let _ = writeln!(html, "<dt>{name}</dt><dd>{value}</dd>");
    }
    html.push_str("</dl>\n</main>\n</body>\n</html>\n");
    html
}

fn tiles(summary: &Summary) -> String {
    let all = summary.all();
    let dash = || "–".to_owned();
    let percentile = |pick: fn(&crate::bench::summary::stats::Percentiles) -> f64| {
        summary.latency.total.as_ref().map_or_else(dash, |total| ms(pick(total)))
    };
    let rate = |rate: Option<f64>| rate.map_or_else(dash, |rate| format!("{}/s", number(rate)));
    let ratio = summary.slots.taken_s.zip(summary.slots.ideal_s.filter(|ideal| *ideal > 0.0));
    let good = if all.completed == all.total { " class=\"good\"" } else { " class=\"bad\"" };
    let classed = |class: &str, value: &str, name: &str| {
        format!("<div class=\"tile\"><b{class}>{value}</b><span>{name}</span></div>\n")
    };
    let tile = |value: &str, name: &str| classed("", value, name);
    let whole = number(all.completed as f64);
    [
        "<div class=\"tiles\">\n".to_owned(),
        classed(good, &whole, &format!("of {} runs completed", all.total)),
        tile(&rate(summary.throughput.accepted), "accepted"),
        tile(&rate(summary.throughput.ended), "ended"),
        tile(&percentile(|p| p.p50), "median, due to seen"),
        tile(&percentile(|p| p.p99), "99th percentile"),
        tile(
            &ratio.map_or_else(dash, |(taken, ideal)| format!("{:.2} x", taken / ideal)),
            "of the ideal time on these slots",
        ),
        "</div>\n".to_owned(),
    ]
    .concat()
}

fn key(entries: &[(&str, &str)]) -> String {
    let entries: String = entries
        .iter()
        .map(|(colour, name)| format!("<span><i style=\"background:{colour}\"></i>{name}</span>"))
        .collect();
    format!("<div class=\"key\">{entries}</div>")
}

fn figure(class: &str, title: &str, small: &str, key: &str, svg: &str) -> String {
    format!("<figure{class}><figcaption>{title}<small>{small}</small></figcaption>{key}\n{svg}</figure>\n")
}

fn charts(summary: &Summary, drawn: &Drawn) -> String {
    let series = &summary.series;
    let step = series.step_ms / 1e3;
    let step_said = format!("means over {}", ms(series.step_ms));
    let line = |colour, values, filled| Line { colour, values, filled };
    let limit: i64 = summary.slots.limits.values().sum();
    let mut html = "<h2>Course</h2>\n<div class=\"charts\">\n".to_owned();
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let (peak, ended) = (most(&series.accepted), most(&series.ended));
    // A burst of submissions would flatten everything else.
    let burst = peak > 4.0 * ended && ended > 0.0;
    let said = if burst { format!("{step_said}; accepted went up to {}/s", number(peak)) } else { step_said.clone() };
    html.push_str(&figure(
        "",
        "Throughput",
        &said,
        &key(&[(B, "accepted"), (A, "ended")]),
        &chart::over_time(
            "Runs accepted and ended a second, over time",
            "runs/s",
            step,
            &[line(B, &series.accepted, false), line(A, &series.ended, true)],
            chart::Height { limit: None, cut_at: burst.then_some(ended * 1.5) },
        ),
    ));
    html.push_str(&figure(
        "",
        "Slots in use",
        &format!("{step_said}; by the engine's times"),
        &key(&[(C, "in use"), (B, "all slots (dashed)")]),
        &chart::over_time(
            "Slots in use over time",
            "slots",
            step,
            &[line(C, &series.in_use, true)],
            chart::Height { limit: (limit > 0).then_some(limit as f64), cut_at: None },
        ),
    ));
    html.push_str(&figure(
        "",
        "How long runs waited and ran",
        "runs by time; queueing and running apart",
        &key(&[(B, "queueing"), (A, "running")]),
        &chart::histogram("Histogram of queueing and running times", &[(B, &drawn.queueing), (A, &drawn.running)]),
    ));
    html.push_str(&figure(
        "",
        "Percentiles",
        "time below which a share of the runs lies",
        &key(&[(B, "queueing"), (A, "running"), (C, "total")]),
        &percentile_chart(summary),
    ));
    if !drawn.lines.is_empty() {
        let shown = drawn.lines.len();
        let of = if shown == drawn.of { format!("all {shown} runs") } else { format!("{shown} of {} runs", drawn.of) };
        let first = drawn.lines.iter().map(|line| line.1).fold(f64::INFINITY, f64::min);
        let ideal = summary.slots.ideal_s.map(|ideal| first.max(0.0) + ideal);
        html.push_str(&figure(
            " class=\"wide\"",
            "Timeline",
            &format!("{of}, in the order in which they started"),
            &key(&[("color-mix(in srgb,var(--a) 22%,transparent)", "waiting"), (A, "running"), (B, "end at best")]),
            &chart::timeline("Timeline of runs against the ideal end", &drawn.lines, ideal),
        ));
    }
    html.push_str("</div>\n");
    html
}

fn percentile_chart(summary: &Summary) -> String {
    let latency = &summary.latency;
    let kinds = [(B, &latency.queueing), (A, &latency.running), (C, &latency.total)];
    let curves: Vec<(&'static str, [f64; 6])> = kinds
        .into_iter()
        .filter_map(|(colour, p)| p.as_ref().map(|p| (colour, [p.min, p.p50, p.p90, p.p99, p.p999, p.max])))
        .collect();
    chart::percentiles(
        "Percentiles of queueing, running and total time",
        &["min", "p50", "p90", "p99", "p99.9", "max"],
        &curves,
    )
}

fn times(summary: &Summary) -> String {
    let row = |name: &str, p: Option<&crate::bench::summary::stats::Percentiles>| {
        let mut cells = vec![escape(name), p.map_or_else(|| "–".to_owned(), |p| p.n.to_string())];
        cells.extend(p.map_or_else(|| vec!["–".to_owned(); 7], percentile_cells));
        cells
    };
    let mut all: Vec<Vec<String>> = rows(&summary.latency).into_iter().map(|(name, p)| row(name, p)).collect();
    if summary.latency_by_task.len() > 1 {
        for (task, latency) in &summary.latency_by_task {
            all.push(row(&format!("total, {task}"), latency.total.as_ref()));
        }
    }
    let head = ["", "runs", "min", "mean", "p50", "p90", "p99", "p99.9", "max"];
    format!("<h2>Times</h2>\n<p class=\"soft\">Counted from when a run was due.</p>\n{}", table(&head, &all))
}

fn outcomes(summary: &Summary) -> String {
    let row = |name: &str, o| {
        let mut cells = vec![escape(name)];
        cells.extend(outcome_cells(o).iter().map(usize::to_string));
        cells
    };
    let mut all: Vec<Vec<String>> = summary.outcomes.iter().map(|(name, o)| row(name, o)).collect();
    if all.len() > 1 {
        all.push(row("all", &summary.all()));
    }
    format!("<h2>Outcomes</h2>\n{}<p>{}</p>\n", table(&OUTCOME_HEAD, &all), escape(&dedupe(summary)))
}

fn compared(summary: &Summary, before: Option<&Summary>) -> String {
    let rows: Vec<Vec<String>> = figures(summary, before)
        .into_iter()
        .map(|figure| {
            let class = match figure.better {
                Some(true) => " class=\"good\"",
                Some(false) => " class=\"bad\"",
                None => "",
            };
            let changed = figure.change.map(change).unwrap_or_default();
            let before = figure.before.unwrap_or_default();
            vec![escape(figure.name), figure.now, before, format!("<td{class}>{changed}</td>")]
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
