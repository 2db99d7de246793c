//! The counters of a worker in the Prometheus text format, version 0.0.4.
//!
//! Metrics that the Python SDK also has use its names.

use std::fmt::{Display, Write as _};

use super::{histogram::Durations, stats::WorkerStats};
use crate::hatchet::worker::state::WorkerState;

const PREFIX: &str = "hatchet_worker_";

/// The content type of the text that [`render`] returns.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders all metrics.
pub(super) fn render(stats: &WorkerStats) -> String {
    let mut text = MetricsText(String::new());
    let listening = matches!(stats.state, WorkerState::Listening(_));
    text.gauge("listener_health", "Listener health (1 healthy, 0 unhealthy)", u8::from(listening));
    text.header("link_state", "State of the worker: 1 for the current one", "gauge");
    for (name, active) in [
        ("connecting", matches!(stats.state, WorkerState::Connecting(_))),
        ("listening", listening),
        ("draining", stats.state == WorkerState::Draining),
        ("stopped", stats.state == WorkerState::Stopped),
    ] {
        text.sample("link_state", &[("state", name)], u8::from(active));
    }
    text.gauge("uptime_seconds", "Time since the worker's start", stats.uptime.as_secs_f64());
    text.gauge(
        "event_loop_lag_seconds",
        "Latest delay of a timer on the connection thread",
        stats.event_loop_lag.as_secs_f64(),
    );
    text.counter("registrations_total", "Registrations with the engine", stats.registrations);
    text.counter("reconnects_total", "Streams reopened after a failure", stats.reconnects);
    text.counter(
        "assignments_recovered_total",
        "Attempts started although their assignment was lost with a connection",
        stats.assignments_recovered,
    );
    text.counter("heartbeats_total", "Heartbeats that the engine accepted", stats.heartbeats);
    text.counter("heartbeat_failures_total", "Heartbeats that failed", stats.heartbeat_failures);
    text.header("heartbeat_delay_seconds", "Delay between a heartbeat's due time and its sending", "histogram");
    text.histogram("heartbeat_delay_seconds", &[], &stats.heartbeat_delay);
    text.header("heartbeat_answer_seconds", "Time until the engine accepted a heartbeat", "histogram");
    text.histogram("heartbeat_answer_seconds", &[], &stats.heartbeat_response);
    text.header("used_slots", "Slots in use, by pool", "gauge");
    for (pool, slots) in &stats.slots {
        text.sample("used_slots", &[("slot_pool", pool)], slots.used);
    }
    text.header("slot_limit", "Total slots, by pool", "gauge");
    for (pool, slots) in &stats.slots {
        text.sample("slot_limit", &[("slot_pool", pool)], slots.limit);
    }
    text.gauge("attempts", "Attempts assigned whose outcome is not reported yet", stats.attempts);
    text.header("queued_bodies", "Bodies submitted to their executor that have not started", "gauge");
    for (kind, queued) in &stats.queued {
        text.sample("queued_bodies", &[("kind", kind)], queued);
    }
    text.header("attempts_total", "Attempts finished, by task and outcome", "counter");
    for (task, counted) in &stats.tasks {
        for (end, count) in &counted.finished {
            text.sample("attempts_total", &[("task", task), ("outcome", end.as_str())], count);
        }
    }
    text.header("task_duration_seconds", "Run time of bodies, by task", "histogram");
    for (task, counted) in &stats.tasks {
        text.histogram("task_duration_seconds", &[("task", task)], &counted.durations);
    }
    text.gauge("reports_waiting", "Outcomes the engine has not acknowledged yet", stats.reports_waiting);
    text.counter("outcomes_lost_total", "Outcomes that could not be reported", stats.outcomes_lost);
    text.counter(
        "cancellations_ignored_total",
        "Bodies that did not end after their cancellation",
        stats.cancellations_ignored,
    );
    text.counter("log_lines_lost_total", "Log lines dropped or not sent", stats.lines_lost);
    text.counter("stream_chunks_lost_total", "Stream chunks not sent", stats.chunks_lost);
    text.counter("blocked_threads_total", "Polls of async bodies that blocked their thread", stats.blocked_threads);
    text.0
}

/// Builds the text line by line.
struct MetricsText(String);

impl MetricsText {
    /// Writes the HELP and TYPE lines of a metric.
    fn header(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {PREFIX}{name} {help}"));
        self.line(format_args!("# TYPE {PREFIX}{name} {kind}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.header(name, help, "gauge");
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.header(name, help, "counter");
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        if labels.is_empty() {
            self.line(format_args!("{PREFIX}{name} {value}"));
        } else {
            self.line(format_args!("{PREFIX}{name}{{{}}} {value}", labels.join(",")));
        }
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], durations: &Durations) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in &durations.up_to {
            let bound = bound.as_secs_f64().to_string();
            self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), count);
        }
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), durations.count);
        self.sample(&format!("{name}_sum"), labels, durations.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), labels, durations.count);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string never fails.
        let _ = writeln!(self.0, "{line}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_histograms_end_with_infinity() {
        let mut text = MetricsText(String::new());
        text.sample("x", &[("task", "a\"b\\\n")], 1);
        assert_eq!(text.0, "hatchet_worker_x{task=\"a\\\"b\\\\\\n\"} 1\n");
        let histogram = crate::hatchet::worker::health::histogram::Histogram::default();
        histogram.record(std::time::Duration::from_millis(5));
        let mut text = MetricsText(String::new());
        text.histogram("t", &[("task", "a")], &histogram.snapshot());
        assert!(text.0.starts_with("hatchet_worker_t_bucket{task=\"a\",le=\"0.001\"} 0\n"), "{}", text.0);
        let end = "{task=\"a\",le=\"+Inf\"} 1\nhatchet_worker_t_sum{task=\"a\"} 0.005\nhatchet_worker_t_count{task=\"a\"} 1\n";
        assert!(text.0.ends_with(end), "{}", text.0);
    }
}
