//! Slots of the workers that have a benchmark's tasks.

use std::collections::BTreeMap;

use super::Plan;
use crate::hatchet::{
    client::{ClientConfig, WorkerSummary},
    wire::ActionId,
};

/// Slots in use and in all, by type.
pub(super) type Slots = BTreeMap<String, (i64, i64)>;

/// Whether the worker takes work for this workflow.
pub fn serves(config: &ClientConfig, worker: &WorkerSummary, workflow: &str) -> bool {
    let action = ActionId::new(&config.namespaced(workflow), workflow);
    worker.status == "ACTIVE" && action.is_ok_and(|action| worker.actions.iter().any(|a| a == action.as_str()))
}

/// Used and all slots by type, over the workers that take work for any task of the plan.
pub(super) fn by_type(config: &ClientConfig, plan: &Plan, workers: &[WorkerSummary]) -> Slots {
    let mut slots = BTreeMap::new();
    for task in &plan.tasks {
        // Two tasks may share a type, whose slots count once.
        if slots.contains_key(&task.slot_type) {
            continue;
        }
        let sharing = |worker: &&WorkerSummary| {
            plan.tasks.iter().any(|t| t.slot_type == task.slot_type && serves(config, worker, &t.workflow))
        };
        let units = workers.iter().filter(sharing).filter_map(|worker| worker.slot_config.get(&task.slot_type));
        let (used, all) =
            units.fold((0, 0), |(used, all), slots| (used + slots.limit - slots.available, all + slots.limit));
        slots.insert(task.slot_type.clone(), (used, all));
    }
    slots
}
