//! The slots of the workers that serve a benchmark's tasks.

use crate::{
    bench::{
        plan::{LoadPlan, PlannedTask},
        record::{SlotCount, SlotsByPool},
    },
    hatchet::{
        client::{ClientConfig, WorkerSummary},
        wire::{ActionId, SLOT_TYPE},
    },
};

/// Whether a worker is active and serves a workflow. `workflow` is its name without namespace.
pub fn serves(config: &ClientConfig, worker: &WorkerSummary, workflow: &str) -> bool {
    let action = ActionId::new(&config.namespaced(workflow), workflow);
    worker.status == "ACTIVE" && action.is_ok_and(|action| worker.actions.iter().any(|a| a == action.as_str()))
}

/// Slots in use and in total of the workers that serve any of these tasks.
pub(super) fn slots_of<'a>(
    config: &ClientConfig,
    tasks: impl IntoIterator<Item = &'a PlannedTask> + Clone,
    workers: &[WorkerSummary],
) -> SlotCount {
    let serving =
        |worker: &&WorkerSummary| tasks.clone().into_iter().any(|task| serves(config, worker, &task.workflow));
    let slots = workers.iter().filter(serving).filter_map(|worker| worker.slot_config.get(SLOT_TYPE));
    slots.fold(SlotCount::default(), |sum, slots| SlotCount {
        used: sum.used + slots.limit - slots.available,
        total: sum.total + slots.limit,
    })
}

/// Slots in use and in total for the tasks of each slot pool. A worker of another SDK may serve several pools. It
/// counts in each of them.
pub(super) fn slots_by_pool(config: &ClientConfig, plan: &LoadPlan, workers: &[WorkerSummary]) -> SlotsByPool {
    let pools = plan.tasks.iter().map(|task| task.slot_pool);
    let tasks_of = |pool| plan.tasks.iter().filter(move |task| task.slot_pool == pool);
    pools.map(|pool| (pool, slots_of(config, tasks_of(pool), workers))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bench::plan::test_plan,
        hatchet::{client::Sources, system::Handshake},
    };

    fn worker(names: &[&str], available: i64, limit: i64) -> WorkerSummary {
        let actions: Vec<String> = names.iter().map(|name| format!("{name}:{name}")).collect();
        serde_json::from_value(serde_json::json!({
            "metadata": { "id": "x" },
            "name": "w",
            "status": "ACTIVE",
            "actions": actions,
            "slotConfig": { "default": { "available": available, "limit": limit } },
        }))
        .unwrap()
    }

    #[test]
    fn worker_counts_once_in_total_and_once_in_each_pool() {
        let handshake = Handshake {
            token: "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI3MDdkMDg1NS04MGFiLTRlMWYtYTE1Ni1mMWM0NTQ2Y2JmNTIifQ.c2ln".into(),
            tenant_id: "707d0855-80ab-4e1f-a156-f1c4546cbf52".into(),
            grpc_address: "127.0.0.1:9".into(),
            api_url: String::new(),
        };
        let config = ClientConfig::from_handshake(&handshake, &Sources::default()).unwrap();
        let plan = test_plan(&[("sleep", "default"), ("hello", "default"), ("primes", "cpu")]);
        // A process of this library, which registers two workers; a worker of another SDK; a worker of other tasks.
        let mut workers = vec![worker(&["sleep", "hello"], 90, 100), worker(&["primes"], 0, 2)];
        workers.extend([worker(&["primes", "sleep"], 4, 5), worker(&["other"], 7, 7)]);
        assert_eq!(slots_of(&config, &plan.tasks, &workers), SlotCount { used: 13, total: 107 });
        let by_pool = slots_by_pool(&config, &plan, &workers);
        let (cpu, default) = (SlotCount { used: 3, total: 7 }, SlotCount { used: 11, total: 105 });
        assert_eq!(by_pool, [("cpu", cpu), ("default", default)].into());
    }
}
