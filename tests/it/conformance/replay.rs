//! Replay of runs.

use hatchet_quickstart::hatchet::wire::proto::{
    AssignedAction,
    v1::{ReplayTasksRequest, RunStatus},
};
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use super::deviations::Deviation;
use crate::support::{RawWorker, TIMEOUT, Target, assert_refused, only_task};

/// Replays a finished run until its next attempt arrives.
async fn replayed(target: &Target, worker: &mut RawWorker, run: &str) -> AssignedAction {
    let tries = if target.deviates(Deviation::ReplayAlwaysStarts) { 1 } else { 6 };
    for _ in 0..tries {
        assert_eq!(target.replay(&[run]).await, [run]);
        if let Ok(action) = tokio::time::timeout(TIMEOUT / 6, worker.next_start()).await {
            assert_eq!(action.workflow_run_id, run);
            return action;
        }
    }
    panic!("not replayed: {run}");
}

#[tokio::test]
async fn replay_continues_attempt_count_with_new_retries() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("replayed", |task| task.retries = 1).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({"a": 1})).await;
    for attempt in 0..2 {
        let action = worker.next_start().await;
        assert_eq!(action.retry_count, attempt);
        worker.fail(&action, "no").await;
    }
    assert_eq!(target.done(&run).await.status(), RunStatus::Failed);

    let action = replayed(&target, &mut worker, &run).await;
    assert_eq!(action.retry_count, 2);
    let payload: serde_json::Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!(payload["input"], json!({"a": 1}));
    let details = target.details(&run).await.unwrap();
    assert_eq!((details.status(), details.done), (RunStatus::Running, false));
    worker.fail(&action, "again").await;
    let action = worker.next_start().await;
    assert_eq!(action.retry_count, 3);
    worker.complete(&action, r#"{"ok":1}"#).await;
    let details = target.details_until(&run, "the run is completed", |d| d.status() == RunStatus::Completed).await;
    assert_eq!(only_task(&details).output.as_deref(), Some(&br#"{"ok":1}"#[..]));
    worker.close().await;
}

#[tokio::test]
async fn completed_and_cancelled_runs_can_be_replayed() {
    let target = Target::start().await;
    let workflow = target.workflow("final").await;
    let cancelled = target.trigger(&workflow, json!({})).await;
    target.details_until(&cancelled, "the run exists", |_| true).await;
    target.cancel(&[&cancelled]).await;
    target.done(&cancelled).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let completed = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, r#"{"n":0}"#).await;
    target.done(&completed).await;

    for run in [&cancelled, &completed] {
        let action = replayed(&target, &mut worker, run).await;
        assert_eq!(action.retry_count, 1);
        worker.complete(&action, r#"{"n":1}"#).await;
        target
            .details_until(run, "the new output", |details| {
                details.status() == RunStatus::Completed
                    && only_task(details).output.as_deref() == Some(&br#"{"n":1}"#[..])
            })
            .await;
    }
    worker.close().await;
}

#[tokio::test]
async fn running_run_is_not_replayed() {
    let target = Target::start().await;
    let workflow = target.workflow("running").await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    target.replay(&[&run]).await;
    let next = target.trigger(&workflow, json!({})).await;
    let other = worker.next_start().await;
    assert_eq!(other.workflow_run_id, next);
    worker.complete(&action, r#"{"n":1}"#).await;
    worker.complete(&other, "{}").await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Completed);
    worker.close().await;
}

#[tokio::test]
async fn replay_ignores_unknown_and_refuses_malformed_ids() {
    let target = Target::start().await;
    assert!(target.replay(&[&Uuid::new_v4().to_string()]).await.is_empty());
    let request = ReplayTasksRequest { external_ids: vec!["nope".to_owned()], filter: None };
    assert_refused(target.admin().replay_tasks(request).await, Code::InvalidArgument, "invalid external id");
}
