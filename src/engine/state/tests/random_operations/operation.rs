//! The operations, and their random choice.

use super::*;

/// An operation. An index selects a run, task, worker or stream, modulo their number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Trigger {
        workflow: usize,
        priority: i32,
        /// The key of its concurrency groups.
        key: u8,
    },
    /// Reports the outcome of a running task.
    Report(usize, Report),
    Run(usize, RunOp),
    Register {
        slots: i64,
        cpu: i64,
    },
    Worker(usize, WorkerOp),
    CloseStream(usize),
    Advance(u64),
    /// Pushes an event for which tasks wait.
    Event(usize),
    /// Persists the changes without a restart.
    Persist,
    Restart,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Report {
    Completed,
    Failed {
        may_retry: bool,
    },
    /// Completed, by the attempt before the current attempt.
    Stale,
}

/// An operation on a run, or on a task of the run.
#[derive(Debug, Clone, Copy)]
pub(super) enum RunOp {
    Cancel,
    CancelTask,
    Replay,
    ReplayTask,
    /// Releases the slot of the first task.
    ReleaseSlot,
    /// Puts a chunk with this number to the stream of the first task.
    Chunk(i64),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum WorkerOp {
    OpenStream { is_heartbeat: bool },
    Heartbeat,
    Pause(bool),
    Unsubscribe,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let index = 0usize..64;
    let report = prop_oneof![
        6 => Just(Report::Completed),
        3 => any::<bool>().prop_map(|may_retry| Report::Failed { may_retry }),
        1 => Just(Report::Stale),
    ];
    let run_op = prop_oneof![
        Just(RunOp::Cancel),
        Just(RunOp::CancelTask),
        Just(RunOp::Replay),
        Just(RunOp::ReplayTask),
        Just(RunOp::ReleaseSlot),
        (0i64..4).prop_map(RunOp::Chunk),
    ];
    let worker_op = prop_oneof![
        2 => prop::bool::weighted(0.2).prop_map(|is_heartbeat| WorkerOp::OpenStream { is_heartbeat }),
        6 => Just(WorkerOp::Heartbeat),
        1 => any::<bool>().prop_map(WorkerOp::Pause),
        1 => Just(WorkerOp::Unsubscribe),
    ];
    prop_oneof![
        6 => (0usize..WORKFLOWS.len(), 1i32..=3, 0u8..3)
            .prop_map(|(workflow, priority, key)| Op::Trigger { workflow, priority, key }),
        10 => (index.clone(), report).prop_map(|(index, report)| Op::Report(index, report)),
        6 => (index.clone(), run_op).prop_map(|(index, op)| Op::Run(index, op)),
        1 => (0i64..4, 0i64..3).prop_map(|(slots, cpu)| Op::Register { slots, cpu }),
        10 => (index.clone(), worker_op).prop_map(|(index, op)| Op::Worker(index, op)),
        1 => index.prop_map(Op::CloseStream),
        2 => (0..EVENTS.len()).prop_map(Op::Event),
        1 => Just(Op::Persist),
        1 => Just(Op::Restart),
        3 => prop_oneof![0u64..500, 500u64..6000, 20_000u64..400_000].prop_map(Op::Advance),
    ]
}

/// Returns the element of the list at this index, modulo the length.
fn pick<T: Copy>(list: &[T], index: usize) -> Option<T> {
    list.get(index % list.len().max(1)).copied()
}

impl Random {
    pub(super) fn apply(&mut self, op: Op) {
        let world = &mut self.world;
        match op {
            Op::Trigger { workflow, priority, key } => {
                let run = world.trigger_with(WORKFLOWS[workflow], |item| {
                    item.template.priority = Some(priority);
                    item.template.input = format!(r#"{{"k":"{key}"}}"#).into();
                });
                self.runs.push(run);
            }
            Op::Report(index, report) => self.report(index, report),
            Op::Run(index, op) => {
                if let Some(run) = pick(&self.runs, index) {
                    self.apply_to_run(run, index / 7, op);
                }
            }
            Op::Register { slots, cpu } => {
                self.workers.push(world.register(&WORKFLOWS, &[("default", slots), ("cpu", cpu)]));
            }
            Op::Worker(index, op) => {
                if let Some(worker) = pick(&self.workers, index) {
                    self.apply_to_worker(worker, op);
                }
            }
            Op::CloseStream(index) => {
                if !self.streams.is_empty() {
                    let stream = self.streams.swap_remove(index % self.streams.len());
                    world.event(|state, now| state.close_stream(stream, now));
                }
            }
            Op::Event(index) => {
                let event = PushedEvent {
                    key: EVENTS[index].into(),
                    input: "{}".into(),
                    metadata: "{}".into(),
                    priority: None,
                    scope: None,
                };
                world.event(|state, now| state.push_event(event, now));
            }
            Op::Persist => self.store.persist(&mut world.state, world.now),
            Op::Restart => {
                world.restart(&mut self.store);
                self.streams.clear();
            }
            Op::Advance(millis) => world.advance(Duration::from_millis(millis)),
        }
    }

    /// Reports about a running task: `stage_table` covers the other stages.
    fn report(&mut self, index: usize, report: Report) {
        let world = &mut self.world;
        let all = self.runs.iter().flat_map(|run| world.state.run(*run).unwrap().1.tasks.clone());
        let running: Vec<RunId> = all.filter(|task| world.status(*task).0 == RunStatus::Running).collect();
        let Some(task) = pick(&running, index) else { return };
        let attempt = world.status(task).1;
        match report {
            Report::Completed => world.complete(task, attempt),
            Report::Failed { may_retry } => world.report(task, attempt, failed("boom", may_retry)),
            Report::Stale => world.complete(task, attempt - 1),
        }
    }

    fn apply_to_run(&mut self, run: RunId, task_index: usize, op: RunOp) {
        let world = &mut self.world;
        let tasks = world.state.run(run).unwrap().1.tasks.clone();
        let (first, task) = (tasks[0], pick(&tasks, task_index).unwrap());
        match op {
            RunOp::Cancel => world.event(|state, now| state.cancel(run, now)),
            RunOp::CancelTask => world.event(|state, now| state.cancel(task, now)),
            RunOp::Replay | RunOp::ReplayTask => {
                let id = if matches!(op, RunOp::Replay) { run } else { task };
                world.event(|state, now| state.replay(id, now));
                self.ends.remove(&run);
            }
            RunOp::ReleaseSlot => {
                world.event(|state, now| state.release_slot(first, now));
            }
            RunOp::Chunk(number) => {
                world.event(|state, now| state.put_chunk(first, "c".into(), Some(number), now));
            }
        }
    }

    fn apply_to_worker(&mut self, worker: WorkerId, op: WorkerOp) {
        let world = &mut self.world;
        match op {
            WorkerOp::OpenStream { is_heartbeat } => {
                if let Ok(stream) = world.event(|state, now| state.open_stream(worker, is_heartbeat, now)) {
                    self.streams.push(stream);
                }
            }
            WorkerOp::Heartbeat => {
                let _ = world.event(|state, now| state.heartbeat(worker, now));
            }
            WorkerOp::Pause(is_paused) => {
                let _ = world.event(|state, now| state.pause(worker, is_paused, now));
            }
            WorkerOp::Unsubscribe => {
                let _ = world.event(|state, _| state.unsubscribe(worker));
            }
        }
    }
}
