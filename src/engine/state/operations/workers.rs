//! Workers: registration, streams, heartbeats, goodbye.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::engine::state::{
    ClockReading, MonotonicInstant, State,
    attempt::AttemptEvent,
    model::{Phase, Slot, StreamId, Worker},
    timers::Alarm,
};
use crate::hatchet::wire::{RunId, WorkerId, proto};

/// A timer of an engine that is only busy is not later than this.
const LATE: Duration = Duration::from_secs(1);

/// A worker that announces itself, checked at the door.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
    pub(crate) slots: Vec<(String, i64)>,
    pub(crate) labels: BTreeMap<String, proto::WorkerLabels>,
    pub(crate) runtime: Option<proto::RuntimeInfo>,
    /// It lives in the engine's process.
    pub(crate) inside: bool,
}

/// Why a worker's call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerError {
    /// No such worker.
    Unknown,
    /// It had a stream and has none now.
    NoStream,
}

/// What REST calls a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerStatus {
    Active,
    Inactive,
    Paused,
}

impl State {
    /// Every registration is a new worker, whatever its name.
    pub(crate) fn register(&mut self, from: Registration, now: ClockReading) -> WorkerId {
        let id = WorkerId::from(self.new_id());
        let mut actions: Vec<Arc<str>> = from.actions.into_iter().map(Arc::from).collect();
        actions.sort();
        actions.dedup();
        let crew = self.queue.join(&actions);
        let slots = from.slots.into_iter().map(|(kind, limit)| Slot { kind: kind.into(), limit, used: 0 }).collect();
        let worker = Worker {
            name: from.name,
            actions,
            slots,
            labels: from.labels,
            runtime: from.runtime,
            registered: now.display,
            heartbeat: None,
            sign: now.monotonic,
            lease: now.monotonic,
            streams: Vec::new(),
            beating: Vec::new(),
            listened: None,
            paused: false,
            gone: false,
            inside: from.inside,
            running: BTreeMap::new(),
            alarm: None,
            crew,
            offered: None,
            last: 0,
        };
        self.start_watch(now);
        self.workers.insert(id, worker);
        self.arm_worker(id);
        id
    }

    /// Opens a stream for work; the newest one gets it. `beats` if the connection itself stands for heartbeats.
    pub(crate) fn open_stream(
        &mut self,
        id: WorkerId,
        beats: bool,
        now: ClockReading,
    ) -> Result<StreamId, WorkerError> {
        let worker = self.workers.get_mut(&id).ok_or(WorkerError::Unknown)?;
        self.opened += 1;
        let stream = StreamId(self.opened);
        worker.streams.push(stream);
        worker.listened = Some(now.display);
        worker.gone = false;
        if beats {
            worker.beating.push(stream);
            worker.lives(now);
        }
        self.streams.insert(stream, id);
        self.arm_worker(id);
        self.feed(id, now);
        Ok(stream)
    }

    /// What a worker has been assigned and has said nothing of: it may have been lost on the way.
    pub(crate) fn unheard(&self, id: WorkerId) -> Vec<(RunId, i32)> {
        let running = self.workers.get(&id).into_iter().flat_map(|worker| worker.running.values());
        let tasks = running.filter_map(|id| Some((*id, self.tasks.get(id)?)));
        let unheard = tasks.filter(|(_, task)| matches!(&task.phase, Phase::Running(running) if !running.heard));
        unheard.map(|(id, task)| (id, task.attempt)).collect()
    }

    /// Whether the worker of a stream has opened a newer one.
    pub(crate) fn is_superseded(&self, stream: StreamId) -> bool {
        let worker = self.streams.get(&stream).and_then(|id| self.workers.get(id));
        worker.is_some_and(|worker| worker.streams.last() != Some(&stream))
    }

    /// A stream has ended. What runs on its worker goes on; it gets no more work unless another stream is open.
    pub(crate) fn close_stream(&mut self, stream: StreamId, now: ClockReading) {
        let Some(id) = self.streams.remove(&stream) else { return };
        let Some(worker) = self.workers.passing(&id) else { return };
        worker.streams.retain(|s| *s != stream);
        if worker.beating.contains(&stream) {
            worker.beating.retain(|s| *s != stream);
            worker.lives(now);
        }
        self.arm_worker(id);
        self.offer(id, now);
    }

    /// A sign of life.
    pub(crate) fn heartbeat(&mut self, id: WorkerId, now: ClockReading) -> Result<(), WorkerError> {
        let worker = self.workers.passing(&id).ok_or(WorkerError::Unknown)?;
        if worker.listened.is_some() && worker.streams.is_empty() {
            return Err(WorkerError::NoStream);
        }
        worker.lives(now);
        self.arm_worker(id);
        self.feed(id, now);
        Ok(())
    }

    /// The worker wants no more work. Its streams stay, so that what it still runs can be cancelled.
    pub(crate) fn unsubscribe(&mut self, id: WorkerId) -> Result<(), WorkerError> {
        self.workers.get_mut(&id).ok_or(WorkerError::Unknown)?.gone = true;
        Ok(())
    }

    /// Holds back work from a worker, or lets it have work again.
    pub(crate) fn pause(&mut self, id: WorkerId, paused: bool, now: ClockReading) -> Result<(), WorkerError> {
        self.workers.get_mut(&id).ok_or(WorkerError::Unknown)?.paused = paused;
        self.feed(id, now);
        Ok(())
    }

    /// Adds labels, or overwrites them.
    pub(crate) fn label(
        &mut self,
        id: WorkerId,
        labels: impl IntoIterator<Item = (String, proto::WorkerLabels)>,
    ) -> Result<(), WorkerError> {
        if !self.workers.contains_key(&id) {
            return Err(WorkerError::Unknown);
        }
        self.workers.resize(&id, |worker| worker.labels.extend(labels));
        Ok(())
    }

    /// Sets the alarm that looks after a worker. It is moved only to an earlier time: each look sets the next one,
    /// so a heartbeat costs nothing here.
    pub(crate) fn arm_worker(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.passing(&id) else { return };
        let at = worker.lease.plus(self.timings.worker_dead);
        if worker.alarm.is_none_or(|(set, _)| set > at) {
            self.clock.take_back(worker.alarm.take());
            worker.alarm = Some(self.clock.set(at, Alarm::Worker(id)));
        }
    }

    /// How often the engine looks at its own clock while it has workers: a sixth of a lease, so that a gap which could
    /// use a lease up cannot fall between two looks.
    fn watch_interval(&self) -> Duration {
        self.timings.worker_dead / 6
    }

    /// Begins to watch the engine's own clock when the first worker comes.
    pub(crate) fn start_watch(&mut self, now: ClockReading) {
        if self.workers.is_empty() {
            self.watch = now.plus(self.watch_interval());
        }
    }

    /// When the engine looks at its own clock next; not without workers.
    pub(crate) fn next_watch(&self) -> Option<MonotonicInstant> {
        (!self.workers.is_empty()).then_some(self.watch)
    }

    /// Gives every worker a fresh lease if this look at the clock is late: then the engine itself stood still, as when
    /// it was stopped by a signal or its machine was, and has heard no heartbeat whoever sent one. What runs on a worker
    /// that is gone is requeued one lease later.
    pub(crate) fn watch_own_clock(&mut self, now: ClockReading) {
        if now.since(self.watch) >= self.watch_interval().max(LATE) {
            for id in self.workers.keys().copied().collect::<Vec<_>>() {
                if let Some(worker) = self.workers.passing(&id) {
                    worker.lease = now.monotonic;
                }
            }
        }
        if now.monotonic >= self.watch {
            self.watch = now.plus(self.watch_interval());
        }
    }

    /// Requeues what a silent worker runs, forgets one that has been silent for long, and looks again later.
    pub(crate) fn look_after_worker(&mut self, id: WorkerId, now: ClockReading) {
        let Some(worker) = self.workers.passing(&id) else { return };
        worker.alarm = None;
        let silent = if worker.beating.is_empty() { now.since(worker.lease) } else { Default::default() };
        let next = if silent >= self.timings.worker_dead {
            let lost: Vec<_> = worker.running.values().copied().collect();
            let over = worker.streams.is_empty() && silent >= self.timings.worker_forgotten;
            for task in lost {
                self.step(task, &AttemptEvent::WorkerLost, now);
            }
            if over {
                return self.forget_worker(id);
            }
            // Not below one dead time, so that a stream that stays open and silent is no busy loop.
            now.plus(self.timings.worker_dead.max(self.timings.worker_forgotten.saturating_sub(silent)))
        } else {
            now.plus(self.timings.worker_dead - silent)
        };
        let key = self.clock.set(next, Alarm::Worker(id));
        if let Some(worker) = self.workers.passing(&id) {
            worker.alarm = Some(key);
        }
    }

    pub(crate) fn forget_worker(&mut self, id: WorkerId) {
        let Some(mut worker) = self.workers.remove(&id) else { return };
        self.clock.take_back(worker.alarm);
        if let Some(crew) = self.queue.crews.get_mut(&worker.crew) {
            crew.offer(id, &mut worker, false);
        }
        self.queue.part(worker.crew);
    }
}
