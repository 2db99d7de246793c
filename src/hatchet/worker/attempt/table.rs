//! The attempts that there are, and those that have just ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::recent::Recent;
use crate::hatchet::{
    task::{CancelReason, Canceller},
    wire::RunId,
    worker::watchdog::PollClock,
};

/// What identifies an attempt: a retry may arrive before the old attempt is gone.
pub(in crate::hatchet::worker) type AttemptKey = (RunId, i32);

/// All attempts of a worker.
#[derive(Default)]
pub(in crate::hatchet::worker) struct Table {
    running: Mutex<HashMap<AttemptKey, Running>>,
    ended: Mutex<Recent>,
    /// Told each time an attempt is gone.
    gone: Notify,
}

/// An attempt, for those who want to stop or name it.
#[derive(Clone)]
pub(in crate::hatchet::worker) struct Running {
    pub(in crate::hatchet::worker) task: String,
    pub(in crate::hatchet::worker) canceller: Canceller,
    pub(in crate::hatchet::worker) polls: PollClock,
    /// How long the watchdog last said that it blocks, in milliseconds.
    pub(in crate::hatchet::worker) said_blocked_ms: Arc<AtomicU64>,
    /// The body has ended: only the report of its outcome is outstanding.
    ended: Arc<AtomicBool>,
}

/// Attempts in words, as `task (run id)`, by what is outstanding of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::hatchet::worker) struct Outstanding {
    /// The body, which runs or waits for its slot.
    pub(in crate::hatchet::worker) bodies: Vec<String>,
    /// Only the report of the outcome.
    pub(in crate::hatchet::worker) reports: Vec<String>,
}

impl Running {
    pub(in crate::hatchet::worker) fn new(task: String) -> Self {
        Self {
            task,
            canceller: Canceller::default(),
            polls: PollClock::default(),
            said_blocked_ms: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// The body has ended.
    pub(in crate::hatchet::worker) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl Table {
    fn running(&self) -> MutexGuard<'_, HashMap<AttemptKey, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, Recent> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an attempt in. False where it runs already, or has ended.
    pub(in crate::hatchet::worker) fn add(&self, key: AttemptKey, attempt: Running) -> bool {
        if self.running().contains_key(&key) || self.ended().has(key) {
            return false;
        }
        self.running().insert(key, attempt);
        true
    }

    /// An attempt has ended.
    pub(in crate::hatchet::worker) fn remove(&self, key: AttemptKey) {
        self.ended().add(key);
        self.running().remove(&key);
        self.gone.notify_waiters();
    }

    /// An attempt that runs.
    pub(in crate::hatchet::worker) fn get(&self, key: AttemptKey) -> Option<Running> {
        self.running().get(&key).cloned()
    }

    /// How many there are.
    pub(in crate::hatchet::worker) fn busy(&self) -> usize {
        self.running().len()
    }

    /// What runs.
    pub(in crate::hatchet::worker) fn all(&self) -> Vec<Running> {
        self.running().values().cloned().collect()
    }

    /// What there is, in the order of the names.
    pub(in crate::hatchet::worker) fn outstanding(&self) -> Outstanding {
        let mut outstanding = Outstanding::default();
        for ((run, _), running) in &*self.running() {
            let ended = running.ended.load(Ordering::Relaxed);
            let list = if ended { &mut outstanding.reports } else { &mut outstanding.bodies };
            list.push(format!("{} ({run})", running.task));
        }
        outstanding.bodies.sort();
        outstanding.reports.sort();
        outstanding
    }

    /// Asks all that runs to stop.
    pub(in crate::hatchet::worker) fn cancel_all(&self, reason: CancelReason) {
        for running in self.running().values() {
            running.canceller.cancel(reason);
        }
    }

    /// Waits until no attempt is left.
    pub(in crate::hatchet::worker) async fn idle(&self) {
        self.fewer_than(1).await;
    }

    /// Waits until there are fewer attempts than this.
    pub(in crate::hatchet::worker) async fn fewer_than(&self, count: usize) {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            // Armed before the look, so that no end between the two is missed.
            gone.as_mut().enable();
            if self.busy() < count {
                return;
            }
            gone.await;
        }
    }
}
