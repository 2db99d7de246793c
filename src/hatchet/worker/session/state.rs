//! The state of a worker process, combined from those of its registrations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::hatchet::{
    wire::WorkerId,
    worker::{LinkState, Registered, RegisteredWorker, health::Stats},
};

/// The registrations of a process, each with its link. The process listens only while all of them do: work of a task
/// whose registration is lost would wait while the process says that it is ready.
pub(in crate::hatchet::worker) struct Links {
    links: Mutex<Vec<Link>>,
    engine_version: String,
    state: watch::Sender<LinkState>,
    stats: Arc<Stats>,
}

/// One registration.
struct Link {
    worker: RegisteredWorker,
    listens: bool,
    /// Whether it has ever listened.
    listened: bool,
    /// Why it was lost, where something failed.
    lost: Option<String>,
}

impl Links {
    /// Of a process that has just registered.
    pub(in crate::hatchet::worker) fn new(
        registered: Registered,
        state: watch::Sender<LinkState>,
        stats: Arc<Stats>,
    ) -> Self {
        let Registered { workers, engine_version } = registered;
        let link = |worker| Link { worker, listens: false, listened: false, lost: None };
        let links = Mutex::new(workers.into_iter().map(link).collect());
        let links = Self { links, engine_version, state, stats };
        links.publish(&links.lock());
        links
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The workers, in the order of the registrations.
    pub(in crate::hatchet::worker) fn workers(&self) -> Vec<RegisteredWorker> {
        self.lock().iter().map(|link| link.worker.clone()).collect()
    }

    /// The id that a registration has now.
    pub(in crate::hatchet::worker) fn id(&self, number: usize) -> WorkerId {
        self.lock()[number].worker.id
    }

    /// A registration receives work.
    pub(in crate::hatchet::worker) fn listens(&self, number: usize) {
        self.change(number, |link| {
            link.listens = true;
            link.lost = None;
            // Counted before the state says so: a reader of both sees no reconnect that is not counted.
            self.stats.listens(std::mem::replace(&mut link.listened, true));
        });
    }

    /// A registration receives no work any more.
    pub(in crate::hatchet::worker) fn lost(&self, number: usize, why: Option<String>) {
        self.change(number, |link| {
            link.listens = false;
            link.lost = why;
        });
    }

    /// A registration was made anew; it does not listen yet.
    pub(in crate::hatchet::worker) fn registered(&self, number: usize, worker: RegisteredWorker) {
        self.change(number, |link| link.worker = worker);
    }

    /// From now on the process finishes what runs.
    pub(in crate::hatchet::worker) fn drain(&self) {
        self.state.send_replace(LinkState::Draining);
    }

    /// Waits for that.
    pub(in crate::hatchet::worker) async fn draining(&self) {
        // The sender is this one's own, so the state is never lost.
        let _ = self.state.subscribe().wait_for(|state| *state == LinkState::Draining).await;
    }

    /// Whether it does.
    pub(in crate::hatchet::worker) fn is_draining(&self) -> bool {
        *self.state.borrow() == LinkState::Draining
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Link)) {
        let mut links = self.lock();
        change(&mut links[number]);
        self.publish(&links);
    }

    fn publish(&self, links: &[Link]) {
        let state = if links.iter().all(|link| link.listens) {
            let workers = links.iter().map(|link| link.worker.clone()).collect();
            LinkState::Listening(Registered { workers, engine_version: self.engine_version.clone() })
        } else {
            LinkState::Connecting(links.iter().find_map(|link| link.lost.clone()))
        };
        self.state.send_if_modified(|present| {
            let changed = *present != LinkState::Draining && *present != state;
            if changed {
                *present = state;
            }
            changed
        });
    }
}
