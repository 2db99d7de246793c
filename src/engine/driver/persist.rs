//! The persistence loop: takes the changes of the state, batch by batch, and writes them.
//!
//! While one batch is written, the changes that follow are collected in the next batch, so a slow disk makes batches
//! larger rather than more frequent.

use super::core::{Driver, Shared};
use crate::engine::{
    persistence::{row::Batch, store::Store, writer::write_batch},
    state::ClockReading,
};

impl Driver {
    /// Writes all changes until [`finish_persisting`](Self::finish_persisting) was called and no changes are left. Ends
    /// earlier only if a batch cannot be written.
    pub(crate) async fn persist(&self, store: &Store) {
        loop {
            let (batch, is_finishing) = {
                let mut shared = self.lock();
                (shared.take_batch(self.now()), shared.is_finishing)
            };
            match batch {
                Some((number, batch)) => {
                    let is_stopping = || self.lock().is_finishing;
                    if !write_batch(store, &self.barrier, number, batch, is_stopping).await {
                        return;
                    }
                }
                None if is_finishing => return,
                None => self.changed.notified().await,
            }
        }
    }

    /// Announces that there will be no more changes.
    pub(crate) fn finish_persisting(&self) {
        self.lock().is_finishing = true;
        self.changed.notify_one();
    }
}

impl Shared {
    /// Returns the changes since the last batch, with the number of their batch.
    fn take_batch(&mut self, now: ClockReading) -> Option<(u64, Batch)> {
        let batch = self.state.has_changes().then(|| self.state.drain_changes(now))?;
        let number = self.batch;
        self.batch += 1;
        self.update_pending();
        Some((number, batch))
    }
}
