//! Warns about tasks that block an async thread.
//!
//! An async body that computes or sleeps between two awaits blocks its thread, and with it every other async body on
//! that thread. The connection thread is not affected, so it can measure the current poll of each body and name the
//! task while it blocks. The delay of the watchdog's own timer is the worker's event loop lag.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::attempt::WorkerResources;
use crate::hatchet::wire::readable_duration;

/// Minimum duration of a poll that is reported. A poll should take well under 1 ms; the Python SDK warns after 5 s.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);
/// Time between two checks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Checks the polls of all attempts until it is dropped.
pub(super) async fn run(resources: Arc<WorkerResources>) -> Infallible {
    loop {
        let due = Instant::now() + INTERVAL;
        tokio::time::sleep(INTERVAL).await;
        resources.counters.set_event_loop_lag(due.elapsed());
        for attempt in resources.table.all() {
            let Some(blocked) = attempt.poll_clock.polling_for(resources.start).filter(|poll| *poll >= BLOCKED_AFTER)
            else {
                continue;
            };
            // Warns at the first check, and again each time the duration has doubled.
            let last_ms = attempt.last_warning_ms.load(Ordering::Relaxed);
            let blocked_ms = u64::try_from(blocked.as_millis()).unwrap_or(u64::MAX);
            if last_ms == 0 || blocked_ms >= last_ms.saturating_mul(2) {
                resources.counters.blocked_threads.add(u64::from(last_ms == 0));
                attempt.last_warning_ms.store(blocked_ms, Ordering::Relaxed);
                tracing::warn!(
                    task = attempt.task_name,
                    "blocks an async thread, for {} so far: make it a blocking or cpu task, or await more often",
                    readable_duration(blocked)
                );
            }
        }
    }
}
