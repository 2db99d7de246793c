//! The commit barrier: withholds responses until the state they report is persisted.
//!
//! Changes are persisted in batches, numbered from 1. Each response and stream message waits for a batch: for the batch
//! that is being collected if it has changes, otherwise for the previous batch. In an engine without a database all
//! numbers are 0, and no response waits.
//!
//! ```text
//!   batch:        1          2          3 (being collected)
//!                 committed  being      ▲
//!                            written    └ pending: responses that report the present state wait for it
//! ```
//!
//! While batches cannot be written, waiting calls fail with [`NotDurable`] after [`FAILURE_TIMEOUT`], and new calls
//! fail immediately, so that the number of calls that wait for the database is bounded.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, futures::OwnedNotified};
use tonic::{Status, metadata::MetadataValue};

use crate::hatchet::wire::MAY_TAKE_EFFECT;

/// Time for which calls wait while batches cannot be written: 3 s. After it they fail, and new calls fail immediately.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(3);

/// The progress of persistence.
#[derive(Debug, Default)]
pub(crate) struct CommitBarrier {
    /// The batch that contains the latest change.
    pending: AtomicU64,
    /// The latest batch that was written; all earlier batches are written too.
    committed: AtomicU64,
    /// Notified after each attempt to write a batch.
    progress: Arc<Notify>,
    failure: Mutex<Option<Failure>>,
}

/// The reason why batches cannot be written at the moment.
#[derive(Debug, Clone)]
struct Failure {
    since: Instant,
    reason: Arc<str>,
}

/// The reason why a call that adds data is refused.
#[derive(Debug, Clone)]
pub(crate) enum AddError {
    /// The addition could not be persisted.
    NotDurable(NotDurable),
    /// The state has reached its limit in bytes.
    AtCapacity,
}

const AT_CAPACITY: &str = "the embedded engine has reached its limit of bytes for unfinished runs, workflows, workers, \
                           schedules and crons: let a worker run the queued runs, or cancel some";

impl From<NotDurable> for AddError {
    fn from(error: NotDurable) -> Self {
        Self::NotDurable(error)
    }
}

impl From<AddError> for Status {
    fn from(error: AddError) -> Self {
        match error {
            AddError::NotDurable(error) => error.into(),
            AddError::AtCapacity => Self::resource_exhausted(AT_CAPACITY),
        }
    }
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDurable(error) => error.fmt(f),
            Self::AtCapacity => f.write_str(AT_CAPACITY),
        }
    }
}

/// The response of a call is withheld, because the state that it reports may be lost.
#[derive(Debug, Clone)]
pub(crate) struct NotDurable {
    reason: Arc<str>,
    /// Whether the call was executed, so that it may still take effect.
    is_executed: bool,
}

impl fmt::Display for NotDurable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the embedded engine cannot store changes at the moment: {}", self.reason)?;
        f.write_str(if self.is_executed { ". This call may take effect later" } else { ". This call was not executed" })
    }
}

impl std::error::Error for NotDurable {}

impl From<NotDurable> for Status {
    fn from(error: NotDurable) -> Self {
        let mut status = Self::unavailable(error.to_string());
        let may = if error.is_executed { "true" } else { "false" };
        status.metadata_mut().insert(MAY_TAKE_EFFECT, MetadataValue::from_static(may));
        status
    }
}

/// Methods for the driver and its send queues.
impl CommitBarrier {
    /// Sets the batch that contains the latest change.
    pub(crate) fn set_pending(&self, batch: u64) {
        self.pending.store(batch, Ordering::Relaxed);
    }

    /// The batch that a response about the present state waits for.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Whether a batch is written.
    pub(crate) fn is_committed(&self, batch: u64) -> bool {
        batch <= self.committed.load(Ordering::Acquire)
    }

    /// Refuses a call while batches cannot be written.
    pub(crate) fn admit(&self) -> Result<(), NotDurable> {
        self.check_failure(false)
    }

    /// Waits until a batch is written; fails if batches cannot be written for [`FAILURE_TIMEOUT`].
    pub(crate) async fn wait(&self, batch: u64) -> Result<(), NotDurable> {
        while !self.is_committed(batch) {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            // Registered before the second check, so that no notification is missed.
            progress.as_mut().enable();
            if self.is_committed(batch) {
                break;
            }
            self.check_failure(true)?;
            progress.await;
        }
        Ok(())
    }

    /// Completes after the next attempt to write a batch.
    pub(crate) fn progress(&self) -> OwnedNotified {
        self.progress.clone().notified_owned()
    }

    fn check_failure(&self, is_executed: bool) -> Result<(), NotDurable> {
        match &*self.failure() {
            Some(failure) if failure.since.elapsed() >= FAILURE_TIMEOUT => {
                Err(NotDurable { reason: failure.reason.clone(), is_executed })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn failure(&self) -> MutexGuard<'_, Option<Failure>> {
        // Nothing panics while it is locked.
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Methods for the writer.
impl CommitBarrier {
    /// Records that a batch is written, and with it all earlier batches.
    pub(crate) fn commit(&self, batch: u64) {
        self.committed.store(batch, Ordering::Release);
        *self.failure() = None;
        self.progress.notify_waiters();
    }

    /// Records that a batch could not be written. Returns whether the reason is new.
    pub(crate) fn report_failure(&self, reason: &str) -> bool {
        let mut failure = self.failure();
        let is_new = failure.as_ref().is_none_or(|known| *known.reason != *reason);
        let since = failure.as_ref().map_or_else(Instant::now, |known| known.since);
        *failure = Some(Failure { since, reason: reason.into() });
        drop(failure);
        self.progress.notify_waiters();
        is_new
    }
}
