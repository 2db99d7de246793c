//! Submits a batch of runs.

use std::sync::Arc;

use serde_json::Value;

use super::schedule::Batch;
use crate::{
    bench::{
        keys::{RUN_KEY, RUN_KEY_PREFIX, run_key},
        plan::LoadPlan,
    },
    hatchet::client::{BulkItem, Client, ClientError, ErrorKind, TriggerOptions},
};

/// Which submission of a run a call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    First,
    /// The repetition of every run for [`LoadPlan::verify_dedupe`].
    Second,
}

/// Submits a batch. Returns it with the answer to each run.
pub(super) async fn submit(
    client: Client,
    plan: Arc<LoadPlan>,
    batch: Batch,
    pass: Pass,
) -> (Batch, Pass, Vec<BulkItem>) {
    let task = &plan.tasks[batch.task];
    let inputs = batch.indexes.iter().map(|index| {
        let mut options = TriggerOptions::default();
        let mut pair = |key: &str, value: Value| options.additional_metadata.insert(key.to_owned(), value);
        pair(RUN_KEY, run_key(&plan.prefix, &task.name, *index).into());
        pair(RUN_KEY_PREFIX, plan.prefix.clone().into());
        (task.input.render(*index), options)
    });
    let items = if task.keyed {
        client.trigger_many_keyed(&task.workflow, inputs).await
    } else {
        client.trigger_many(&task.workflow, inputs).await
    };
    (batch, pass, items)
}

/// Whether a submission with this error certainly started no run.
pub(super) fn did_not_start(error: &ClientError) -> bool {
    error.never_sent() || error.kind() == ErrorKind::Exhausted
}
