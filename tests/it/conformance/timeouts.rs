//! Schedule and execution timeouts, their extension, and early release of a slot.

use hatchet_quickstart::hatchet::wire::proto::{
    ActionType, RefreshTimeoutRequest, ReleaseSlotRequest, StepActionEventType as Kind,
    v1::{CreateTaskOpts, RunStatus},
};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use super::deviations::{Deviation, missing};
use crate::support::{ControlWorker, RawWorker, Target, assert_refused, only_task};

#[tokio::test]
async fn execution_timeout_fails_run_and_cancels_attempt() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("slow", |task| task.timeout = "2s".to_owned()).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.started(&action).await;
    let cancel = worker.next_cancel().await;
    assert_eq!((&cancel.task_run_external_id, cancel.retry_count), (&run, 0));
    assert_eq!(cancel.action_payload, "");
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Failed);
    assert_eq!(only_task(&details).error.as_deref(), Some("Task exceeded timeout of 2s"));
    worker.close().await;
}

#[tokio::test]
async fn execution_timeout_is_retried_and_frees_slot() {
    let target = Target::for_failures().await;
    let workflow = target
        .workflow_with("slow-retry", |task| {
            task.timeout = "2s".to_owned();
            task.retries = 1;
        })
        .await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    assert_eq!(first.retry_count, 0);
    // The cancellation of the first attempt and the second attempt arrive in either order.
    let mut both = [worker.next_action().await, worker.next_action().await];
    both.sort_by_key(|action| action.action_type);
    let [retry, cancel] = both;
    assert_eq!((retry.action_type(), retry.retry_count), (ActionType::StartStepRun, 1));
    assert_eq!((cancel.action_type(), cancel.retry_count), (ActionType::CancelStepRun, 0));
    worker.complete(&retry, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    worker.close().await;
}

#[tokio::test]
async fn schedule_timeout_cancels_queued_run() {
    let target = Target::start().await;
    let workflow = target
        .workflow_with("untaken", |task| {
            task.schedule_timeout = Some("2s".to_owned());
            task.retries = 3;
        })
        .await;
    let run = target.trigger(&workflow, json!({})).await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Cancelled);
    let task = only_task(&details);
    assert_eq!((task.status(), task.error.as_deref().unwrap_or_default()), (RunStatus::Cancelled, ""));

    // Another run of this workflow would have the same short timeout, so a run of another workflow shows that no
    // assignment follows.
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut control = ControlWorker::start(&target).await;
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none(), "assigned after its time");
    worker.close().await;
    control.close().await;
}

async fn refresh(target: &Target, run: &str, by: &str) -> Result<prost_types::Timestamp, Status> {
    let request = RefreshTimeoutRequest { task_run_external_id: run.to_owned(), increment_timeout_by: by.to_owned() };
    Ok(target.dispatcher().refresh_timeout(request).await?.into_inner().timeout_at.unwrap())
}

#[tokio::test]
async fn refresh_extends_execution_timeout() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("refreshed", |task| task.timeout = "3s".to_owned()).await;
    let mut worker = RawWorker::start(&target, &workflow, 2).await;
    let run = target.trigger(&workflow, json!({"refreshed": true})).await;
    let refreshed_action = worker.next_start().await;
    let first = refresh(&target, &run, "1m").await.unwrap();
    let second = refresh(&target, &run, "30s").await.unwrap();
    let between = second.seconds - first.seconds;
    assert!((29..=31).contains(&between), "30 s were added and the deadline moved by {between} s");

    // A later run without a refresh times out first; the refreshed run is still open.
    let other = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, other);
    assert_eq!(target.done(&other).await.status(), RunStatus::Failed);
    assert_eq!(target.details(&run).await.unwrap().status(), RunStatus::Running);
    worker.complete(&refreshed_action, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    missing(&target, refresh(&target, &run, "1s").await, &format!("task run not found: {run}"));
    worker.close().await;
}

#[tokio::test]
async fn refresh_requires_running_task_and_duration() {
    let target = Target::start().await;
    let workflow = target.workflow("refresh-faults").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    for by in ["", "1d", "60", "-5s"] {
        assert_refused(refresh(&target, &run, by).await, Code::InvalidArgument, "");
    }
    let id = Uuid::new_v4().to_string();
    missing(&target, refresh(&target, &id, "5s").await, &format!("task run not found: {id}"));
    worker.complete(&action, "{}").await;
    worker.close().await;
}

async fn release(target: &Target, run: &str) -> Result<(), Status> {
    let request = ReleaseSlotRequest { task_run_external_id: run.to_owned() };
    target.dispatcher().release_slot(request).await.map(|_| ())
}

#[tokio::test]
async fn released_slot_leaves_task_running() {
    let target = Target::start().await;
    let workflow = target.workflow("released").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let held = worker.next_start().await;
    let waiting = target.trigger(&workflow, json!({})).await;
    release(&target, &run).await.unwrap();
    assert_eq!(target.details(&run).await.unwrap().status(), RunStatus::Running);

    if target.deviates(Deviation::ReleasedSlotIsFreeImmediately) {
        let action = worker.next_start().await;
        assert_eq!(action.workflow_run_id, waiting);
        worker.complete(&action, "{}").await;
        worker.report(&held, Kind::StepEventTypeCompleted, r#"{"released":true}"#).await;
    } else {
        worker.report(&held, Kind::StepEventTypeCompleted, r#"{"released":true}"#).await;
        let action = worker.next_start().await;
        assert_eq!(action.workflow_run_id, waiting);
        worker.complete(&action, "{}").await;
    }
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    missing(&target, release(&target, &run).await, "not found");
    missing(&target, release(&target, &Uuid::new_v4().to_string()).await, "not found");
    worker.close().await;
}

#[tokio::test]
async fn run_with_longest_timeouts_completes() {
    const LONGEST: &str = "2562047h";
    let target = Target::start().await;
    let longest = |task: &mut CreateTaskOpts| {
        task.timeout = LONGEST.to_owned();
        task.schedule_timeout = Some(LONGEST.to_owned());
    };
    let workflow = target.workflow_with("longest", longest).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.started(&action).await;
    let first = refresh(&target, &run, LONGEST).await.unwrap();
    let second = refresh(&target, &run, LONGEST).await.unwrap();
    assert!(second.seconds > first.seconds, "{first}, {second}");
    worker.complete(&action, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    worker.close().await;
}
