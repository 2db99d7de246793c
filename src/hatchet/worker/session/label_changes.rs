//! Sends changes of labels to the engine.

use std::convert::Infallible;

use super::states::SessionStates;
use crate::hatchet::{
    client::Client,
    transport::{DEFAULT_TIMEOUT, with_timeout},
    wire::proto::UpsertWorkerLabelsRequest,
    worker::labels::Changes,
};

/// Sends changes to the engine, for each worker of the process.
pub(in crate::hatchet::worker) async fn send_label_changes(
    client: &Client,
    states: &SessionStates,
    mut changes: Changes,
) -> Infallible {
    while let Some(change) = changes.recv().await {
        let mut result = Ok(());
        for worker in states.workers() {
            let request = UpsertWorkerLabelsRequest { worker_id: worker.id.to_string(), labels: change.to_wire() };
            let mut dispatcher = client.connection().dispatcher();
            if let Err(status) = dispatcher.upsert_worker_labels(with_timeout(DEFAULT_TIMEOUT, request)).await {
                result = Err(client.connection().call_error("changing labels", status));
            }
        }
        change.finish(result);
    }
    // The handle was dropped, which ends the worker.
    std::future::pending().await
}
