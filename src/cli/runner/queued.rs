//! Why a run waits, by the engine's list of workers.

use super::{
    super::{connection::command::ConnectionWords, online_workers},
    Triggered,
};
use crate::hatchet::client::RunRef;

/// One line: no worker, all busy, or that it cannot be told.
pub(super) async fn why(run: &RunRef, task: Option<&Triggered>, words: &ConnectionWords) -> String {
    let waiting = "still queued after 3 s";
    let client = run.client();
    let Some(rest) = client.rest() else {
        return format!(
            "{waiting}, and why cannot be told: the REST address is not known (set HATCHET_CLIENT_SERVER_URL)"
        );
    };
    // A run that was attached to may be of a task that is not ours.
    let Some(Triggered { name, .. }) = task else { return format!("{waiting}: is a worker for it online?") };
    match rest.workers().await {
        Err(error) => format!("{waiting}, and why cannot be told: {error}"),
        Ok(workers) => {
            let able = online_workers::able(client, name, &workers);
            if able.is_empty() {
                let start = words.command(&["worker", "--tasks", name]);
                return format!(
                    "{waiting}: no worker for {name} is online; start one with `make run-worker` or `{start}`"
                );
            }
            let free = online_workers::free_slots(&able);
            if free > 0 {
                format!("{waiting}: {} worker(s) for {name} are online with {free} free slot(s)", able.len())
            } else {
                format!("{waiting}: all slots of the {} worker(s) for {name} are taken", able.len())
            }
        }
    }
}
