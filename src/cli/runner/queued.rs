//! Why a run waits, by the engine's list of workers.

use crate::hatchet::{
    client::{RunHandle, WorkerSummary},
    task::Task,
    wire::ActionId,
};

/// One line: no worker, all busy, or that it cannot be told.
pub(super) async fn why(run: &RunHandle, task: Option<&Task>) -> String {
    let waiting = "still queued after 3 s";
    let client = run.client();
    let Some(rest) = client.rest() else {
        return format!(
            "{waiting}, and why cannot be told: the REST address is not known (set HATCHET_CLIENT_SERVER_URL)"
        );
    };
    // A run that was attached to may be of a task that is not ours.
    let Some(task) = task else { return format!("{waiting}: is a worker for it online?") };
    let actions: Vec<String> = task
        .names()
        .filter_map(|name| ActionId::new(&client.config().namespaced(name), name).ok())
        .map(|action| action.as_str().to_owned())
        .collect();
    match rest.workers().await {
        Err(error) => format!("{waiting}, and why cannot be told: {error}"),
        Ok(workers) => {
            let able: Vec<WorkerSummary> = workers
                .into_iter()
                .filter(|worker| {
                    worker.status == "ACTIVE" && worker.actions.iter().any(|action| actions.contains(action))
                })
                .collect();
            if able.is_empty() {
                return format!(
                    "{waiting}: no worker for {} is online; start one with `make run-worker` or `worker --tasks {}`",
                    task.name(),
                    task.name()
                );
            }
            let free: i64 = able
                .iter()
                .filter_map(|worker| worker.slot_config.get(task.slot_type()))
                .map(|slots| slots.available)
                .sum();
            if free > 0 {
                format!("{waiting}: {} worker(s) for {} are online with {free} free slot(s)", able.len(), task.name())
            } else {
                format!("{waiting}: all slots of the {} worker(s) for {} are taken", able.len(), task.name())
            }
        }
    }
}
