//! Slots of the workers that have a benchmark's tasks.

use std::collections::BTreeMap;

use crate::{
    bench::plan::{Plan, TaskPlan},
    hatchet::{
        client::{ClientConfig, WorkerSummary},
        wire::{ActionId, SLOT_TYPE},
    },
};

/// Slots in use and in all, by the name of their pool.
pub(in crate::bench) type Slots = BTreeMap<&'static str, (i64, i64)>;

/// Whether the worker takes work for this workflow.
pub fn serves(config: &ClientConfig, worker: &WorkerSummary, workflow: &str) -> bool {
    let action = ActionId::new(&config.namespaced(workflow), workflow);
    worker.status == "ACTIVE" && action.is_ok_and(|action| worker.actions.iter().any(|a| a == action.as_str()))
}

/// Slots in use and in all of the workers that take work for any of these tasks.
pub(in crate::bench) fn of<'a>(
    config: &ClientConfig,
    tasks: impl IntoIterator<Item = &'a TaskPlan> + Clone,
    workers: &[WorkerSummary],
) -> (i64, i64) {
    let serving =
        |worker: &&WorkerSummary| tasks.clone().into_iter().any(|task| serves(config, worker, &task.workflow));
    let slots = workers.iter().filter(serving).filter_map(|worker| worker.slot_config.get(SLOT_TYPE));
    slots.fold((0, 0), |(used, all), slots| (used + slots.limit - slots.available, all + slots.limit))
}

/// The same for the tasks of each pool. A worker of another SDK may serve several pools, and counts in each.
pub(in crate::bench) fn by_pool(config: &ClientConfig, plan: &Plan, workers: &[WorkerSummary]) -> Slots {
    let pools = plan.tasks.iter().map(|task| task.slot_pool);
    pools.map(|pool| (pool, of(config, plan.tasks.iter().filter(|task| task.slot_pool == pool), workers))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        bench::template::Template,
        hatchet::{client::Sources, system::Handshake},
    };

    fn task(name: &str, slot_pool: &'static str) -> TaskPlan {
        TaskPlan {
            name: name.into(),
            workflow: name.into(),
            keyed: false,
            input: Template::parse("{}").unwrap(),
            slot_pool,
            schedule_timeout: Duration::from_secs(1),
        }
    }

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
    fn workers_count_once_in_all_and_in_each_pool_they_serve() {
        let handshake = Handshake {
            token: "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI3MDdkMDg1NS04MGFiLTRlMWYtYTE1Ni1mMWM0NTQ2Y2JmNTIifQ.c2ln".into(),
            tenant_id: "707d0855-80ab-4e1f-a156-f1c4546cbf52".into(),
            grpc_address: "127.0.0.1:9".into(),
            api_url: String::new(),
        };
        let config = ClientConfig::from_handshake(&handshake, &Sources::default()).unwrap();
        let plan = Plan {
            tasks: vec![task("sleep", "default"), task("hello", "default"), task("primes", "cpu")],
            runs: 1,
            prefix: "p".into(),
            batch: 1,
            rate: None,
            timeout: Duration::from_secs(1),
            verify_dedupe: false,
        };
        // A process of this library, which is two workers, and one of another SDK; then one without a task of the plan.
        let mut workers = vec![worker(&["sleep", "hello"], 90, 100), worker(&["primes"], 0, 2)];
        workers.extend([worker(&["primes", "sleep"], 4, 5), worker(&["other"], 7, 7)]);
        assert_eq!(of(&config, &plan.tasks, &workers), (13, 107));
        let by_pool = by_pool(&config, &plan, &workers);
        assert_eq!(by_pool, [("cpu", (3, 7)), ("default", (11, 105))].into());
    }
}
