//! Draws charts as inline SVG. Colors are CSS variables of the page, so that charts follow its light or dark mode.

use std::fmt::Write as _;

use super::{
    chart_data::Bar,
    format::{number, power_of_ten_ms},
    markup::escape,
};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 230.0;
/// Margins for labels.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 36.0;

pub(super) const BLUE: &str = "var(--a)";
pub(super) const ORANGE: &str = "var(--b)";
pub(super) const GREEN: &str = "var(--c)";

/// A plot with linear scales that begin at 0.
struct Plot {
    svg: String,
    width: f64,
    height: f64,
    x_max: f64,
    y_max: f64,
}

impl Plot {
    fn new(width: f64, height: f64, x_max: f64, y_max: f64, label: &str) -> Self {
        let svg = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n", escape(label));
        Self { svg, width, height, x_max: x_max.max(1e-9), y_max: y_max.max(1e-9) }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value / self.x_max).clamp(0.0, 1.0) * (self.width - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - (value / self.y_max).clamp(0.0, 1.0) * (bottom - TOP)
    }

    fn put(&mut self, line: &str) {
        self.svg.push_str(line);
        self.svg.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = escape(text);
        self.put(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"));
    }

    fn rule(&mut self, y: f64) {
        let (left, right) = (LEFT, self.width - RIGHT);
        self.put(&format!("<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"));
    }

    fn y_axis(&mut self, unit: &str) {
        for tick in ticks(self.y_max, 4) {
            let y = self.y(tick);
            self.rule(y);
            self.text(LEFT - 6.0, y + 4.0, "end", &tick_label(tick));
        }
        self.text(4.0, 12.0, "start", unit);
    }

    fn x_axis(&mut self, label: &str, count: usize) {
        let (right, bottom) = (self.width - RIGHT, self.height - BOTTOM + 16.0);
        for tick in ticks(self.x_max, count) {
            let x = self.x(tick);
            // The last label must not be cut off.
            self.text(x, bottom, if x > right - 12.0 { "end" } else { "middle" }, &tick_label(tick));
        }
        self.text(f64::midpoint(LEFT, right), self.height - 3.0, "middle", label);
    }

    fn end(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// A line of a chart over time.
pub(super) struct Line<'a> {
    pub(super) color: &'static str,
    pub(super) values: &'a [f64],
    pub(super) filled: bool,
}

/// Draws lines over time, with a value for each step, and a dashed horizontal line at `limit`. The vertical axis
/// reaches the highest of all values.
pub(super) fn over_time(label: &str, unit: &str, step_s: f64, lines: &[Line<'_>], limit: Option<f64>) -> String {
    let steps = lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
    let highest = lines.iter().flat_map(|line| line.values).copied().chain(limit).fold(0.0, f64::max);
    let mut plot = Plot::new(WIDTH, HEIGHT, steps as f64 * step_s, round_up(highest), label);
    plot.y_axis(unit);
    for line in lines {
        // A value is the mean over its step, so it is drawn as a horizontal line.
        let mut path = String::new();
        for (step, value) in line.values.iter().enumerate() {
            let (start, end) = (plot.x(step as f64 * step_s), plot.x((step + 1) as f64 * step_s));
            let verb = if step == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{start:.1} {y:.1}L{end:.1} {y:.1}", y = plot.y(*value));
        }
        if line.filled && !line.values.is_empty() {
            let (base, end) = (plot.y(0.0), plot.x(line.values.len() as f64 * step_s));
            plot.put(&format!(
                "<path d=\"{path}L{end:.1} {base:.1}L{LEFT} {base:.1}Z\" fill=\"{}\" fill-opacity=\"0.18\"/>",
                line.color
            ));
        }
        plot.put(&format!("<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/>", line.color));
    }
    if let Some(limit) = limit {
        let (y, right) = (plot.y(limit), WIDTH - RIGHT);
        plot.put(&format!(
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{ORANGE}\" stroke-dasharray=\"5 4\"/>"
        ));
    }
    plot.x_axis("seconds since the start", 5);
    plot.end()
}

/// Draws a histogram of times on a logarithmic scale, with a color for each kind of time.
pub(super) fn histogram(label: &str, kinds: &[(&'static str, &[f64])]) -> String {
    const BINS: usize = 36;
    let (low, high) = exponents(kinds.iter().flat_map(|(_, values)| values.iter()), 2.0);
    let bin = |value: f64| (((exponent(value) - low) / (high - low) * BINS as f64) as usize).min(BINS - 1);
    let counts: Vec<(&str, Vec<f64>)> = kinds
        .iter()
        .map(|(color, values)| {
            let mut counts = vec![0.0; BINS];
            values.iter().for_each(|value| counts[bin(*value)] += 1.0);
            (*color, counts)
        })
        .collect();
    let highest = counts.iter().flat_map(|(_, counts)| counts).copied().fold(0.0, f64::max);
    let mut plot = Plot::new(WIDTH, HEIGHT, BINS as f64, round_up(highest), label);
    plot.y_axis("runs");
    for (color, counts) in &counts {
        for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let (x, end, y) = (plot.x(bin as f64), plot.x((bin + 1) as f64), plot.y(*count));
            let (width, height) = (end - x - 0.8, plot.y(0.0) - y);
            plot.put(&format!(
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\" \
                 fill-opacity=\"0.6\"/>"
            ));
        }
    }
    for power in (low as i32)..=(high as i32) {
        let x = plot.x((f64::from(power) - low) / (high - low) * BINS as f64);
        let anchor = if x > WIDTH - RIGHT - 12.0 { "end" } else { "middle" };
        plot.text(x, HEIGHT - BOTTOM + 16.0, anchor, &power_of_ten_ms(power));
    }
    plot.text(f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 3.0, "middle", "time, logarithmic");
    plot.end()
}

/// Draws times at percentiles on a logarithmic scale, with a curve for each kind of time.
pub(super) fn percentiles<const N: usize>(
    label: &str,
    names: &[&str; N],
    curves: &[(&'static str, [f64; N])],
) -> String {
    let (low, high) = exponents(curves.iter().flat_map(|(_, values)| values), 0.0);
    let mut plot = Plot::new(WIDTH, HEIGHT, (N - 1) as f64 + 0.4, high - low, label);
    for power in (low as i32)..=(high as i32) {
        let y = plot.y(f64::from(power) - low);
        plot.rule(y);
        plot.text(LEFT - 6.0, y + 4.0, "end", &power_of_ten_ms(power));
    }
    for (index, name) in names.iter().enumerate() {
        plot.text(plot.x(index as f64 + 0.2), HEIGHT - BOTTOM + 16.0, "middle", name);
    }
    for (color, values) in curves {
        let point = |(index, value): (usize, &f64)| (plot.x(index as f64 + 0.2), plot.y(exponent(*value) - low));
        let points: Vec<(f64, f64)> = values.iter().enumerate().map(point).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let line = line.join(" ");
        plot.put(&format!("<polyline points=\"{line}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.8\"/>"));
        for (x, y) in points {
            plot.put(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>"));
        }
    }
    plot.text(f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 3.0, "middle", "percentile of the runs");
    plot.end()
}

/// Draws runs as rows, light while they are queued and dark while they run, with a line at the ideal end.
pub(super) fn timeline(label: &str, runs: &[Bar], ideal: Option<f64>) -> String {
    const WIDE: f64 = 1060.0;
    let row = if runs.len() > 80 { 2.6 } else { 5.2 };
    let height = TOP + BOTTOM + runs.len() as f64 * row;
    let end = runs.iter().map(|run| run.2).chain(ideal).fold(0.0, f64::max);
    let mut plot = Plot::new(WIDE, height, end, 1.0, label);
    for tick in ticks(end, 10) {
        let (x, bottom) = (plot.x(tick), height - BOTTOM);
        plot.put(&format!("<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>"));
    }
    for (row_index, (due, started, finished)) in runs.iter().enumerate() {
        let y = TOP + row_index as f64 * row;
        let bar = |start: f64, end: f64, color: &str, opacity: f64| {
            let width = (end - start).max(0.7);
            format!(
                "<rect x=\"{start:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{color}\" \
                 fill-opacity=\"{opacity}\"/>",
                row * 0.8
            )
        };
        let (due, started, finished) = (plot.x(*due), plot.x(*started), plot.x(*finished));
        if started > due {
            plot.put(&bar(due, started, BLUE, 0.16));
        }
        plot.put(&bar(started, finished, BLUE, 0.9));
    }
    if let Some(ideal) = ideal {
        let (x, bottom) = (plot.x(ideal), height - BOTTOM);
        plot.put(&format!(
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\" stroke=\"{ORANGE}\" stroke-width=\"2\" \
             stroke-dasharray=\"5 4\"/>",
            TOP - 4.0
        ));
        let anchor = if x > WIDE - 60.0 { "end" } else { "middle" };
        plot.text(x, TOP - 8.0, anchor, "ideal end");
    }
    plot.x_axis("seconds since the start", 10);
    plot.end()
}

/// The decimal logarithm of a time in milliseconds. Shorter times count as 10 µs, the accuracy of an engine's clock.
fn exponent(ms: f64) -> f64 {
    ms.max(0.01).log10()
}

/// The whole exponents around these times. The lower is at most `max_low`.
fn exponents<'a>(times: impl Iterator<Item = &'a f64>, max_low: f64) -> (f64, f64) {
    let (low, high) = times.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), time| {
        (low.min(exponent(*time)), high.max(exponent(*time)))
    });
    let low = low.floor().min(max_low);
    (low, (high + 1e-9).ceil().max(low + 1.0))
}

/// About `count` round numbers, from 0 to a maximum.
fn ticks(max: f64, count: usize) -> Vec<f64> {
    if !max.is_finite() || max <= 0.0 {
        return vec![0.0];
    }
    let rough = max / count as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(rough);
    (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= max * 1.0001).collect()
}

/// The smallest round number that is not less than `max`.
fn round_up(max: f64) -> f64 {
    let ticks = ticks(max.max(1.0), 4);
    let step = ticks.get(1).copied().unwrap_or(1.0);
    (max.max(1.0) / step).ceil() * step
}

/// The label of a tick, in thousands from 10,000 on and without trailing zeros.
fn tick_label(value: f64) -> String {
    let (value, unit) = if value >= 10_000.0 { (value / 1_000.0, " k") } else { (value, "") };
    let text = number(value);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(ticks(10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(0.0, 5), [0.0]);
        assert_eq!((round_up(97.0), round_up(0.0), round_up(1234.0)), (100.0, 1.0, 1500.0));
        assert_eq!(
            [0.0, 2.5, 50.0, 100.0, 1000.0, 25_000.0, 1_500_000.0].map(tick_label),
            ["0", "2.5", "50", "100", "1 000", "25 k", "1 500 k"]
        );
    }

    #[test]
    fn axis_over_time_reaches_the_highest_value() {
        let lines = [[3_900.0, 10.0], [12.0, 11.0]];
        let lines = lines.each_ref().map(|values| Line { color: BLUE, values, filled: false });
        let svg = over_time("l", "u", 0.1, &lines, None);
        assert!(svg.contains(">4 000</text>") && !svg.contains(">5 000</text>"), "{svg}");
    }

    #[test]
    fn chart_without_data_is_valid() {
        for svg in [
            over_time("l", "u", 0.1, &[], None),
            histogram("l", &[(BLUE, &[]), (ORANGE, &[])]),
            timeline("l", &[], None),
            percentiles("l", &["a", "b"], &[]),
            over_time("l", "u", 0.1, &[Line { color: BLUE, values: &[1.0, 2.0], filled: true }], Some(3.0)),
        ] {
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"));
        }
    }
}
