//! Assigns queued tasks to workers, and carries out other pending consequences of an event.

use std::sync::Arc;

use crate::{
    engine::state::{
        attempt::{AttemptEvent, Transition},
        effect::Effect,
        machine::State,
        placement::{self, Placement},
        runs::{HistoryEventKind, Phase, Run, Running},
        scheduler::{Candidate, QueueId, ResourceClass, TaskQueue},
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
        // An assignment may create a rate limit, which wakes the queues that wait for it.
        while !self.pending.filled_queues.is_empty() {
            for queue in std::mem::take(&mut self.pending.filled_queues) {
                while self.assign_head(queue, now) {}
            }
        }
    }

    /// Assigns the head of a queue to the worker with the highest rank by the task's placement, then the most free
    /// units, and among equals to the worker whose latest assignment is the oldest. Returns `false` if there was no
    /// task or no worker for it.
    fn assign_head(&mut self, queue_id: QueueId, now: ClockReading) -> bool {
        let queue = self.scheduler.queue(queue_id);
        let Some(task) = queue.head() else { return false };
        let (best, expired) = self.choose_worker(queue, now);
        // Withdraws the slots of workers without a fresh heartbeat. Their next heartbeats advertise the slots again.
        for worker in expired {
            self.advertise(worker, now);
        }
        let Some((worker, stream)) = best else { return false };
        if !self.take_units(queue_id, now) {
            return false;
        }
        self.assign(task, worker, stream, now);
        true
    }

    /// The best worker for the head of a queue with its stream, and the workers without a fresh heartbeat that the search
    /// has met.
    fn choose_worker(&self, queue: &TaskQueue, now: ClockReading) -> (Option<(WorkerId, StreamId)>, Vec<WorkerId>) {
        let requirements = &queue.class.requirements;
        let (mut best, mut expired) = (None, Vec::new());
        // Candidates of one rank, best first: the first with all required slots is the best of this rank.
        let mut consider = |rank: i64, candidates: &mut dyn Iterator<Item = Candidate>| {
            for candidate in candidates {
                let Some(worker) = self.workers.get(candidate.worker) else { continue };
                match self.assignable_stream(worker, now) {
                    None => expired.push(candidate.worker),
                    Some(stream) if slots::fits(&worker.slots, requirements) => {
                        best = best.max(Some((rank, candidate, stream)));
                        return;
                    }
                    Some(_) => {}
                }
            }
        };
        for pool in self.scheduler.pools_of(queue) {
            match queue.class.placement.as_deref() {
                None => consider(0, &mut pool.candidates(requirements)),
                Some(Placement::Only(worker)) => consider(0, &mut pool.candidate(*worker, requirements).into_iter()),
                Some(Placement::Prefer(worker)) => {
                    consider(1, &mut pool.candidate(*worker, requirements).into_iter());
                    consider(0, &mut pool.candidates(requirements));
                }
                Some(Placement::Labels(desired)) => {
                    for (labels, mut candidates) in pool.candidates_by_labels(requirements) {
                        if let Some(rank) = placement::weight(desired, labels) {
                            consider(rank, &mut candidates);
                        }
                    }
                }
            }
        }
        (best.map(|(_, candidate, stream)| (candidate.worker, stream)), expired)
    }

    /// Assigns tasks to a worker while it has free slots, in the order of turns.
    fn fill_worker(&mut self, id: WorkerId, now: ClockReading) {
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
        let (slots, labels) = (&worker.slots, &worker.labels);
        self.scheduler.advertise(worker.pool, id, slots, labels, worker.last_assignment, is_ready);
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
