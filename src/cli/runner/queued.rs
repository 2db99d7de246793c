//! Explains from the engine's list of workers why a run is still queued.

use super::request::NamedTask;
use crate::{
    cli::{
        connection::CommandRenderer,
        online_workers::{free_slots, workers_serving},
    },
    hatchet::client::RunRef,
};

/// Returns a line with the reason: no worker is online, all workers are busy, or unknown.
pub(super) async fn explain(run: &RunRef, task: Option<&NamedTask>, commands: &CommandRenderer) -> String {
    let queued = "still queued after 3s";
    let client = run.client();
    let Some(rest) = client.rest() else {
        return format!(
            "{queued}; the reason is unknown, since the REST address is unknown: set HATCHET_CLIENT_SERVER_URL"
        );
    };
    // The task may belong to another program.
    let Some(NamedTask { name, task }) = task else {
        return format!("{queued}: check that a worker for its task is online");
    };
    match rest.workers().await {
        Err(error) => format!("{queued}; the reason is unknown: {error}"),
        Ok(workers) => {
            let workers = workers_serving(client, name, &workers);
            if workers.is_empty() && task.is_none() {
                return format!("{queued}: no worker for {name} is online; start the program that registers it");
            }
            if workers.is_empty() {
                let start = commands.render(&["worker", "--tasks", name]);
                return format!(
                    "{queued}: no worker for {name} is online; start one with `make run-worker` or `{start}`"
                );
            }
            let free = free_slots(&workers);
            if free > 0 {
                format!("{queued}: {} worker(s) for {name} are online with {free} free slot(s)", workers.len())
            } else {
                format!("{queued}: all slots of the {} worker(s) for {name} are taken", workers.len())
            }
        }
    }
}
