//! `GetRunDetails`, the authoritative state of a run.

use hatchet_quickstart::hatchet::wire::proto::v1::RunStatus;
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::support::{RawWorker, Target, assert_refused, only_task};

#[tokio::test]
async fn invalid_or_unknown_run_id_is_refused() {
    let target = Target::start().await;
    assert_refused(target.details("nope").await, Code::InvalidArgument, "invalid external id");
    assert_refused(target.details("").await, Code::InvalidArgument, "invalid external id");
    let id = Uuid::new_v4().to_string();
    assert_refused(target.details(&id).await, Code::NotFound, "workflow run not found");
}

#[tokio::test]
async fn open_run_has_neither_output_nor_error() {
    let target = Target::start().await;
    let workflow = target.workflow("open").await;
    let run = target.trigger(&workflow, json!({"a": [1, "é"]})).await;
    let details = target.details_until(&run, "the run exists", |_| true).await;
    assert_eq!((details.status(), details.done, details.is_evicted), (RunStatus::Queued, false, false));
    assert_eq!(serde_json::from_slice::<Value>(&details.input).unwrap(), json!({"a": [1, "é"]}));
    let task = only_task(&details);
    assert_eq!((task.status(), task.external_id.as_str()), (RunStatus::Queued, run.as_str()));
    assert_eq!((task.output.as_deref(), task.error.as_deref()), (None, None));

    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let action = worker.next_start().await;
    let details = target.details(&run).await.unwrap();
    let task = only_task(&details);
    assert_eq!((task.status(), task.output.as_deref(), task.error.as_deref()), (RunStatus::Running, None, None));
    worker.complete(&action, "{}").await;
    worker.close().await;
}
