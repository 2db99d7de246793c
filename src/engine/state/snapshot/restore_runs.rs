//! Restores runs and tasks.
//!
//! All rows of runs precede the rows of tasks, which are in the order of their runs. The runs are inserted last, as
//! their ends are computed from their tasks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{limits, text::required_text};
use crate::{
    engine::{
        persistence::{
            records::{RunRecord, StageRecord, TaskRecord, required_id},
            row::{Damaged, StoredRow},
        },
        state::{
            machine::State,
            runs::{Finish, Origin, Parent, Phase, ReorderBuffer, Run, Running, Task, TaskHistory, TriggeringFilter},
            scheduler::QueuePosition,
            slots::{self, SlotRequirements},
            time::{ClockReading, MonotonicInstant, Timer, Timestamp},
        },
    },
    hatchet::wire::{RunId, WorkerId},
};

/// Collects runs and tasks until all of them have been read.
#[derive(Default)]
pub(super) struct RestoredRuns {
    /// All runs in the order of creation.
    runs: Vec<(RunId, Run)>,
    /// Index of the run of the latest task. The next task belongs to the same run or to a later run.
    current: usize,
    waiting: Vec<RunId>,
    queued: Vec<RunId>,
    /// Tasks in concurrency groups.
    in_groups: Vec<RunId>,
    /// Running tasks whose worker no longer exists, by their assignment.
    lost: BTreeMap<u64, RunId>,
}

impl RestoredRuns {
    /// Restores a run, after its version.
    pub(super) fn run(&mut self, state: &State, row: StoredRow<'_>, record: RunRecord) -> Result<(), Damaged> {
        let id: RunId = required_id(record.id, "the id")?;
        let version = state.workflows.version(record.version).cloned();
        let version = version.ok_or_else(|| Damaged(format!("there is no version {}", record.version)))?;
        let tasks: Vec<RunId> = match record.tasks[..] {
            [] => vec![id],
            ref tasks => tasks.iter().map(|task| task.uuid().into()).collect(),
        };
        if tasks.len() != version.len() {
            return Err(Damaged(format!("the run has {} tasks and its version {}", tasks.len(), version.len())));
        }
        let origin = match (record.event, record.event_key, record.schedule) {
            (Some(id), Some(key), _) => {
                let filter = record.filter.zip(record.filter_payload);
                let filter = filter.map(|(id, payload)| TriggeringFilter { id: id.uuid(), payload: payload.into() });
                Origin::Event { id: id.uuid(), key: key.into(), filter: filter.map(Arc::new) }
            }
            (_, _, Some(id)) => Origin::Schedule(id.uuid()),
            _ if record.cron => Origin::Cron,
            _ => Origin::Call,
        };
        let parent = record.parent.map(|parent| {
            let task = required_id(parent.task, "the parent")?;
            Ok(Parent { task, index: parent.index, key: parent.key.map(Arc::from) })
        });
        let run = Run {
            seq: row.number,
            version,
            input: required_text(row.texts[0], "the input")?,
            metadata: required_text(row.texts[1], "the metadata")?,
            priority: record.priority,
            parent: parent.transpose()?,
            origin,
            created: Timestamp(record.created),
            open: tasks.len(),
            tasks,
            finished: None,
            idempotency_key: record.claim.map(Arc::from),
            limits: record.limits.map(limits::from_record),
            admitted_groups: record.admitted_groups as usize,
            is_in_groups: record.is_in_groups,
            desired_worker: record.desired_worker.map(|id| id.uuid().into()),
            sticky_worker: record.sticky_worker.map(|id| id.uuid().into()),
            desired_labels: record
                .desired_labels
                .into_iter()
                .map(limits::label_from_record)
                .collect::<Result<_, _>>()?,
        };
        self.runs.push((id, run));
        Ok(())
    }

    /// Restores a task, after its run.
    pub(super) fn task(
        &mut self,
        state: &mut State,
        now: ClockReading,
        row: StoredRow<'_>,
        mut record: TaskRecord,
    ) -> Result<(), Damaged> {
        let id: RunId = required_id(record.id, "the id")?;
        let run_id = record.run.map_or(id, |run| run.uuid().into());
        if self.current == 0 {
            state.runs.reserve_tasks(self.runs.len());
        }
        let remaining = self.runs.get(self.current..).unwrap_or_default();
        let offset = remaining.iter().position(|(id, _)| *id == run_id);
        self.current += offset.ok_or_else(|| Damaged(format!("there is no run {run_id}")))?;
        let version = self.runs[self.current].1.version.clone();
        let spec = usize::try_from(record.spec).unwrap_or(usize::MAX);
        let queue = version.task(spec).ok_or_else(|| Damaged(format!("its version has no task {spec}")))?.queue;
        let mut task = Task {
            attempt: record.attempt,
            failures: record.failures,
            reassignments: record.reassignments,
            assignment: record.assignment,
            started: record.started.map(Timestamp),
            finished: record.finished.map(Timestamp),
            finish_seq: record.finish_seq,
            admitted_groups: record.admitted_groups as usize,
            history: record.history.take().map(TaskHistory::from_record).unwrap_or_default(),
            ..Task::new(run_id, row.number, spec)
        };
        self.restore_phase(state, now, id, &mut task, &record, row.texts[0])?;
        if task.admitted_groups > 0 || matches!(task.phase, Phase::Unadmitted) {
            self.in_groups.push(id);
        }
        state.scheduler.restore_turn(queue, record.assignment);
        state.workers.resume_assignments(record.assignment);
        if task.phase.stage().is_final() {
            self.restore_end(state, now, &task);
        }
        state.runs.restore_task(id, task);
        Ok(())
    }

    /// Restores the phase of a task, with its timer, and an attempt on its worker.
    fn restore_phase(
        &mut self,
        state: &mut State,
        now: ClockReading,
        id: RunId,
        task: &mut Task,
        record: &TaskRecord,
        text: Option<&str>,
    ) -> Result<(), Damaged> {
        let run = &self.runs[self.current].1;
        let Some(spec) = run.version.task(task.spec) else { return Ok(()) };
        let definition = spec.definition;
        let until = Timestamp(record.until);
        let deadline_after = |limit: Duration| now.plus(until.since(now.wall).min(limit));
        let mut deadline = None;
        task.phase = match StageRecord::try_from(record.stage) {
            Ok(StageRecord::Waiting) => {
                self.waiting.push(id);
                Phase::Waiting(0)
            }
            Ok(StageRecord::Queued) => {
                deadline = Some(deadline_after(definition.schedule_timeout));
                self.queued.push(id);
                Phase::Queued(QueuePosition::new(run.priority, record.position))
            }
            Ok(StageRecord::Unadmitted) => {
                deadline = Some(deadline_after(definition.schedule_timeout));
                Phase::Unadmitted
            }
            Ok(StageRecord::BackOff) => {
                let delay = definition.backoff.map_or(Duration::ZERO, |backoff| backoff.before(record.failures));
                deadline = Some(deadline_after(delay));
                Phase::BackOff
            }
            Ok(StageRecord::Running) => {
                // The timeout may have been extended beyond the declared timeout. The start is a display time, which
                // stops while the wall clock is set back, so an extension may be lost, but never a part of the declared
                // timeout.
                let extended = until.since(task.started.unwrap_or(until));
                let end = deadline_after(extended.max(definition.timeout));
                deadline = Some(end);
                task.chunks = Some(Box::new(ReorderBuffer::resumed()));
                Phase::Running(restore_running(state, &mut self.lost, id, record, &definition.requirements, end)?)
            }
            Ok(StageRecord::Completed) => Phase::Completed(required_text(text, "the output")?),
            Ok(StageRecord::Failed) => Phase::Failed(required_text(text, "the error")?),
            Ok(StageRecord::Cancelled) => Phase::Cancelled(false),
            Ok(StageRecord::ScheduleTimedOut) => Phase::Cancelled(true),
            Ok(StageRecord::Unknown) | Err(_) => return Err(Damaged(format!("unknown stage {}", record.stage))),
        };
        task.timer = deadline.map(|deadline| state.timers.set(deadline, Timer::Task(id)));
        Ok(())
    }

    /// Records the end of a task in its run. The end of the run is the latest end of a task, once all have finished.
    fn restore_end(&mut self, state: &State, now: ClockReading, task: &Task) {
        let run = &mut self.runs[self.current].1;
        run.open = run.open.saturating_sub(1);
        let finished = task.finished.unwrap_or_default();
        // Only the wall clock has continued since then.
        let remaining = state.retention.age.saturating_sub(now.display.since(finished));
        let finish = Finish { at: finished, seq: task.finish_seq, retained_until: now.plus(remaining) };
        let is_later = |before: &Finish| (before.seq, before.at) > (finish.seq, finish.at);
        run.finished = Some(run.finished.filter(is_later).unwrap_or(finish));
    }

    /// Inserts all runs, counts the blockers of waiting tasks, and fills the concurrency groups and the queues. Returns
    /// the tasks that have lost their worker, by their assignment.
    pub(super) fn finish(self, state: &mut State) -> Result<BTreeMap<u64, RunId>, Damaged> {
        let Self { runs, waiting, queued, in_groups, lost, .. } = self;
        let runs_in_groups: Vec<RunId> = runs.iter().filter(|(_, run)| run.is_in_groups).map(|(id, _)| *id).collect();
        state.runs.restore(runs);
        runs_in_groups.into_iter().for_each(|id| state.restore_run_groups(id));
        in_groups.into_iter().for_each(|id| state.restore_task_groups(id));
        state.scheduler.resume_turns(state.workers.assignments_total());
        for id in waiting {
            state.restore_waiting(id)?;
        }
        for id in queued {
            state.restore_queued(id)?;
        }
        Ok(lost)
    }
}

/// Restores an attempt on its worker. If the worker no longer exists, adds the attempt to `lost`.
fn restore_running(
    state: &mut State,
    lost: &mut BTreeMap<u64, RunId>,
    id: RunId,
    record: &TaskRecord,
    requirements: &SlotRequirements,
    deadline: MonotonicInstant,
) -> Result<Running, Damaged> {
    let worker_id: WorkerId = required_id(record.worker, "the worker")?;
    match state.workers.get_mut_untracked(worker_id) {
        Some(worker) => {
            if record.holds_slots {
                slots::occupy(&mut worker.slots, requirements);
            }
            worker.running.insert(record.assignment, id);
            worker.last_assignment = worker.last_assignment.max(record.assignment);
        }
        None => drop(lost.insert(record.assignment, id)),
    }
    Ok(Running {
        worker: worker_id,
        assignment: record.assignment,
        holds_slots: record.holds_slots,
        deadline,
        acknowledged: record.acknowledged,
    })
}

impl State {
    fn restore_waiting(&mut self, id: RunId) -> Result<(), Damaged> {
        let missing = || Damaged(format!("task {id} has no run"));
        let spec = self.runs.task(id).ok_or_else(missing)?.spec;
        let (_, run) = self.runs.containing(id).ok_or_else(missing)?;
        let blockers = self.runs.blockers(&run.version, &run.tasks, spec);
        if let Some(task) = self.runs.task_mut_untracked(id) {
            task.phase = Phase::Waiting(blockers);
        }
        Ok(())
    }

    fn restore_queued(&mut self, id: RunId) -> Result<(), Damaged> {
        let missing = || Damaged(format!("task {id} has no run"));
        let queue = self.queue_of(id).ok_or_else(missing)?;
        let Some(task) = self.runs.task_mut_untracked(id) else { return Ok(()) };
        if let Phase::Queued(position) = task.phase {
            task.queue = Some(queue);
            self.scheduler.restore(queue, position, id);
        }
        Ok(())
    }
}
