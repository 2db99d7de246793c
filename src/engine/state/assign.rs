//! Bringing queued tasks to workers.

use super::{
    Effect, Moment, State,
    attempt::{AttemptEvent, Step},
    clock::Alarm,
    model::{Phase, Running, StreamId, TaskSpec, Worker},
    queue::LaneId,
};
use crate::hatchet::wire::{RunId, WorkerId};

impl State {
    /// The declaration of a task of a run.
    pub(crate) fn spec(&self, task: RunId) -> Option<&TaskSpec> {
        let task = self.tasks.get(&task)?;
        self.runs.get(&task.run)?.version.tasks.get(task.spec)
    }

    /// Puts a task at the end of its priority and, if nothing stands before it, looks for a worker at once.
    pub(super) fn enqueue(&mut self, id: RunId, now: Moment) {
        let Some((lane, patience)) = self.spec(id).map(|s| (s.lane, s.schedule_timeout)) else { return };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Some(priority) = self.runs.get(&task.run).map(|r| r.priority) else { return };
        let waiting = self.queue.len(lane);
        task.phase = Phase::Queued(self.queue.put(lane, priority, id));
        task.alarm = Some(self.clock.set(now.plus(patience), Alarm::Task(id)));
        // If others wait in this lane there is no worker for it: a worker that becomes free takes from the lane.
        if waiting == 0 {
            self.place(lane, now);
        }
    }

    /// Gives the head of a lane to the worker with the most room, of equals to the one that waited longest.
    fn place(&mut self, lane: LaneId, now: Moment) {
        let Some(task) = self.queue.head(lane) else { return };
        let wants = self.queue.lane(lane);
        let best = self
            .by_action
            .get(&wants.action)
            .into_iter()
            .flatten()
            .filter_map(|id| {
                let worker = self.workers.get(id)?;
                let stream = self.ready(worker, now)?;
                Some((worker.room(&wants.needs)?, std::cmp::Reverse(worker.last), *id, stream))
            })
            .max_by_key(|(room, waited, ..)| (*room, *waited));
        if let Some((_, _, worker, stream)) = best {
            self.assign(task, worker, stream, now);
        }
    }

    /// Gives a worker all that it can take, in the order of the queue.
    pub(super) fn feed(&mut self, id: WorkerId, now: Moment) {
        loop {
            let Some(worker) = self.workers.get(&id) else { return };
            let Some(stream) = self.ready(worker, now) else { return };
            if worker.slots.iter().all(|slot| slot.free() <= 0) {
                return;
            }
            let fits =
                self.queue.heads().find(|(_, lane)| worker.serves(&lane.action) && worker.room(&lane.needs).is_some());
            let Some(task) = fits.and_then(|(lane, _)| self.queue.head(lane)) else { return };
            self.assign(task, id, stream, now);
        }
    }

    /// The stream that work for a worker goes to; `None` if it may not get work now.
    pub(super) fn ready(&self, worker: &Worker, now: Moment) -> Option<StreamId> {
        let fresh = !worker.beating.is_empty()
            || worker.heartbeat.is_some_and(|at| now.since(at) < self.timings.heartbeat_fresh);
        if worker.paused || worker.gone || !fresh { None } else { worker.streams.last().copied() }
    }

    fn assign(&mut self, id: RunId, worker_id: WorkerId, stream: StreamId, now: Moment) {
        if self.decide(id, &AttemptEvent::Assigned) != Step::Run {
            return;
        }
        self.leave(id);
        let Some((needs, timeout)) = self.spec(id).map(|s| (s.needs.clone(), s.timeout.0)) else { return };
        let (Some(task), Some(worker)) = (self.tasks.get_mut(&id), self.workers.get_mut(&worker_id)) else { return };
        self.assignments += 1;
        let seq = self.assignments;
        worker.take(&needs, 1);
        worker.running.insert(seq, id);
        worker.last = seq;
        let deadline = now.plus(timeout);
        task.alarm = Some(self.clock.set(deadline, Alarm::Task(id)));
        task.phase = Phase::Running(Running { worker: worker_id, seq, holds: true, deadline, heard: false });
        task.started = Some(now);
        self.effects.push_back(Effect::Start { stream, task: id, attempt: task.attempt });
    }
}
