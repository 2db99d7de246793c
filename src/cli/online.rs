//! Which workers can run a task, by the engine's list.

use crate::hatchet::{
    client::{Client, WorkerSummary},
    task::Task,
    wire::{ActionId, SLOT_TYPE},
};

/// Those of the list that are online for a task, by whichever of its names.
pub(super) fn able(client: &Client, task: &Task, workers: &[WorkerSummary]) -> Vec<WorkerSummary> {
    let actions: Vec<String> = task
        .names()
        .filter_map(|name| ActionId::new(&client.config().namespaced(name), name).ok())
        .map(|action| action.as_str().to_owned())
        .collect();
    workers
        .iter()
        .filter(|worker| worker.status == "ACTIVE" && worker.actions.iter().any(|action| actions.contains(action)))
        .cloned()
        .collect()
}

/// Free slots on these workers.
pub(super) fn free_slots(able: &[WorkerSummary]) -> i64 {
    able.iter().filter_map(|worker| worker.slot_config.get(SLOT_TYPE)).map(|slots| slots.available).sum()
}
