//! `sync-sleep-task`: blocks its thread for a while. The pattern for work that blocks: files, synchronous clients.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hatchet::task::{Context, Task, TaskError};

/// The name on the wire.
pub const NAME: &str = "sync-sleep-task";

/// Longest piece of the sleep, so that a cancellation is noticed soon.
const SLICE: Duration = Duration::from_millis(50);
/// The task's own limit; the execution timeout leaves room for it.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long to sleep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Input {
    /// Seconds, 0 to 3600.
    pub seconds: f64,
}

impl Default for Input {
    fn default() -> Self {
        Self { seconds: 2.0 }
    }
}

/// What was slept, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Seconds, as measured.
    pub slept_seconds: f64,
    /// The thread that was blocked: its name and id.
    pub thread: String,
}

/// The task, for a worker.
pub fn task() -> Task {
    Task::new_blocking(NAME, run)
        .description("Blocks a thread of its own for the given seconds.")
        .execution_timeout(LONGEST + Duration::from_secs(60))
}

/// Sleeps, in pieces, until it is over or the run is cancelled.
pub fn run(input: Input, ctx: Context) -> Result<Output, TaskError> {
    let wanted = Duration::try_from_secs_f64(input.seconds).ok().filter(|wanted| *wanted <= LONGEST);
    let Some(wanted) = wanted else {
        // The same input would fail each time, so it is not retried.
        return Err(TaskError::fatal_msg(format!("seconds is {}: it goes from 0 to 3600", input.seconds)));
    };
    let begun = Instant::now();
    while let Some(left) = wanted.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        ctx.check_cancelled()?;
        std::thread::sleep(left.min(SLICE));
    }
    let thread = std::thread::current();
    Ok(Output {
        slept_seconds: begun.elapsed().as_secs_f64(),
        thread: format!("{} {:?}", thread.name().unwrap_or("unnamed"), thread.id()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::task::{CancelReason, Retry, RunInfo};

    #[test]
    fn sleeps_at_least_as_long_as_asked() {
        let (ctx, ..) = Context::new(RunInfo::default());
        assert!(run(Input { seconds: 0.01 }, ctx).unwrap().slept_seconds >= 0.01);
    }

    #[test]
    fn impossible_times_are_final() {
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
            let (ctx, ..) = Context::new(RunInfo::default());
            assert_eq!(run(Input { seconds }, ctx).unwrap_err().retry(), Retry::Never);
        }
    }

    #[test]
    fn notices_cancellation() {
        let (ctx, canceller, _emissions) = Context::new(RunInfo::default());
        canceller.cancel(CancelReason::Requested);
        assert_eq!(run(Input { seconds: 3600.0 }, ctx).unwrap_err().retry(), Retry::Cancelled(CancelReason::Requested));
    }
}
