//! Cancellation of runs.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::RunRef;
use crate::hatchet::{
    client::Client,
    transport::{ClientError, ErrorKind, retry, when_temporary},
    wire::{RunId, proto::v1},
};

/// Concurrent status queries of one [`Client::cancel_many`].
const STATUS_QUERIES: usize = 16;

impl<O> RunRef<O> {
    /// Requests that the engine cancels the run, unless it has finished. Returns whether a request was sent.
    ///
    /// `true` does not mean that the run was cancelled, because an engine confirms every id of a request.
    /// [`RunRef::outcome`] returns the outcome.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::cancel_many`].
    pub async fn cancel(&self) -> Result<bool, ClientError> {
        Ok(!self.client().cancel_many(&[self.id()]).await?.is_empty())
    }
}

impl Client {
    /// The recommended maximum number of runs in one [`Client::cancel_many`]. In a larger batch, more runs would finish
    /// between the query of their status and the cancellation.
    pub const CANCEL_BATCH: usize = 500;

    /// Requests that the engine cancels those of these runs that have not finished, and returns their ids.
    /// [`RunRef::outcome`] returns the outcome of each.
    ///
    /// The status of each run is queried first, because a real engine replaces the outcome of a finished run with
    /// CANCELLED. A run that the engine does not find counts as finished.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunRef::details`] except [`ErrorKind::NotFound`], and the error of the last attempt to
    /// cancel.
    pub async fn cancel_many(&self, runs: &[RunId]) -> Result<Vec<RunId>, ClientError> {
        // Owned ids, so that the future is `Send` for any caller.
        let queries = runs.to_vec().into_iter().map(|id| async move {
            match self.run_ref::<()>(id).details().await {
                Ok(details) => Ok((!details.done).then_some(id)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        let open: Vec<Option<RunId>> = stream::iter(queries).buffered(STATUS_QUERIES).try_collect().await?;
        let open: Vec<RunId> = open.into_iter().flatten().collect();
        if !open.is_empty() {
            self.cancel_all(&open, &format!("cancelling {} runs", open.len())).await?;
        }
        Ok(open)
    }

    async fn cancel_all(&self, runs: &[RunId], call: &str) -> Result<(), ClientError> {
        retry(when_temporary, || {
            let external_ids = runs.iter().map(RunId::to_string).collect();
            let request = v1::CancelTasksRequest { external_ids, filter: None };
            let mut stub = self.connection().admin();
            async move { stub.cancel_tasks(request).await.map_err(|status| self.connection().call_error(call, status)) }
        })
        .await?;
        Ok(())
    }
}
