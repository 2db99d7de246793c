//! Submits a batch of runs.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use super::schedule::Batch;
use crate::{
    bench::{
        keys::{RUN_KEY, RUN_KEY_PREFIX, run_key},
        plan::LoadPlan,
    },
    hatchet::{
        client::{Client, ClientError, RunItem, RunRef, may_have_started},
        task::Stub,
    },
};

/// The submission of a run: the first, or the repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    First,
    /// The repetition of every run for [`LoadPlan::verify_dedupe`].
    Second,
}

/// A started run, or the reason why it was not started.
pub(super) type TriggerResult = Result<RunRef, ClientError>;

/// Submits a batch. Returns it with the result of each run. A submission that the engine refuses temporarily is not
/// repeated after the deadline.
pub(super) async fn submit(
    client: Client,
    plan: Arc<LoadPlan>,
    batch: Batch,
    pass: Pass,
    deadline: Option<Instant>,
) -> (Batch, Pass, Vec<TriggerResult>) {
    let task = &plan.tasks[batch.task];
    let stub = Stub::<Value, Value>::from_name(&task.workflow);
    let runs = batch.indexes.iter().map(|index| {
        RunItem::new(&task.input.render(*index))
            .metadata(RUN_KEY, run_key(&plan.prefix, &task.name, *index))
            .metadata(RUN_KEY_PREFIX, plan.prefix.as_str())
    });
    let items = client.run_many_no_wait(&stub, runs).keyed(task.keyed).deadline(deadline).await;
    (batch, pass, items)
}

/// Whether a submission with this error certainly started no run.
pub(super) fn did_not_start(error: &ClientError) -> bool {
    !may_have_started(error)
}
