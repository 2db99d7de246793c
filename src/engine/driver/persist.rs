//! The keeping of changes: one batch after the other, each tried until it is kept.

use std::time::{Duration, Instant};

use super::{Driver, Shared};
use crate::engine::{
    persistence::{row::Batch, store::Store},
    state::ClockReading,
};

/// How long after a failed write the next try comes, at first and at most.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a write is tried when the engine is to end.
const LAST_TRIES: Duration = Duration::from_secs(2);

impl Driver {
    /// Keeps all changes, batch by batch, until [told](Self::stop_keeping) that there will be no more. Ends before that
    /// only if nothing can ever be kept again.
    pub(crate) async fn keep(&self, store: &Store) {
        loop {
            let (batch, is_over) = {
                let mut shared = self.lock();
                (shared.take_batch(self.now()), shared.is_over)
            };
            match batch {
                Some((number, batch)) => {
                    if !self.keep_batch(store, number, batch).await {
                        return;
                    }
                }
                None if is_over => return,
                None => self.changed.notified().await,
            }
        }
    }

    /// Tries until it is kept. Answers whether it is, which it is not if the engine is to end before.
    async fn keep_batch(&self, store: &Store, number: u64, mut batch: Batch) -> bool {
        let (begun, mut pause) = (Instant::now(), TRY_AGAIN.0);
        let path = store.path().display();
        let mut failed = false;
        loop {
            let Err((back, error)) = store.write(batch).await else { break };
            if error.is_final() {
                self.gate.fails(&format!("{path}: {error}"));
                tracing::error!("{path}: {error}");
                return false;
            }
            batch = back;
            failed = true;
            if self.gate.fails(&format!("{path}: {error}")) {
                tracing::error!("cannot write {path}: {error}; nothing is acknowledged until it can be written again");
            }
            if self.lock().is_over && begun.elapsed() > LAST_TRIES {
                tracing::error!("what was not acknowledged is lost: {path} cannot be written");
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(TRY_AGAIN.1);
        }
        self.gate.open(number);
        if failed {
            tracing::warn!("{path} is written again, after {:.1} s", begun.elapsed().as_secs_f64());
        }
        true
    }

    /// There will be no more changes.
    pub(crate) fn stop_keeping(&self) {
        self.lock().is_over = true;
        self.changed.notify_one();
    }
}

impl Shared {
    /// What has changed since the last batch, as the next one.
    fn take_batch(&mut self, now: ClockReading) -> Option<(u64, Batch)> {
        let batch = self.state.is_changed().then(|| self.state.take_changes(now))?;
        let number = self.batch;
        self.batch += 1;
        self.set_due();
        Some((number, batch))
    }
}
