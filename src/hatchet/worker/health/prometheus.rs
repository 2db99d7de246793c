//! What a worker counts, in Prometheus' text format. The names that the Python SDK has are used for the same things.

use std::fmt::{Display, Write as _};

use super::{histogram::Durations, stats::WorkerStats};
use crate::hatchet::worker::LinkState;

const PREFIX: &str = "hatchet_worker_";

/// The content type of the text.
pub(in crate::hatchet::worker) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(in crate::hatchet::worker) fn text(stats: &WorkerStats) -> String {
    let mut page = Page(String::new());
    let listening = matches!(stats.link, LinkState::Listening(_));
    page.gauge("listener_health", "Listener health (1 healthy, 0 unhealthy)", u8::from(listening));
    page.head("link_state", "State of the link to the engine: 1 for the present one", "gauge");
    for (word, now) in [
        ("connecting", matches!(stats.link, LinkState::Connecting(_))),
        ("listening", listening),
        ("draining", stats.link == LinkState::Draining),
        ("stopped", stats.link == LinkState::Stopped),
    ] {
        page.sample("link_state", &[("state", word)], u8::from(now));
    }
    page.gauge("uptime_seconds", "Since the worker's start", stats.uptime.as_secs_f64());
    page.gauge("event_loop_lag_seconds", "How late the link's thread was last", stats.link_lag.as_secs_f64());
    page.counter("registrations_total", "Registrations with the engine", stats.registrations);
    page.counter("reconnects_total", "Times that it listened again after a loss", stats.reconnects);
    page.counter("heartbeats_total", "Heartbeats that the engine accepted", stats.heartbeats);
    page.counter("heartbeat_failures_total", "Heartbeats that failed", stats.heartbeat_failures);
    page.head("heartbeat_delay_seconds", "How late heartbeats were sent", "histogram");
    page.histogram("heartbeat_delay_seconds", &[], &stats.heartbeat_delay);
    page.head("heartbeat_answer_seconds", "How long the engine took to accept heartbeats", "histogram");
    page.histogram("heartbeat_answer_seconds", &[], &stats.heartbeat_answer);
    page.head("used_slots", "Slots taken now, by type", "gauge");
    for (kind, slots) in &stats.slots {
        page.sample("used_slots", &[("slot_pool", kind)], slots.used);
    }
    page.head("slot_limit", "Slots in all, by type", "gauge");
    for (kind, slots) in &stats.slots {
        page.sample("slot_limit", &[("slot_pool", kind)], slots.limit);
    }
    page.gauge("attempts", "Attempts assigned and not reported yet", stats.attempts);
    page.head("queued_bodies", "Bodies given to their executor that have not begun", "gauge");
    for (kind, queued) in &stats.queued {
        page.sample("queued_bodies", &[("kind", kind)], queued);
    }
    page.head("attempts_total", "Attempts ended, by task and outcome", "counter");
    for (task, counted) in &stats.tasks {
        for (end, count) in &counted.ended {
            page.sample("attempts_total", &[("task", task), ("outcome", end.word())], count);
        }
    }
    page.head("task_duration_seconds", "How long bodies ran, by task", "histogram");
    for (task, counted) in &stats.tasks {
        page.histogram("task_duration_seconds", &[("task", task)], &counted.durations);
    }
    page.gauge("reports_waiting", "Outcomes the engine has not acknowledged yet", stats.reports_waiting);
    page.counter("outcomes_lost_total", "Outcomes given up", stats.outcomes_lost);
    page.counter("cancellations_ignored_total", "Bodies that did not end when told to", stats.cancellations_ignored);
    page.counter("log_lines_lost_total", "Log lines dropped or given up", stats.lines_lost);
    page.counter("stream_chunks_lost_total", "Stream chunks given up", stats.chunks_lost);
    page.counter("blocked_threads_total", "Times a task was found to block an async thread", stats.blocked_threads);
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {PREFIX}{name} {help}"));
        self.line(format_args!("# TYPE {PREFIX}{name} {kind}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
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
        // Writing to a string cannot fail.
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
    fn labels_are_escaped_and_histograms_end_in_infinity() {
        let mut page = Page(String::new());
        page.sample("x", &[("task", "a\"b\\\n")], 1);
        assert_eq!(page.0, "hatchet_worker_x{task=\"a\\\"b\\\\\\n\"} 1\n");
        let histogram = super::super::histogram::Histogram::default();
        histogram.add(std::time::Duration::from_millis(5));
        let mut page = Page(String::new());
        page.histogram("t", &[("task", "a")], &histogram.read());
        assert!(page.0.starts_with("hatchet_worker_t_bucket{task=\"a\",le=\"0.001\"} 0\n"), "{}", page.0);
        let end = "{task=\"a\",le=\"+Inf\"} 1\nhatchet_worker_t_sum{task=\"a\"} 0.005\nhatchet_worker_t_count{task=\"a\"} 1\n";
        assert!(page.0.ends_with(end), "{}", page.0);
    }
}
