//! Which workers can run a task, by the engine's list.

use crate::{
    bench::serves,
    hatchet::{
        client::{Client, WorkerSummary},
        task::Task,
    },
};

/// Those of the list that are online for runs triggered by this name. A task's other names do not help: each is a
/// workflow of its own.
pub(super) fn able(client: &Client, name: &str, workers: &[WorkerSummary]) -> Vec<WorkerSummary> {
    workers.iter().filter(|worker| serves(&client.config(), worker, name)).cloned().collect()
}

/// Free slots of a task's type on these workers.
pub(super) fn free_slots(task: &Task, able: &[WorkerSummary]) -> i64 {
    able.iter().filter_map(|worker| worker.slot_config.get(task.slot_type())).map(|slots| slots.available).sum()
}
