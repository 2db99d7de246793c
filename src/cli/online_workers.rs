//! Selects the workers of the engine's list that serve a task.

use crate::{
    bench::serves,
    hatchet::{
        client::{Client, WorkerSummary},
        wire::SLOT_TYPE,
    },
};

/// The active workers that serve a workflow. Each alias of a task is a separate workflow: a worker of one alias serves
/// no other alias.
pub(super) fn workers_serving(client: &Client, name: &str, workers: &[WorkerSummary]) -> Vec<WorkerSummary> {
    workers.iter().filter(|worker| serves(&client.config(), worker, name)).cloned().collect()
}

/// The total number of free slots of these workers.
pub(super) fn free_slots(workers: &[WorkerSummary]) -> i64 {
    workers.iter().filter_map(|worker| worker.slot_config.get(SLOT_TYPE)).map(|slots| slots.available).sum()
}
