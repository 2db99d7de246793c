//! Cancels runs and starts them over.

use std::time::SystemTime;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::hatchet::{
    client::{Client, RunHandle},
    transport::{ClientError, ErrorKind, retry, when_temporary},
    wire::{RunId, RunStatus, proto::v1},
};

/// Runs whose status is asked for at once.
const LOOKS: usize = 16;

impl RunHandle {
    /// Asks the engine to cancel the run. The answer proves nothing (an engine echoes what it was asked for):
    /// [`RunHandle::outcome`] tells what became of it.
    pub async fn cancel(&self) -> Result<(), ClientError> {
        self.client().cancel_all(&[self.id()], &format!("cancel run {}", self.id())).await
    }

    /// Asks the engine to run a finished run again, under the same id. False where it would not: the run is unknown.
    /// A run that is still going is left alone.
    pub async fn replay(&self) -> Result<bool, ClientError> {
        let call = format!("replay run {}", self.id());
        let request = v1::ReplayTasksRequest { external_ids: vec![self.id().to_string()], filter: None };
        let answer = self.client().connection().admin().replay_tasks(request).await;
        let answer = answer.map_err(|status| self.client().connection().call_error(&call, status))?;
        Ok(!answer.into_inner().replayed_tasks.is_empty())
    }
}

impl Client {
    /// The most runs that one [`Client::cancel_many`] should be given: each is looked at first, so that more of them
    /// would end between the look and the cancellation.
    pub const CANCEL_BATCH: usize = 500;

    /// The runs that have not ended and have all of these metadata pairs, however old they are. At least one pair is
    /// needed, so that an empty list does not choose every run.
    ///
    /// They are read from the engine's list over REST, which lags behind by up to a second or so: a run that was
    /// triggered just now may be missing, and one that has ended just now may be among them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the address of the engine's REST part is not known. A filter over gRPC is no substitute:
    /// it chooses runs that have any of the pairs.
    pub async fn open_runs(&self, metadata: &[(&str, &str)]) -> Result<Vec<RunId>, ClientError> {
        if metadata.is_empty() {
            return Err(ClientError::new(
                ErrorKind::Invalid,
                "list runs by metadata: name at least one key=value pair",
            ));
        }
        let Some(rest) = self.rest() else {
            let text = "list runs by metadata: the engine's REST address is not known: set HATCHET_CLIENT_SERVER_URL";
            return Err(ClientError::new(ErrorKind::Config, text));
        };
        let mut pages = rest.runs(SystemTime::UNIX_EPOCH, metadata, &[RunStatus::Queued, RunStatus::Running]);
        let mut open = Vec::new();
        let failed = |error: ClientError| {
            let (kind, text) = (error.kind(), format!("list runs by metadata: {error}"));
            error.into_kind(kind, text)
        };
        while let Some(runs) = pages.next().await.map_err(failed)? {
            open.extend(runs.iter().filter_map(|run| run.workflow_run_external_id.parse::<RunId>().ok()));
        }
        Ok(open)
    }

    /// Asks the engine to cancel those of these runs that have not ended, and gives them. What became of each is
    /// [`RunHandle::outcome`]'s to tell.
    pub async fn cancel_many(&self, runs: &[RunId]) -> Result<Vec<RunId>, ClientError> {
        // A real engine would write CANCELLED over the outcomes of runs that have ended.
        let looks = runs.iter().map(|id| async move {
            match self.run(*id).details().await {
                Ok(details) => Ok((!details.done).then_some(*id)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        let open: Vec<Option<RunId>> = stream::iter(looks).buffered(LOOKS).try_collect().await?;
        let open: Vec<RunId> = open.into_iter().flatten().collect();
        if !open.is_empty() {
            self.cancel_all(&open, &format!("cancel {} runs", open.len())).await?;
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
