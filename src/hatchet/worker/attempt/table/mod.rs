//! The attempts of a worker: running, waiting for their report, and recently finished.

mod poll_clock;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

pub(in crate::hatchet::worker) use poll_clock::PollClock;

use crate::hatchet::{
    task::{CancelReason, Canceller},
    wire::RunId,
};

/// Run and retry count. A retry may arrive before the previous attempt is removed from the table.
pub(in crate::hatchet::worker) type AttemptKey = (RunId, i32);

/// Number of recently finished attempts in the table: far more than can end while a message is in flight, or while the
/// engine's list of assigned attempts lags behind. An entry takes about 60 bytes.
const RECENTLY_FINISHED: usize = 16_384;

/// All attempts of a worker.
///
/// An engine sends an assignment again if it has received no report of the attempt when the worker reconnects. The
/// second assignment may cross the report of the outcome. So the table also contains the keys of finished attempts,
/// which never run twice, and of attempts whose cancellation arrived before their assignment.
#[derive(Default)]
pub(in crate::hatchet::worker) struct AttemptTable {
    attempts: Mutex<Attempts>,
    /// Notified when an attempt is removed.
    removed: Notify,
}

#[derive(Default)]
struct Attempts {
    running: HashMap<AttemptKey, RunningAttempt>,
    recently_finished: RecentlyFinished,
}

/// The parts of an attempt that the drain, the watchdog and a cancellation use.
#[derive(Clone)]
pub(in crate::hatchet::worker) struct RunningAttempt {
    pub(in crate::hatchet::worker) task_name: String,
    pub(in crate::hatchet::worker) canceller: Canceller,
    pub(in crate::hatchet::worker) poll_clock: PollClock,
    /// Poll duration in the watchdog's last warning, in milliseconds; 0 if there was none.
    pub(in crate::hatchet::worker) last_warning_ms: Arc<AtomicU64>,
    /// Whether only the report of the outcome is outstanding.
    body_finished: Arc<AtomicBool>,
}

/// Outstanding attempts as `task (run id)`, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::hatchet::worker) struct Outstanding {
    /// Attempts whose body runs or waits for its slot.
    pub(in crate::hatchet::worker) running: Vec<String>,
    /// Attempts whose body has finished and whose outcome is not acknowledged.
    pub(in crate::hatchet::worker) unreported: Vec<String>,
}

impl RunningAttempt {
    pub(in crate::hatchet::worker) fn new(task_name: String) -> Self {
        Self {
            task_name,
            canceller: Canceller::default(),
            poll_clock: PollClock::default(),
            last_warning_ms: Arc::default(),
            body_finished: Arc::default(),
        }
    }

    pub(in crate::hatchet::worker) fn set_body_finished(&self) {
        self.body_finished.store(true, Ordering::Relaxed);
    }
}

impl AttemptTable {
    fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an attempt. Returns `false` if it is running or has recently finished.
    pub(in crate::hatchet::worker) fn insert(&self, key: AttemptKey, attempt: RunningAttempt) -> bool {
        let mut attempts = self.lock();
        if attempts.running.contains_key(&key) || attempts.recently_finished.contains(key) {
            return false;
        }
        attempts.running.insert(key, attempt);
        true
    }

    /// Returns whether an attempt is running or has recently finished.
    pub(in crate::hatchet::worker) fn contains(&self, key: AttemptKey) -> bool {
        let attempts = self.lock();
        attempts.running.contains_key(&key) || attempts.recently_finished.contains(key)
    }

    /// Removes a finished attempt, and adds its key to the recently finished attempts.
    pub(in crate::hatchet::worker) fn remove(&self, key: AttemptKey) {
        let mut attempts = self.lock();
        attempts.recently_finished.insert(key);
        attempts.running.remove(&key);
        drop(attempts);
        self.removed.notify_waiters();
    }

    /// Returns whether a later attempt of the same run is running or has recently finished.
    pub(in crate::hatchet::worker) fn has_later(&self, (run, retry_count): AttemptKey) -> bool {
        let attempts = self.lock();
        let mut known = attempts.running.keys().chain(&attempts.recently_finished.order);
        known.any(|known| known.0 == run && known.1 > retry_count)
    }

    /// Prevents the start of an attempt that was cancelled before its assignment arrived.
    pub(super) fn refuse(&self, key: AttemptKey) {
        self.lock().recently_finished.insert(key);
    }

    pub(super) fn get(&self, key: AttemptKey) -> Option<RunningAttempt> {
        self.lock().running.get(&key).cloned()
    }

    /// Returns the number of attempts that are not removed yet.
    pub(in crate::hatchet::worker) fn len(&self) -> usize {
        self.lock().running.len()
    }

    pub(in crate::hatchet::worker) fn all(&self) -> Vec<RunningAttempt> {
        self.lock().running.values().cloned().collect()
    }

    pub(in crate::hatchet::worker) fn outstanding(&self) -> Outstanding {
        let mut outstanding = Outstanding::default();
        for ((run, _), attempt) in &self.lock().running {
            let finished = attempt.body_finished.load(Ordering::Relaxed);
            let list = if finished { &mut outstanding.unreported } else { &mut outstanding.running };
            list.push(format!("{} ({run})", attempt.task_name));
        }
        outstanding.running.sort();
        outstanding.unreported.sort();
        outstanding
    }

    /// Cancels all attempts in the table, with the given reason.
    pub(in crate::hatchet::worker) fn cancel_all(&self, reason: CancelReason) {
        for attempt in self.lock().running.values() {
            attempt.canceller.cancel(reason);
        }
    }

    /// Waits until the table is empty.
    pub(in crate::hatchet::worker) async fn wait_until_empty(&self) {
        self.wait_for_fewer_than(1).await;
    }

    /// Waits until the table has fewer than `count` attempts.
    pub(in crate::hatchet::worker) async fn wait_for_fewer_than(&self, count: usize) {
        loop {
            let removed = self.removed.notified();
            tokio::pin!(removed);
            // Enabled before the check, so that a removal between check and wait is not missed.
            removed.as_mut().enable();
            if self.len() < count {
                return;
            }
            removed.await;
        }
    }
}

/// The keys of the last [`RECENTLY_FINISHED`] attempts.
#[derive(Default)]
struct RecentlyFinished {
    keys: HashSet<AttemptKey>,
    /// Oldest first.
    order: VecDeque<AttemptKey>,
}

impl RecentlyFinished {
    fn insert(&mut self, key: AttemptKey) {
        if !self.keys.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > RECENTLY_FINISHED
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    fn contains(&self, key: AttemptKey) -> bool {
        self.keys.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recently_finished_drops_the_oldest_beyond_its_limit() {
        let (mut recent, first) = (RecentlyFinished::default(), (RunId::random(), 0));
        recent.insert(first);
        recent.insert(first);
        assert!(recent.contains(first) && !recent.contains((first.0, 1)));
        (0..RECENTLY_FINISHED).for_each(|_| recent.insert((RunId::random(), 0)));
        assert!(!recent.contains(first));
        assert_eq!((recent.keys.len(), recent.order.len()), (RECENTLY_FINISHED, RECENTLY_FINISHED));
    }

    #[test]
    fn finished_attempt_is_not_inserted_again() {
        let (table, key) = (AttemptTable::default(), (RunId::random(), 0));
        let attempt = || RunningAttempt::new("task".to_owned());
        assert!(table.insert(key, attempt()));
        assert!(!table.insert(key, attempt()), "it is running");
        table.remove(key);
        assert!(!table.insert(key, attempt()), "it has finished");
        assert!(!table.has_later(key));
        assert!(table.insert((key.0, 1), attempt()), "its retry is another attempt");
        assert!(table.has_later(key) && !table.has_later((key.0, 1)) && !table.has_later((RunId::random(), 0)));
        table.remove((key.0, 1));
        assert!(table.has_later(key));
    }
}
