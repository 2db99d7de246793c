//! The human-readable log format. Events about runs have a shorter form:
//!
//! ```text
//! 2026-01-31T12:00:00.123456Z  INFO sync-sleep-task 3f2a91c0 started
//! 2026-01-31T12:00:00.123501Z  INFO sync-sleep-task 3f2a91c0 | a line of the task's log
//! 2026-01-31T12:00:02.123789Z  INFO sync-sleep-task 3f2a91c0 completed in 2s
//! 2026-01-31T12:00:03.456789Z ERROR sync-sleep-task 91ac02fe failed in 1.2 ms (attempt 2): TaskError: no connection
//! ```

use std::{
    fmt::{self, Debug, Write as _},
    time::Duration,
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use super::color::{Style, paint, printable};
use crate::hatchet::{
    task::{RUN_LOG, RUN_LOG_LINES},
    wire::readable_duration,
};

/// Number of characters of a run id.
const SHORT_ID: usize = 8;

/// Formats events as human-readable lines.
pub(super) struct HumanFormat {
    /// The format of events that are not about runs.
    other: Format<Full, SystemTime>,
}

impl HumanFormat {
    pub(super) fn new() -> Self {
        Self { other: tracing_subscriber::fmt::format().with_target(false) }
    }
}

impl<S, N> FormatEvent<S, N> for HumanFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let target = event.metadata().target();
        if target != RUN_LOG && target != RUN_LOG_LINES {
            return self.other.format_event(context, writer, event);
        }
        let mut run = RunEvent::default();
        event.record(&mut run);
        let color = writer.has_ansi_escapes();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        writeln!(writer, "{} {}", paint(time, Style::Dim, color), run.text(target == RUN_LOG_LINES, color))
    }
}

/// The fields of an event about a run.
#[derive(Default)]
struct RunEvent {
    task: String,
    run: String,
    attempt: u64,
    log_level: String,
    duration: Option<Duration>,
    error: Option<String>,
    message: String,
}

impl RunEvent {
    /// The line without its time.
    fn text(&self, is_line: bool, color: bool) -> String {
        let style = match self.log_level.as_str() {
            "ERROR" => Some(Style::Red),
            "WARN" => Some(Style::Yellow),
            "DEBUG" => Some(Style::Blue),
            _ => None,
        };
        let level = paint(format!("{:>5}", self.log_level), style.unwrap_or(Style::Green), color);
        let run: String = self.run.chars().take(SHORT_ID).collect();
        let head = format!("{level} {} {}", paint(&self.task, Style::Cyan, color), paint(run, Style::Dim, color));
        let message = printable(&self.message);
        if is_line {
            return format!("{head} {} {message}", paint('|', Style::Dim, color));
        }
        let message = match style.or(self.duration.map(|_| Style::Green)) {
            Some(style) => paint(message, style, color),
            None => message,
        };
        let mut text = format!("{head} {message}");
        if let Some(duration) = self.duration {
            let _ = write!(text, " in {}", readable_duration(duration));
        }
        if self.attempt > 1 {
            let _ = write!(text, " (attempt {})", self.attempt);
        }
        if let Some(error) = &self.error {
            let _ = write!(text, ": {}", printable(error));
        }
        text
    }
}

impl Visit for RunEvent {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "task" => self.task = printable(value),
            "run" => value.clone_into(&mut self.run),
            "log_level" => value.clone_into(&mut self.log_level),
            "error" => self.error = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "attempt" {
            self.attempt = value;
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "duration_ms" {
            self.duration = Duration::try_from_secs_f64(value / 1e3).ok();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// The lines that the format writes during `log`, without their times.
    fn lines(color: bool, log: impl FnOnce()) -> Vec<String> {
        #[derive(Clone, Default)]
        struct Buffer(Arc<Mutex<Vec<u8>>>);

        impl io::Write for Buffer {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(color)
            .with_writer(move || writer.clone())
            .event_format(HumanFormat::new())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.split_once("Z").unwrap().1.trim_start_matches("\x1b[0m").to_owned()).collect()
    }

    fn log_a_run() {
        let run = "3f2a91c0-80ab-4e1f-a156-f1c4546cbf52";
        tracing::debug!(target: RUN_LOG, task = "t", run, attempt = 1_u32, log_level = "INFO", "started");
        tracing::debug!(target: RUN_LOG_LINES, task = "t", run, attempt = 1_u32, log_level = "WARN", "{}", "a\x1b b");
        let (duration_ms, error) = (Some(2000.0), None::<&str>);
        tracing::debug!(target: RUN_LOG, task = "t", run, attempt = 1_u32, log_level = "INFO", duration_ms, error, "completed");
        let (duration_ms, error) = (Some(1.25), Some("TaskError: no"));
        tracing::debug!(target: RUN_LOG, task = "t", run, attempt = 2_u32, log_level = "ERROR", duration_ms, error, "failed");
        tracing::warn!(run, "other");
    }

    #[test]
    fn run_events_have_short_ids_and_readable_durations() {
        assert_eq!(
            lines(false, log_a_run),
            [
                "  INFO t 3f2a91c0 started",
                "  WARN t 3f2a91c0 | a\\u{1b} b",
                "  INFO t 3f2a91c0 completed in 2s",
                " ERROR t 3f2a91c0 failed in 1.25ms (attempt 2): TaskError: no",
                "  WARN other run=\"3f2a91c0-80ab-4e1f-a156-f1c4546cbf52\"",
            ]
        );
    }

    #[test]
    fn run_events_are_colored() {
        let colored = lines(true, log_a_run);
        assert_eq!(
            colored[2],
            " \x1b[32m INFO\x1b[0m \x1b[36mt\x1b[0m \x1b[2m3f2a91c0\x1b[0m \x1b[32mcompleted\x1b[0m in 2s"
        );
        assert!(colored[3].contains("\x1b[31mfailed\x1b[0m in 1.25ms"), "{colored:?}");
    }
}
