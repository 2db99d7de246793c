//! Writes a batch, retrying until it succeeds.

use std::time::{Duration, Instant};

use super::{barrier::CommitBarrier, row::Batch, store::Store};
use crate::hatchet::wire::readable_duration;

/// Delay before the first retry: 50 ms, so that a short fault delays responses little.
const INITIAL_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Longest delay before a retry: 1 s. The delay doubles up to it.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Time for which the last batch is retried when the engine stops: 2 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Writes a batch and marks it as committed; retries until it is written. Returns `false` if it cannot be written:
/// after a final error, or [`STOP_TIMEOUT`] after the first attempt once `is_stopping`.
pub(crate) async fn write_batch(
    store: &Store,
    barrier: &CommitBarrier,
    number: u64,
    mut batch: Batch,
    is_stopping: impl Fn() -> bool,
) -> bool {
    let (start, mut delay) = (Instant::now(), INITIAL_RETRY_DELAY);
    let path = store.path().display();
    let mut has_failed = false;
    loop {
        let Err((returned, error)) = store.write(batch).await else { break };
        let is_new = barrier.report_failure(&format!("{path}: {error}"));
        if error.is_final() {
            tracing::error!("writing {path} failed: {error}");
            return false;
        }
        batch = returned;
        has_failed = true;
        if is_new {
            tracing::error!("writing {path} failed: {error}. No change is acknowledged until it can be written again");
        }
        if is_stopping() && start.elapsed() > STOP_TIMEOUT {
            tracing::error!("writing {path} failed at the stop: changes that were not acknowledged are lost");
            return false;
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(MAX_RETRY_DELAY);
    }
    barrier.commit(number);
    if has_failed {
        tracing::warn!("{path} is written again, after {}", readable_duration(start.elapsed()));
    }
    true
}
