//! Read-only queries for the gRPC and REST handlers.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    engine::state::{
        machine::State,
        rate_limits::RateLimit,
        runs::{Run, RunFilter, Task},
        slots::{self, Slot},
        time::ClockReading,
        workers::{Worker, WorkerStatus},
        workflows::{TaskSpec, Version},
    },
    hatchet::wire::{RunId, RunStatus, WorkerId},
};

/// A task that has not finished.
pub(crate) struct OpenTask<'a> {
    pub(crate) run: &'a Run,
    pub(crate) task: &'a Task,
    pub(crate) spec: TaskSpec<'a>,
}

impl State {
    /// Numbers of runs created, tasks assigned and runs finished so far.
    pub(crate) fn totals(&self) -> [u64; 3] {
        [self.runs.created_total(), self.workers.assignments_total(), self.runs.finished_total()]
    }

    /// Finds a run by its id, or by the id of one of its tasks.
    pub(crate) fn run(&self, id: RunId) -> Option<(RunId, &Run)> {
        self.runs.containing(id)
    }

    /// The matching runs, newest first.
    pub(crate) fn select<'a>(&'a self, filter: &'a RunFilter) -> impl Iterator<Item = RunId> + 'a {
        self.runs.select(filter)
    }

    pub(crate) fn task(&self, id: RunId) -> Option<&Task> {
        self.runs.task(id)
    }

    /// The definition of a task.
    pub(crate) fn spec(&self, task: RunId) -> Option<TaskSpec<'_>> {
        self.runs.spec(task)
    }

    /// The retained versions of a workflow.
    pub(crate) fn versions_of(&self, workflow: Uuid) -> impl Iterator<Item = &Arc<Version>> {
        self.workflows.versions.values().filter(move |version| version.workflow_id == workflow)
    }

    /// Returns the tasks that have not finished.
    pub(crate) fn open_tasks(&self) -> impl Iterator<Item = OpenTask<'_>> {
        let open = self.runs.by_age().map(|(_, run)| run).filter(|run| run.finished.is_none());
        open.flat_map(|run| run.tasks.iter().map(move |id| (run, *id))).filter_map(|(run, id)| {
            let task = self.runs.task(id).filter(|task| !task.phase.stage().is_final())?;
            Some(OpenTask { run, task, spec: run.version.task(task.spec)? })
        })
    }

    /// The status of a run, computed from the phases of its tasks.
    pub(crate) fn status(&self, run: &Run) -> RunStatus {
        self.runs.status(run)
    }

    /// The status of a run over REST; see [`Phase::rest_status`](super::runs::Phase::rest_status).
    pub(crate) fn rest_status(&self, run: &Run) -> RunStatus {
        self.runs.rest_status(run)
    }

    /// All rate limits, in no particular order.
    pub(crate) fn rate_limits(&self) -> impl Iterator<Item = (&Arc<str>, &RateLimit)> {
        self.rate_limits.iter()
    }

    pub(crate) fn rate_limit(&self, key: &str) -> Option<&RateLimit> {
        self.rate_limits.get(key)
    }

    /// All workers by id.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter()
    }

    pub(crate) fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(id)
    }

    /// A worker's status in REST. As in a real engine, a worker that is not online is inactive, even if it was paused:
    /// SDKs pause a worker before they stop it.
    pub(crate) fn worker_status(&self, worker: &Worker, now: ClockReading) -> WorkerStatus {
        match worker.online_stream(now, self.timings.max_heartbeat_age) {
            None => WorkerStatus::Inactive,
            Some(_) if worker.paused => WorkerStatus::Paused,
            Some(_) => WorkerStatus::Active,
        }
    }

    /// The newest version of each workflow, by name.
    pub(crate) fn workflows(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Version>)> {
        self.workflows.iter()
    }

    /// The newest version of a workflow.
    pub(crate) fn workflow(&self, id: Uuid) -> Option<&Arc<Version>> {
        self.workflows.by_id(id)
    }

    /// Free and total capacity for a workflow: the number of attempts that fit on the workers that may get assignments,
    /// summed over its tasks.
    pub(crate) fn slots_for(&self, version: &Version, now: ClockReading) -> (i64, i64) {
        let mut counts = (0, 0);
        for task in &version.definition.tasks {
            let serves =
                |worker: &&Worker| worker.serves(&task.action) && self.assignable_stream(worker, now).is_some();
            for worker in self.workers.iter().map(|(_, worker)| worker).filter(serves) {
                counts.0 += slots::capacity(&worker.slots, &task.requirements, Slot::free);
                counts.1 += slots::capacity(&worker.slots, &task.requirements, |slot| slot.limit);
            }
        }
        counts
    }
}
