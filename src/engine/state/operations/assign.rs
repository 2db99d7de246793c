//! Bringing queued tasks to workers.

use crate::engine::state::{
    ClockReading, Effect, State,
    attempt::{AttemptEvent, Step},
    model::{Phase, Running, StreamId, TaskSpec, Worker},
    runs::history::HistoryEventKind,
    scheduler::queues::LaneId,
    timers::Alarm,
};
use crate::hatchet::wire::{RunId, WorkerId};

impl State {
    /// The declaration of a task of a run.
    pub(crate) fn spec(&self, task: RunId) -> Option<&TaskSpec> {
        let task = self.tasks.get(&task)?;
        self.runs.get(&task.run)?.version.tasks.get(task.spec)
    }

    /// Puts a task at the end of its priority. [`distribute`](Self::distribute) looks for a worker.
    pub(crate) fn enqueue(&mut self, id: RunId, now: ClockReading) {
        let Some((lane, patience)) = self.spec(id).map(|s| (s.lane, s.schedule_timeout)) else { return };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Some(priority) = self.runs.get(&task.run).map(|r| r.priority) else { return };
        // If others wait in this lane there is no worker for it: a worker that becomes free takes from the lane.
        if self.queue.len(lane) == 0 {
            self.unplaced.push(lane);
        }
        task.phase = Phase::Queued(self.queue.put(lane, priority, id));
        task.mark(HistoryEventKind::Queued, now);
        task.alarm = Some(self.clock.set(now.plus(patience), Alarm::Task(id)));
    }

    /// Carries out what follows from a change: what tasks wait for, then workers with room again, whose turn is not
    /// for those who have just come, then lanes that were empty.
    pub(crate) fn distribute(&mut self, now: ClockReading) {
        while let Some(task) = self.ended.pop_front() {
            self.follow(task, now);
        }
        while let Some(worker) = self.freed.pop() {
            self.feed(worker, now);
        }
        for lane in std::mem::take(&mut self.unplaced) {
            while self.place(lane, now) {}
        }
    }

    /// Gives the head of a lane to the worker with the most room, of equals to the one that waited longest.
    fn place(&mut self, lane: LaneId, now: ClockReading) -> bool {
        let Some(task) = self.queue.head(lane) else { return false };
        let wants = self.queue.lane(lane);
        let (mut best, mut stale) = (None, Vec::new());
        for crew in self.queue.crews_for(&wants.action) {
            for offer in crew.offers(&wants.needs) {
                let Some(worker) = self.workers.get(&offer.2) else { continue };
                let Some(stream) = self.ready(worker, now) else {
                    stale.push(offer.2);
                    continue;
                };
                if worker.room(&wants.needs).is_some() {
                    best = best.max(Some((offer, stream)));
                    break;
                }
            }
        }
        // One that has fallen silent offers again with its next heartbeat.
        for worker in stale {
            self.offer(worker, now);
        }
        let Some(((.., worker), stream)) = best else { return false };
        self.assign(task, worker, stream, now);
        true
    }

    /// Gives a worker all that it can take, one workflow after the other.
    pub(crate) fn feed(&mut self, id: WorkerId, now: ClockReading) {
        self.offer(id, now);
        loop {
            let Some(worker) = self.workers.get(&id) else { return };
            let Some(stream) = self.ready(worker, now) else { return };
            if worker.slots.iter().all(|slot| slot.free() <= 0) {
                return;
            }
            let fits = |class| worker.room(self.queue.needs(class)).is_some();
            let lane = self.queue.crews.get(&worker.crew).and_then(|crew| crew.next_lane(fits));
            let Some(task) = lane.and_then(|lane| self.queue.head(lane)) else { return };
            self.assign(task, id, stream, now);
        }
    }

    /// The stream that work for a worker goes to; `None` if it may not get work now.
    pub(crate) fn ready(&self, worker: &Worker, now: ClockReading) -> Option<StreamId> {
        let fresh = !worker.beating.is_empty()
            || worker.heartbeat.is_some() && now.since(worker.sign) < self.timings.heartbeat_fresh;
        if worker.paused || worker.gone || !fresh { None } else { worker.streams.last().copied() }
    }

    /// Tells a worker's crew what it has free.
    pub(crate) fn offer(&mut self, id: WorkerId, now: ClockReading) {
        let ready = self.workers.get(&id).is_some_and(|worker| self.ready(worker, now).is_some());
        if let Some(worker) = self.workers.passing(&id)
            && let Some(crew) = self.queue.crews.get_mut(&worker.crew)
        {
            crew.offer(id, worker, ready);
        }
    }

    fn assign(&mut self, id: RunId, worker_id: WorkerId, stream: StreamId, now: ClockReading) {
        if self.decide(id, &AttemptEvent::Assigned) != Step::Run {
            return;
        }
        self.leave(id);
        let spec = self.spec(id).map(|s| (s.needs.clone(), s.timeout.0, s.lane));
        let Some((needs, timeout, lane)) = spec else { return };
        let (Some(task), Some(worker)) = (self.tasks.get_mut(&id), self.workers.passing(&worker_id)) else { return };
        self.assignments += 1;
        let seq = self.assignments;
        worker.take(&needs, 1);
        worker.running.insert(seq, id);
        worker.last = seq;
        let deadline = now.plus(timeout);
        task.alarm = Some(self.clock.set(deadline, Alarm::Task(id)));
        task.phase = Phase::Running(Running { worker: worker_id, seq, holds: true, deadline, heard: false });
        task.started = Some(now.display);
        task.assigned = seq;
        task.mark(HistoryEventKind::Assigned(worker_id), now);
        self.effects.push_back(Effect::Start { stream, task: id, attempt: task.attempt });
        self.queue.served(lane);
        self.offer(worker_id, now);
    }
}
