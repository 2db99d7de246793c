//! `sync-sleep-task` blocks its thread for a given time. The pattern for work that blocks: files, synchronous clients.

use std::time::{Duration, Instant};

use hatchet_quickstart::prelude::*;

/// The task's name and types, shared by the worker and its callers.
pub const STUB: Stub<Input, Output> = Stub::new("sync-sleep-task");

/// Maximum duration of one sleep, so that the body stops within 50 ms after a cancellation.
const MAX_SLICE: Duration = Duration::from_millis(50);
/// Maximum total sleep. The execution timeout is one minute longer.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// The time to sleep.
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

/// The measured sleep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Measured seconds.
    pub slept_seconds: f64,
    /// Name and id of the thread that slept.
    pub thread: String,
}

/// Returns the task, to register it with a worker.
pub fn task() -> Task<Input, Output> {
    STUB.blocking_task(run)
        .description("Blocks a thread for the given number of seconds.")
        .execution_timeout(MAX_SLEEP + Duration::from_secs(60))
}

/// Sleeps in slices until the time has elapsed or the run is cancelled.
fn run(input: Input, ctx: Context) -> Result<Output, TaskError> {
    let total = Duration::try_from_secs_f64(input.seconds).ok().filter(|total| *total <= MAX_SLEEP);
    let Some(total) = total else {
        // Fatal, since the same input would fail at every attempt.
        return Err(TaskError::fatal(format!("invalid seconds \"{}\": 0 to 3600", input.seconds)));
    };
    let start = Instant::now();
    while let Some(remaining) = total.checked_sub(start.elapsed()).filter(|remaining| !remaining.is_zero()) {
        ctx.check_cancelled()?;
        std::thread::sleep(remaining.min(MAX_SLICE));
    }
    let thread = std::thread::current();
    Ok(Output {
        slept_seconds: start.elapsed().as_secs_f64(),
        thread: format!("{} {:?}", thread.name().unwrap_or("unnamed"), thread.id()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleep_lasts_at_least_the_given_time() {
        let run = task().test().run(Input { seconds: 0.01 }).await;
        assert!(run.result.unwrap().slept_seconds >= 0.01);
    }

    #[tokio::test]
    async fn seconds_out_of_range_are_fatal() {
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
            let run = task().test().run(Input { seconds }).await;
            assert_eq!(run.result.unwrap_err().retry(), Retry::Never, "{seconds}");
        }
    }

    #[tokio::test]
    async fn cancelled_sleep_stops() {
        let run = task().test().cancelled(CancelReason::Requested).run(Input { seconds: 3600.0 }).await;
        assert_eq!(run.result.unwrap_err().retry(), Retry::Cancelled(CancelReason::Requested));
    }
}
