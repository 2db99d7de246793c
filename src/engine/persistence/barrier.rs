//! Nothing leaves the engine before what it says is kept.
//!
//! Changes are kept in batches, numbered from one. Whatever goes out is due at a batch: the one that is being
//! collected, if there are changes that no batch has taken yet, or else the last that was taken. It waits until that
//! one is kept. An engine in memory has no batches, and nothing waits.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, futures::OwnedNotified};
use tonic::{Status, metadata::MetadataValue};

use crate::hatchet::wire::MAY_TAKE_EFFECT;

/// How long calls wait while nothing can be kept. Then they are refused, and new ones at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes that may wait to be read on all streams together. Beyond it a stream may leave one message unread and no more.
const MAX_UNREAD_BYTES: usize = 512 << 20;

/// How far the keeping has come.
#[derive(Debug, Default)]
pub(crate) struct CommitBarrier {
    /// The batch after which everything that has happened so far is kept.
    due: AtomicU64,
    kept: AtomicU64,
    moved: Arc<Notify>,
    trouble: Mutex<Option<Trouble>>,
    /// Bytes in all mailboxes together.
    unread: AtomicUsize,
}

/// Why nothing can be kept at present.
#[derive(Debug, Clone)]
struct Trouble {
    since: Instant,
    why: Arc<str>,
}

/// Why a call that would add something is refused.
#[derive(Debug, Clone)]
pub(crate) enum AddError {
    /// It could not be kept.
    NotDurable(NotDurable),
    /// The engine holds as much as it may.
    AtCapacity,
}

const NO_ROOM: &str = "the embedded engine holds as many bytes as it may in runs that have not ended, workflows, \
                       workers, schedules and crons: let a worker run the queued runs, or cancel some";

impl From<NotDurable> for AddError {
    fn from(unkept: NotDurable) -> Self {
        Self::NotDurable(unkept)
    }
}

impl From<AddError> for Status {
    fn from(refused: AddError) -> Self {
        match refused {
            AddError::NotDurable(unkept) => unkept.into(),
            AddError::AtCapacity => Self::resource_exhausted(NO_ROOM),
        }
    }
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDurable(unkept) => unkept.fmt(f),
            Self::AtCapacity => f.write_str(NO_ROOM),
        }
    }
}

/// The answer cannot be given: what it says may be lost.
#[derive(Debug, Clone)]
pub(crate) struct NotDurable {
    why: Arc<str>,
    /// Whether what was asked for has been done, so that it may still take effect.
    done: bool,
}

impl fmt::Display for NotDurable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the embedded engine cannot keep anything at present: {}", self.why)?;
        f.write_str(if self.done { "; this call may take effect later" } else { "; nothing was done" })
    }
}

impl std::error::Error for NotDurable {}

impl From<NotDurable> for Status {
    fn from(unkept: NotDurable) -> Self {
        let mut status = Self::unavailable(unkept.to_string());
        if unkept.done {
            status.metadata_mut().insert(MAY_TAKE_EFFECT, MetadataValue::from_static("true"));
        }
        status
    }
}

impl CommitBarrier {
    /// Whether there is no room for so many bytes more.
    pub(crate) fn is_crowded(&self, bytes: usize) -> bool {
        self.unread.load(Ordering::Relaxed).saturating_add(bytes) > MAX_UNREAD_BYTES
    }

    /// So many bytes wait to be read.
    pub(crate) fn wait_unread(&self, bytes: usize) {
        self.unread.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many do not any more.
    pub(crate) fn leave_unread(&self, bytes: usize) {
        self.unread.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        // Nothing panics while it is locked.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far is kept with this batch.
    pub(crate) fn set_due(&self, batch: u64) {
        self.due.store(batch, Ordering::Relaxed);
    }

    /// What goes out now is due at this batch.
    pub(crate) fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Whether what is due at a batch may go out.
    pub(crate) fn is_open(&self, due: u64) -> bool {
        due <= self.kept.load(Ordering::Acquire)
    }

    /// A batch is kept, and with it all before.
    pub(crate) fn open(&self, batch: u64) {
        self.kept.store(batch, Ordering::Release);
        *self.trouble() = None;
        self.moved.notify_waiters();
    }

    /// Keeping fails. Answers whether that is new.
    pub(crate) fn fails(&self, why: &str) -> bool {
        let mut trouble = self.trouble();
        let is_new = trouble.as_ref().is_none_or(|known| *known.why != *why);
        let since = trouble.as_ref().map_or_else(Instant::now, |known| known.since);
        *trouble = Some(Trouble { since, why: why.into() });
        drop(trouble);
        self.moved.notify_waiters();
        is_new
    }

    fn lasting(&self, done: bool) -> Result<(), NotDurable> {
        match &*self.trouble() {
            Some(trouble) if trouble.since.elapsed() >= PATIENCE => Err(NotDurable { why: trouble.why.clone(), done }),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses a call while nothing can be kept, so that no more piles up.
    pub(crate) fn admit(&self) -> Result<(), NotDurable> {
        self.lasting(false)
    }

    /// Waits until what is due at a batch may go out.
    pub(crate) async fn wait(&self, due: u64) -> Result<(), NotDurable> {
        while !self.is_open(due) {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.is_open(due) {
                break;
            }
            self.lasting(true)?;
            moved.await;
        }
        Ok(())
    }

    /// Ends when a batch is kept, or cannot be.
    pub(crate) fn moves(&self) -> OwnedNotified {
        self.moved.clone().notified_owned()
    }
}
