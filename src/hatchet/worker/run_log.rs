//! Log events about the start and the end of each attempt, as a worker's terminal shows them.
//!
//! Their level is DEBUG, and each costs a comparison while no subscriber shows it. The lines that a body writes between
//! the two are logged by [`Context::log`](crate::hatchet::task::Context::log).

use std::time::Duration;

use super::health::AttemptEnd;
use crate::hatchet::task::{LogLevel, RUN_LOG, RunInfo};

/// Logs the start of a body.
pub(super) fn started(info: &RunInfo) {
    let (task, run, attempt) = (&*info.task_name, &*info.run_id, info.retry_count.saturating_add(1));
    tracing::debug!(target: RUN_LOG, task, run, attempt, log_level = LogLevel::Info.as_str(), "started");
}

/// Logs the end of an attempt. `duration` is the run time of its body; `None` if the body never started. Only the first
/// line of `error` is logged.
pub(super) fn finished(info: &RunInfo, end: AttemptEnd, duration: Option<Duration>, error: Option<&str>) {
    let (task, run, attempt) = (&*info.task_name, &*info.run_id, info.retry_count.saturating_add(1));
    tracing::debug!(
        target: RUN_LOG,
        task,
        run,
        attempt,
        log_level = level(end).as_str(),
        duration_ms = duration.map(|duration| duration.as_secs_f64() * 1e3),
        error = error.and_then(|error| error.lines().next()),
        "{}",
        description(end)
    );
}

fn level(end: AttemptEnd) -> LogLevel {
    match end {
        AttemptEnd::Completed => LogLevel::Info,
        AttemptEnd::Cancelled | AttemptEnd::Shutdown => LogLevel::Warn,
        AttemptEnd::Failed | AttemptEnd::Fatal | AttemptEnd::TimedOut => LogLevel::Error,
    }
}

fn description(end: AttemptEnd) -> &'static str {
    match end {
        AttemptEnd::Completed => "completed",
        AttemptEnd::Failed | AttemptEnd::Fatal => "failed",
        AttemptEnd::Cancelled => "cancelled",
        AttemptEnd::TimedOut => "timed out",
        AttemptEnd::Shutdown => "stopped with the worker",
    }
}
