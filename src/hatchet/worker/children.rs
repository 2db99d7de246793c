//! The child runs of this worker's attempts: started, awaited and cancelled with the worker's client.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use tokio::{runtime::Handle, time::sleep};

use crate::hatchet::{
    client::{Client, Parent, RunError, RunFilter, TriggerOptions},
    task::{ChildError, ChildOutcome, ChildRequest, ChildRunner, RunInfo},
    transport::ClientError,
    wire::{RunId, RunStatus},
};

/// Queries for the end of a cancelled parent, and the time between two of them. A real engine took up to 0.04 s.
const PARENT_QUERIES: usize = 10;
const PARENT_QUERY_INTERVAL: Duration = Duration::from_millis(200);

/// Starts children with the worker's client.
pub(super) struct ClientChildren {
    client: Client,
    /// The runtime of the async and blocking bodies.
    body_runtime: Handle,
}

impl ClientChildren {
    pub(super) fn shared(client: Client, body_runtime: Handle) -> Arc<dyn ChildRunner> {
        Arc::new(Self { client, body_runtime })
    }
}

impl ChildRunner for ClientChildren {
    fn start(
        &self,
        parent: &RunInfo,
        task: &str,
        children: Vec<ChildRequest>,
    ) -> BoxFuture<'static, Vec<Result<RunId, ChildError>>> {
        let (client, task) = (self.client.clone(), task.to_owned());
        let (workflow_run, task_run) = (parent.workflow_run_id.clone(), parent.run_id.clone());
        let worker = parent.worker_id.clone();
        let mut items: Vec<_> = children
            .into_iter()
            .map(|child| {
                let parent = Parent {
                    workflow_run_id: workflow_run.clone(),
                    task_run_id: task_run.clone(),
                    index: child.index,
                    key: child.key,
                };
                let options = TriggerOptions {
                    additional_metadata: child.metadata,
                    priority: child.priority,
                    parent: Some(parent),
                    desired_worker: child.sticky.then(|| worker.clone()),
                    ..TriggerOptions::default()
                };
                (child.input, options)
            })
            .collect();
        Box::pin(async move {
            let runs = match items.pop() {
                Some((input, options)) if items.is_empty() => vec![client.trigger(&task, &input, &options).await],
                last => client.trigger_many(&task, items.into_iter().chain(last), false, None).await,
            };
            runs.into_iter().map(|run| run.map(|run| run.id()).map_err(ChildError::call)).collect()
        })
    }

    fn outcome(
        &self,
        child: RunId,
        output_task: Option<&'static str>,
    ) -> BoxFuture<'static, Result<ChildOutcome, ChildError>> {
        let run = self.client.triggered_run::<()>(child);
        Box::pin(async move {
            let outcome = run.outcome().await.map_err(ChildError::call)?;
            Ok(match outcome.status {
                RunStatus::Completed => {
                    let output: Result<Box<RawValue>, RunError> = match output_task {
                        Some(task) => outcome.output_of(task),
                        None => outcome.output(),
                    };
                    ChildOutcome::Completed(output.map_err(ChildError::call)?.get().to_owned())
                }
                RunStatus::Cancelled => ChildOutcome::Cancelled(outcome.error),
                RunStatus::Failed
                | RunStatus::Queued
                | RunStatus::Running
                | RunStatus::Evicted
                | RunStatus::Unknown(_) => ChildOutcome::Failed(outcome.error.unwrap_or_default()),
            })
        })
    }

    fn runtime(&self) -> Handle {
        self.body_runtime.clone()
    }
}

/// The children to cancel with their parent.
pub(super) struct ChildrenToCancel {
    /// Those that the attempt has started.
    pub(super) started: Vec<RunId>,
    /// Whether earlier attempts may have started others. The list of runs of the REST API has them.
    pub(super) has_earlier_attempts: bool,
}

/// Cancels the children of a cancelled attempt, if its run was cancelled. An attempt is also cancelled when it is moved
/// to another worker, or retried after a timeout: then the next attempt continues with its children.
///
/// A real engine does not cancel the children of a cancelled run. Boxed, since it is rare and large.
pub(super) fn cancel_with_parent(client: Client, parent: RunId, children: ChildrenToCancel) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if let Err(error) = try_cancel(&client, parent, &children).await {
            tracing::warn!(run = %parent, %error, "cancelling the children of a cancelled run failed");
        }
    })
}

async fn try_cancel(client: &Client, parent: RunId, children: &ChildrenToCancel) -> Result<(), ClientError> {
    let run = client.run_ref::<()>(parent);
    for _ in 0..PARENT_QUERIES {
        let details = run.details().await?;
        if details.done {
            if details.status == RunStatus::Cancelled {
                for batch in children.started.chunks(Client::CANCEL_BATCH) {
                    client.cancel_many(batch).await?;
                }
                if children.has_earlier_attempts && client.rest().is_none() {
                    tracing::debug!(run = %parent, "children of earlier attempts are not cancelled without a REST address");
                } else if children.has_earlier_attempts {
                    let open = RunFilter::since(SystemTime::UNIX_EPOCH).parent(parent);
                    client.cancel_where(&open.status(RunStatus::Queued).status(RunStatus::Running)).await?;
                }
            }
            break;
        }
        sleep(PARENT_QUERY_INTERVAL).await;
    }
    Ok(())
}
