//! Reading, for the doors.

use std::sync::Arc;

use uuid::Uuid;

use crate::engine::state::{
    ClockReading, State,
    model::{Run, Task, Version, Worker, Workflow},
    operations::workers::WorkerStatus,
};
use crate::hatchet::wire::{RunId, WorkerId};

impl State {
    /// Runs made, tasks assigned and runs ended so far.
    pub(crate) fn totals(&self) -> [u64; 3] {
        [self.made, self.assignments, self.runs_ended]
    }

    /// A run by its own id, or by that of one of its tasks.
    pub(crate) fn run(&self, id: RunId) -> Option<(RunId, &Run)> {
        let id = self.tasks.get(&id).map_or(id, |task| task.run);
        self.runs.get(&id).map(|run| (id, run))
    }

    pub(crate) fn task(&self, id: RunId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter().map(|(id, worker)| (*id, worker))
    }

    pub(crate) fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    /// What REST says of a worker.
    pub(crate) fn worker_status(&self, worker: &Worker, now: ClockReading) -> WorkerStatus {
        if worker.paused {
            WorkerStatus::Paused
        } else if self.ready(worker, now).is_some() {
            WorkerStatus::Active
        } else {
            WorkerStatus::Inactive
        }
    }

    /// All workflows, by name.
    pub(crate) fn workflows(&self) -> impl Iterator<Item = (&Arc<str>, &Workflow)> {
        self.workflows.iter()
    }

    pub(crate) fn workflow(&self, id: Uuid) -> Option<&Workflow> {
        self.workflows.get(self.workflow_names.get(&id)?)
    }

    /// Free and all units of a workflow, over the workers that may get work: for each task, how often it would fit.
    pub(crate) fn slots_for(&self, version: &Version, now: ClockReading) -> (i64, i64) {
        let mut counts = (0, 0);
        for spec in &version.tasks {
            let serving = self.workers.values().filter(|w| w.serves(&spec.action) && self.ready(w, now).is_some());
            for worker in serving {
                let times = |units: fn(&crate::engine::state::model::Slot) -> i64| {
                    let fits = |(kind, need): &(Arc<str>, i64)| {
                        worker.slots.iter().find(|s| s.kind == *kind).map_or(0, |s| units(s).max(0) / (*need).max(1))
                    };
                    spec.needs.iter().map(fits).min().unwrap_or(0)
                };
                counts.0 += times(crate::engine::state::model::Slot::free);
                counts.1 += times(|slot| slot.limit);
            }
        }
        counts
    }
}
