//! Registration, streams, heartbeats and leases of workers.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    engine::{
        persistence::records::Label,
        state::{
            attempt::AttemptEvent,
            machine::State,
            slots::Slot,
            time::ClockReading,
            workers::{Registration, StreamId, Worker, WorkerError},
        },
    },
    hatchet::wire::{RunId, WorkerId},
};

impl State {
    /// Registers a worker. Every registration creates a new worker, even if the name is in use.
    pub(crate) fn register(&mut self, registration: Registration, now: ClockReading) -> WorkerId {
        let id = WorkerId::from(self.new_id());
        let worker = self.new_worker(id, registration, now);
        self.workers.insert(id, worker, now, &self.timings);
        self.arm_lease(id);
        id
    }

    /// Creates a worker without streams in the pool of its actions. Its lease begins now.
    pub(in crate::engine::state) fn new_worker(
        &mut self,
        id: WorkerId,
        registration: Registration,
        now: ClockReading,
    ) -> Worker {
        let mut actions: Vec<Arc<str>> = registration.actions.into_iter().map(Arc::from).collect();
        actions.sort();
        actions.dedup();
        let slot = |(kind, limit): (String, i64)| Slot { kind: kind.into(), limit, used: 0 };
        Worker {
            name: registration.name,
            pool: self.scheduler.add_worker(&actions, id),
            actions,
            slots: registration.slots.into_iter().map(slot).collect(),
            labels: registration.labels,
            runtime: registration.runtime,
            registered: now.display,
            heartbeat: None,
            last_seen: now.monotonic,
            lease_start: now.monotonic,
            streams: Vec::new(),
            heartbeat_streams: Vec::new(),
            listened: None,
            paused: false,
            unsubscribed: false,
            in_process: registration.in_process,
            running: BTreeMap::new(),
            timer: None,
            last_assignment: 0,
        }
    }

    /// Opens an assignment stream; the newest stream of a worker gets its assignments. With `is_heartbeat` the stream
    /// replaces heartbeats while it is open.
    pub(crate) fn open_stream(
        &mut self,
        id: WorkerId,
        is_heartbeat: bool,
        now: ClockReading,
    ) -> Result<StreamId, WorkerError> {
        let stream = self.workers.open_stream(id, is_heartbeat, now)?;
        self.arm_lease(id);
        self.assign_to(id, now);
        Ok(stream)
    }

    /// Whether the worker of a stream has opened a newer stream.
    pub(crate) fn is_superseded(&self, stream: StreamId) -> bool {
        let worker = self.workers.of_stream(stream).and_then(|id| self.workers.get(id));
        worker.is_some_and(|worker| worker.streams.last() != Some(&stream))
    }

    /// Closes a stream. The worker's running tasks continue; it gets no assignments unless another stream is open.
    pub(crate) fn close_stream(&mut self, stream: StreamId, now: ClockReading) {
        if let Some(id) = self.workers.close_stream(stream, now) {
            self.arm_lease(id);
            self.advertise(id, now);
        }
    }

    /// Renews a worker's lease.
    pub(crate) fn heartbeat(&mut self, id: WorkerId, now: ClockReading) -> Result<(), WorkerError> {
        self.workers.heartbeat(id, now)?;
        self.arm_lease(id);
        self.assign_to(id, now);
        Ok(())
    }

    /// Ends the assignments to a worker. Its streams stay open, so that its running tasks can be cancelled.
    pub(crate) fn unsubscribe(&mut self, id: WorkerId) -> Result<(), WorkerError> {
        self.workers.get_mut(id)?.unsubscribed = true;
        Ok(())
    }

    /// Pauses the assignments to a worker, or resumes them.
    pub(crate) fn pause(&mut self, id: WorkerId, paused: bool, now: ClockReading) -> Result<(), WorkerError> {
        self.workers.get_mut(id)?.paused = paused;
        self.assign_to(id, now);
        Ok(())
    }

    /// Adds or replaces labels of a worker.
    pub(crate) fn label(
        &mut self,
        id: WorkerId,
        labels: impl IntoIterator<Item = (String, Label)>,
        now: ClockReading,
    ) -> Result<(), WorkerError> {
        self.workers.get(id).ok_or(WorkerError::Unknown)?;
        self.workers.workers.resize(&id, |worker| worker.labels.extend(labels));
        // Tasks may have waited for a worker with these labels.
        self.assign_to(id, now);
        Ok(())
    }

    /// Assigns tasks to a worker, and the tasks of the queues that an assignment wakes.
    fn assign_to(&mut self, id: WorkerId, now: ClockReading) {
        self.pending.freed_workers.push(id);
        self.dispatch(now);
    }

    /// Checks a worker's lease: requeues its tasks if it has expired, and removes the worker after a longer silence.
    pub(super) fn check_lease(&mut self, id: WorkerId, now: ClockReading) {
        let check = self.workers.check_lease(id, now, &mut self.timers, &self.timings);
        for task in check.lost {
            self.worker_lost(task, now);
        }
        if check.should_remove {
            self.remove_worker(id);
        }
    }

    /// Requeues a task whose worker was lost, or fails it if its reassignments are used up.
    pub(in crate::engine::state) fn worker_lost(&mut self, task: RunId, now: ClockReading) {
        self.apply_and_dispatch(task, &AttemptEvent::WorkerLost, now);
    }

    /// Removes a worker that runs no task.
    pub(in crate::engine::state) fn remove_worker(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.remove(id) else { return };
        self.timers.cancel(worker.timer);
        self.scheduler.remove_worker(worker.pool, id);
    }

    /// Sets the timer that checks a worker's lease.
    pub(in crate::engine::state) fn arm_lease(&mut self, id: WorkerId) {
        self.workers.arm_lease(id, &mut self.timers, &self.timings);
    }
}
