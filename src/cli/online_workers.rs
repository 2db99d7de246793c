//! Which workers can run a task, by the engine's list.

use crate::{
    bench::serves,
    hatchet::{
        client::{Client, WorkerSummary},
        wire::SLOT_TYPE,
    },
};

/// Those of the list that are online for runs triggered by this name. A task's other names do not help: each is a
/// workflow of its own.
pub(super) fn able(client: &Client, name: &str, workers: &[WorkerSummary]) -> Vec<WorkerSummary> {
    workers.iter().filter(|worker| serves(&client.config(), worker, name)).cloned().collect()
}

/// Free slots on these workers.
pub(super) fn free_slots(able: &[WorkerSummary]) -> i64 {
    able.iter().filter_map(|worker| worker.slot_config.get(SLOT_TYPE)).map(|slots| slots.available).sum()
}
