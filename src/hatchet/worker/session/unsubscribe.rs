//! The call that removes a worker's streams from the engine.

use std::time::Duration;

use crate::hatchet::{
    client::Client,
    transport::{ClientError, with_timeout},
    wire::{WorkerId, proto::WorkerUnsubscribeRequest},
};

/// Removes all streams of a worker from the engine, which assigns nothing over them afterwards. The worker stays
/// registered, and its attempts stay assigned.
///
/// The call does not close the streams: a real engine continues to assign to a worker whose stream is still open. It is
/// not retried, since an engine notices a missing worker after 30 s at the latest.
pub(in crate::hatchet::worker) async fn unsubscribe(
    client: &Client,
    worker: WorkerId,
    timeout: Duration,
) -> Result<(), ClientError> {
    let request = with_timeout(timeout, WorkerUnsubscribeRequest { worker_id: worker.to_string() });
    let result = client.connection().dispatcher().unsubscribe(request).await;
    result.map(drop).map_err(|status| {
        let error = client.connection().call_error("unsubscribing the worker", status);
        tracing::debug!(%worker, %error, "unsubscribing the worker failed");
        error
    })
}
