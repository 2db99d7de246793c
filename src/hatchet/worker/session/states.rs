//! Combines the states of all sessions into the state of the worker process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::outage_log::OutageLog;
use crate::hatchet::{
    wire::WorkerId,
    worker::{
        attempt::WorkerResources,
        state::{RegisteredWorker, Registration, WorkerState},
    },
};

/// The sessions of a process, by the index of their registration.
///
/// The process is listening only while all sessions are. Otherwise it would be ready while one slot pool receives no
/// work.
pub(in crate::hatchet::worker) struct SessionStates {
    sessions: Mutex<Vec<Session>>,
    engine_version: String,
    state: watch::Sender<WorkerState>,
    resources: Arc<WorkerResources>,
    /// Shared by all sessions, since an outage concerns all of them.
    pub(super) outage_log: OutageLog,
}

struct Session {
    worker: RegisteredWorker,
    is_listening: bool,
    /// Whether the session has been listening before.
    was_listening: bool,
    /// Cause of the latest disconnect, if known.
    failure: Option<String>,
}

impl SessionStates {
    /// Creates the states of a process that has just registered. No session is listening yet.
    pub(in crate::hatchet::worker) fn new(
        registration: Registration,
        state: watch::Sender<WorkerState>,
        resources: Arc<WorkerResources>,
    ) -> Self {
        let Registration { workers, engine_version } = registration;
        let session = |worker| Session { worker, is_listening: false, was_listening: false, failure: None };
        let sessions = Mutex::new(workers.into_iter().map(session).collect());
        let states = Self { sessions, engine_version, state, resources, outage_log: OutageLog::default() };
        states.publish(&states.lock());
        states
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current workers, in the order of their registrations.
    pub(in crate::hatchet::worker) fn workers(&self) -> Vec<RegisteredWorker> {
        self.lock().iter().map(|session| session.worker.clone()).collect()
    }

    /// Returns the current id of a registration's worker.
    pub(super) fn worker_id(&self, index: usize) -> WorkerId {
        self.lock()[index].worker.id
    }

    /// Records that a session receives work.
    pub(super) fn set_listening(&self, index: usize) {
        let all_listen = self.update(index, |session| {
            session.is_listening = true;
            session.failure = None;
            // Counted before the state changes, so that a reader of both never misses a reconnect.
            let reconnected = std::mem::replace(&mut session.was_listening, true);
            self.resources.counters.reconnects.add(u64::from(reconnected));
        });
        self.resources.connected.notify_waiters();
        if all_listen {
            self.outage_log.log_end();
        }
    }

    /// Records that a session no longer receives work.
    pub(super) fn set_disconnected(&self, index: usize, cause: Option<String>) {
        self.update(index, |session| {
            session.is_listening = false;
            session.failure = cause;
        });
    }

    /// Records that a worker was registered again. Its session is not listening yet.
    pub(super) fn set_registered(&self, index: usize, worker: RegisteredWorker) {
        self.update(index, |session| session.worker = worker);
    }

    /// Marks the process as draining, which is final.
    pub(in crate::hatchet::worker) fn set_draining(&self) {
        self.state.send_replace(WorkerState::Draining);
    }

    /// Waits until the process drains.
    pub(super) async fn wait_until_draining(&self) {
        // Cannot fail: the sender lives as long as `self`.
        let _ = self.state.subscribe().wait_for(|state| *state == WorkerState::Draining).await;
    }

    /// Changes a session and publishes the state. Returns whether all sessions are listening.
    fn update(&self, index: usize, change: impl FnOnce(&mut Session)) -> bool {
        let mut sessions = self.lock();
        change(&mut sessions[index]);
        self.publish(&sessions);
        sessions.iter().all(|session| session.is_listening)
    }

    fn publish(&self, sessions: &[Session]) {
        let state = if sessions.iter().all(|session| session.is_listening) {
            let workers = sessions.iter().map(|session| session.worker.clone()).collect();
            WorkerState::Listening(Registration { workers, engine_version: self.engine_version.clone() })
        } else {
            WorkerState::Connecting(sessions.iter().find_map(|session| session.failure.clone()))
        };
        self.state.send_if_modified(|current| {
            let changed = *current != WorkerState::Draining && *current != state;
            if changed {
                *current = state;
            }
            changed
        });
    }
}
