//! Assignment of queued tasks to workers.

use crate::{
    engine::state::{
        attempt::{AttemptEvent, Transition},
        effect::Effect,
        machine::State,
        runs::{HistoryEventKind, Phase, Running},
        scheduler::QueueId,
        slots,
        time::{ClockReading, Timer},
        workers::{StreamId, Worker},
    },
    hatchet::wire::{RunId, WorkerId},
};

impl State {
    /// Queues a task behind all tasks of the same priority. [`dispatch`](Self::dispatch) searches for a worker.
    pub(super) fn enqueue(&mut self, id: RunId, now: ClockReading) {
        let Some(spec) = self.runs.spec(id) else { return };
        let (queue, schedule_timeout) = (spec.queue, spec.definition.schedule_timeout);
        let Some((_, run)) = self.runs.containing(id) else { return };
        let priority = run.priority;
        // While other tasks wait in this queue, no worker is free for it, and a freed worker takes its head.
        if self.scheduler.queue(queue).is_empty() {
            self.pending.filled_queues.push(queue);
        }
        let position = self.scheduler.push(queue, priority, id);
        let timer = self.timers.set(now.plus(schedule_timeout), Timer::Task(id));
        if let Some(task) = self.runs.task_mut(id) {
            task.phase = Phase::Queued(position);
            task.timer = Some(timer);
            task.record(HistoryEventKind::Queued, now);
        }
    }

    /// Carries out the pending consequences of an event:
    ///
    /// 1. Finished tasks start or skip the tasks that depend on them, and finish their runs.
    /// 2. Workers with freed slots take the next tasks of their queues.
    /// 3. Tasks in queues that were empty are assigned. This is last, so that a new task does not precede waiting
    ///    tasks.
    pub(super) fn dispatch(&mut self, now: ClockReading) {
        while let Some(task) = self.pending.finished_tasks.pop_front() {
            self.task_finished(task, now);
        }
        while let Some(worker) = self.pending.freed_workers.pop() {
            self.fill_worker(worker, now);
        }
        for queue in std::mem::take(&mut self.pending.filled_queues) {
            while self.assign_head(queue, now) {}
        }
    }

    /// Assigns the head of a queue to the worker with the most free units, and among equals to the worker whose latest
    /// assignment is the oldest. Returns whether there was a task and a worker for it.
    fn assign_head(&mut self, queue: QueueId, now: ClockReading) -> bool {
        let queue = self.scheduler.queue(queue);
        let Some(task) = queue.head() else { return false };
        let (mut best, mut expired) = (None, Vec::new());
        for candidates in self.scheduler.candidates(queue) {
            for candidate in candidates {
                let Some(worker) = self.workers.get(candidate.worker) else { continue };
                let Some(stream) = self.assignable_stream(worker, now) else {
                    expired.push(candidate.worker);
                    continue;
                };
                if slots::fits(&worker.slots, &queue.requirements) {
                    best = best.max(Some((candidate, stream)));
                    break;
                }
            }
        }
        // Withdraws the slots of workers without a fresh heartbeat. Their next heartbeats advertise the slots again.
        for worker in expired {
            self.advertise(worker, now);
        }
        let Some((candidate, stream)) = best else { return false };
        self.assign(task, candidate.worker, stream, now);
        true
    }

    /// Assigns tasks to a worker while it has free slots, in the order of turns.
    pub(super) fn fill_worker(&mut self, id: WorkerId, now: ClockReading) {
        self.advertise(id, now);
        loop {
            let Some(worker) = self.workers.get(id) else { return };
            let Some(stream) = self.assignable_stream(worker, now) else { return };
            if worker.slots.iter().all(|slot| slot.free() <= 0) {
                return;
            }
            let queue = self.scheduler.next_queue(worker.pool, |needed| slots::fits(&worker.slots, needed));
            let Some(task) = queue.and_then(|queue| self.scheduler.queue(queue).head()) else { return };
            self.assign(task, id, stream, now);
        }
    }

    /// The stream for a worker's assignments; `None` if the worker may not get any now.
    pub(in crate::engine::state) fn assignable_stream(&self, worker: &Worker, now: ClockReading) -> Option<StreamId> {
        worker.assignable_stream(now, self.timings.max_heartbeat_age)
    }

    /// Updates the scheduler's record of a worker's free slots.
    pub(super) fn advertise(&mut self, id: WorkerId, now: ClockReading) {
        let Some(worker) = self.workers.get(id) else { return };
        let is_ready = self.assignable_stream(worker, now).is_some();
        self.scheduler.advertise(worker.pool, id, &worker.slots, worker.last_assignment, is_ready);
    }

    fn assign(&mut self, id: RunId, worker_id: WorkerId, stream: StreamId, now: ClockReading) {
        if self.decide(id, &AttemptEvent::Assigned) != Transition::Run {
            return;
        }
        self.detach(id);
        let Some(spec) = self.runs.spec(id) else { return };
        let (requirements, deadline) = (spec.definition.requirements.clone(), now.plus(spec.definition.timeout));
        let queue = spec.queue;
        let assignment = self.workers.next_assignment();
        let Some(worker) = self.workers.get_mut_untracked(worker_id) else { return };
        slots::occupy(&mut worker.slots, &requirements);
        worker.running.insert(assignment, id);
        worker.last_assignment = assignment;
        let timer = self.timers.set(deadline, Timer::Task(id));
        let Some(task) = self.runs.task_mut(id) else { return };
        task.timer = Some(timer);
        task.phase =
            Phase::Running(Running { worker: worker_id, assignment, holds_slots: true, deadline, acknowledged: false });
        task.started = Some(now.display);
        task.assignment = assignment;
        task.record(HistoryEventKind::Assigned(worker_id), now);
        self.effects.push_back(Effect::StartAttempt { stream, task: id, attempt: task.attempt });
        self.scheduler.record_assignment(queue);
        self.advertise(worker_id, now);
    }
}
