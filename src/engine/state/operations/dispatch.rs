//! Assignment of queued tasks to workers.

use std::sync::Arc;

use crate::{
    engine::state::{
        attempt::{AttemptEvent, Transition},
        effect::Effect,
        machine::State,
        placement::Placement,
        runs::{HistoryEventKind, Phase, Run, Running},
        scheduler::{QueueId, ResourceClass},
        slots,
        time::{ClockReading, Timer},
        workers::{StreamId, Worker},
    },
    hatchet::wire::{RunId, WorkerId},
};

impl State {
    /// Carries out the pending consequences of an event:
    ///
    /// 1. Finished tasks start or skip the tasks that depend on them, and finish their runs. Changed concurrency groups
    ///    admit or cancel members, which can finish tasks.
    /// 2. Workers with freed slots take the next tasks of their queues.
    /// 3. Tasks in queues that were empty are assigned. This is last, so that a new task does not precede waiting
    ///    tasks.
    pub(super) fn dispatch(&mut self, now: ClockReading) {
        loop {
            if let Some(task) = self.pending.finished_tasks.pop_front() {
                self.task_finished(task, now);
            } else if let Some(group) = self.pending.changed_groups.pop_front() {
                self.decide_group(&group, now);
            } else {
                break;
            }
        }
        while let Some(worker) = self.pending.freed_workers.pop() {
            self.fill_worker(worker, now);
        }
        for queue in std::mem::take(&mut self.pending.filled_queues) {
            while self.assign_head(queue, now) {}
        }
    }

    /// Assigns the head of a queue to the worker with the highest rank by the task's placement, then the most free units,
    /// and among equals to the worker whose latest assignment is the oldest. Returns whether there was a task and a worker for it.
    fn assign_head(&mut self, queue_id: QueueId, now: ClockReading) -> bool {
        let queue = self.scheduler.queue(queue_id);
        let Some(task) = queue.head() else { return false };
        let placement = queue.class.placement.as_deref();
        let (mut best, mut expired) = (None, Vec::new());
        for candidates in self.scheduler.candidates(queue) {
            for candidate in candidates {
                let Some(worker) = self.workers.get(candidate.worker) else { continue };
                let rank = placement.map_or(Some(0), |placement| placement.rank(candidate.worker, &worker.labels));
                let Some(rank) = rank else { continue };
                let Some(stream) = self.assignable_stream(worker, now) else {
                    expired.push(candidate.worker);
                    continue;
                };
                if slots::fits(&worker.slots, &queue.class.requirements) {
                    best = best.max(Some((rank, candidate, stream)));
                    // Without a placement, the first candidate of a pool is its best.
                    if placement.is_none() {
                        break;
                    }
                }
            }
        }
        // Withdraws the slots of workers without a fresh heartbeat. Their next heartbeats advertise the slots again.
        for worker in expired {
            self.advertise(worker, now);
        }
        let Some((_, candidate, stream)) = best else { return false };
        if !self.take_units(queue_id, now) {
            return false;
        }
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
            let fits = |class: &ResourceClass| {
                let admits = |placement: &Arc<Placement>| placement.rank(id, &worker.labels).is_some();
                class.placement.as_ref().is_none_or(admits) && slots::fits(&worker.slots, &class.requirements)
            };
            let Some(queue) = self.scheduler.next_queue(worker.pool, fits) else { return };
            let Some(task) = self.scheduler.queue(queue).head() else { return };
            if self.take_units(queue, now) {
                self.assign(task, id, stream, now);
            }
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
        let run_id = task.run;
        if self.runs.get(run_id).is_some_and(Run::awaits_worker)
            && let Some(run) = self.runs.run_mut(run_id)
        {
            run.sticky_worker = Some(worker_id);
        }
        self.scheduler.record_assignment(queue);
        self.advertise(worker_id, now);
    }
}
