//! Cancellation and replay of many runs.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::RunRef;
use crate::hatchet::{
    client::{Client, RunFilter, RunSummary},
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

    /// Requests that the engine cancels the unfinished runs among these, and returns their ids. [`RunRef::outcome`]
    /// returns the outcome of each.
    ///
    /// The status of each run is queried first, because a real engine replaces the outcome of a finished run with
    /// CANCELLED. A run that the engine does not find counts as finished.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunRef::details`] except [`ErrorKind::NotFound`], and the error of the last attempt to
    /// cancel.
    pub async fn cancel_many(&self, runs: &[RunId]) -> Result<Vec<RunId>, ClientError> {
        // Copied ids, so that the future is `Send` for any caller.
        let queries = runs.iter().copied().map(|id| async move {
            match self.run_ref::<()>(id).details().await {
                Ok(details) => Ok((!details.done).then_some(id)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        let open: Vec<Option<RunId>> = stream::iter(queries).buffered(STATUS_QUERIES).try_collect().await?;
        let open: Vec<RunId> = open.into_iter().flatten().collect();
        if !open.is_empty() {
            self.cancel_all(&open, &format!("cancelling {}", number_of_runs(open.len()))).await?;
        }
        Ok(open)
    }

    /// Requests that the engine cancels the runs that a filter selects and that have not finished, in batches of
    /// [`Client::CANCEL_BATCH`], and returns their ids.
    ///
    /// The runs are those in the engine's list at the time of the call, which lags behind by up to seconds.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::cancel_many`] and of
    /// [`RestClient::runs`](crate::hatchet::client::RestClient::runs), and [`ErrorKind::Config`] if the address of the
    /// REST API is not set. Earlier batches stay cancelled.
    pub async fn cancel_where(&self, filter: &RunFilter) -> Result<Vec<RunId>, ClientError> {
        let mut cancelled = Vec::new();
        for batch in self.selected_runs(filter, "cancelling runs by filter").await?.chunks(Self::CANCEL_BATCH) {
            cancelled.extend(self.cancel_many(batch).await?);
        }
        Ok(cancelled)
    }

    /// Requests that the engine runs these finished runs again, under the same ids, and returns the ids of the runs
    /// that it knows. Does not change runs that have not finished. Sends calls of at most [`Client::CANCEL_BATCH`]
    /// runs.
    ///
    /// # Errors
    ///
    /// Returns the error of the call, which is not repeated: see [`ClientError::kind`]. Earlier calls keep their
    /// effect.
    pub async fn replay_many(&self, runs: &[RunId]) -> Result<Vec<RunId>, ClientError> {
        let mut replayed = Vec::new();
        for batch in runs.chunks(Self::CANCEL_BATCH) {
            let external_ids = batch.iter().map(RunId::to_string).collect();
            let request = v1::ReplayTasksRequest { external_ids, filter: None };
            let connection = self.connection();
            let response = connection.admin().replay_tasks(request).await;
            let call = || format!("replaying {}", number_of_runs(batch.len()));
            let response = response.map_err(|status| connection.call_error(&call(), status))?;
            replayed.extend(response.into_inner().replayed_tasks.iter().filter_map(|id| id.parse::<RunId>().ok()));
        }
        Ok(replayed)
    }

    /// Requests that the engine runs the finished runs that a filter selects again. Otherwise behaves like
    /// [`Client::replay_many`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::replay_many`] and of
    /// [`RestClient::runs`](crate::hatchet::client::RestClient::runs), and [`ErrorKind::Config`] if the address of the
    /// REST API is not set.
    pub async fn replay_where(&self, filter: &RunFilter) -> Result<Vec<RunId>, ClientError> {
        let runs = self.selected_runs(filter, "replaying runs by filter").await?;
        self.replay_many(&runs).await
    }

    async fn selected_runs(&self, filter: &RunFilter, operation: &str) -> Result<Vec<RunId>, ClientError> {
        let rows = self.require_rest(operation)?.runs(filter).all().await?;
        Ok(rows.iter().filter_map(RunSummary::id).collect())
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

fn number_of_runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}
