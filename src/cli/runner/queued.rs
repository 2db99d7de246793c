//! Explains why a run is still queued, by the engine's list of workers.

use super::request::NamedTask;
use crate::{
    cli::{
        connection::CommandRenderer,
        online_workers::{free_slots, serving},
    },
    hatchet::client::RunRef,
};

/// One line: no worker is online, all workers are busy, or the reason is not known.
pub(super) async fn explain(run: &RunRef, task: Option<&NamedTask>, commands: &CommandRenderer) -> String {
    let queued = "still queued after 3 s";
    let client = run.client();
    let Some(rest) = client.rest() else {
        return format!(
            "{queued}; the reason is not known, since the REST address is not (set HATCHET_CLIENT_SERVER_URL)"
        );
    };
    // The run may be of another program's task.
    let Some(NamedTask { name, .. }) = task else { return format!("{queued}: is a worker for it online?") };
    match rest.workers().await {
        Err(error) => format!("{queued}; the reason is not known: {error}"),
        Ok(workers) => {
            let workers = serving(client, name, &workers);
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
