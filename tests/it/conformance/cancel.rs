//! Cancelling runs.

use hatchet_quickstart::hatchet::wire::{
    proto::v1::{CancelTasksRequest, RunStatus, TasksFilter, TriggerWorkflowRequest},
    timestamp_now,
};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use super::deviations::Deviation;
use crate::support::{ControlWorker, RawWorker, Target, assert_refused, eventually, only_task};

#[tokio::test]
async fn cancelled_queued_run_is_never_assigned() {
    let target = Target::start().await;
    let workflow = target.workflow("queued").await;
    let run = target.trigger(&workflow, json!({})).await;
    target.details_until(&run, "the run exists", |_| true).await;
    assert_eq!(target.cancel(&[&run]).await, [run.as_str()]);
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Cancelled);
    let task = only_task(&details);
    assert_eq!((task.status(), task.error.as_deref().unwrap_or_default()), (RunStatus::Cancelled, ""));

    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let next = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, next);
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn cancel_of_running_run_notifies_its_worker() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("running", |task| task.retries = 3).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.fail(&action, "first").await;
    let action = worker.next_start().await;
    assert_eq!(action.retry_count, 1);
    worker.started(&action).await;
    target.cancel(&[&run]).await;
    let cancel = worker.next_cancel().await;
    assert_eq!((&cancel.workflow_run_id, &cancel.task_run_external_id), (&run, &run));
    assert_eq!((cancel.retry_count, cancel.action_payload.as_str()), (1, ""));
    assert_eq!(cancel.action_id, action.action_id);
    assert_eq!(target.done(&run).await.status(), RunStatus::Cancelled);

    // The slot is free without a report of the worker, and the run is not retried.
    let next = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, next);
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn run_in_backoff_is_cancelled() {
    let target = Target::for_failures().await;
    let workflow = target
        .workflow_with("backoff", |task| {
            task.retries = 3;
            task.backoff_factor = Some(1000.0);
        })
        .await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.fail(&action, "no").await;
    target.details_until(&run, "the run is queued", |details| details.status() == RunStatus::Queued).await;
    target.cancel(&[&run]).await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Cancelled);
    worker.close().await;
}

#[tokio::test]
async fn cancel_of_finished_run_succeeds_without_effect() {
    let target = Target::start().await;
    let workflow = target.workflow("final").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut control = ControlWorker::start(&target).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    target.done(&run).await;
    assert_eq!(target.cancel(&[&run]).await, [run.as_str()]);
    control.complete_runs(&target).await;
    let details = target.details(&run).await.unwrap();
    assert!(details.done, "{details:?}");
    if target.deviates(Deviation::FinishedRunIsNotCancelled) {
        assert_eq!(details.status(), RunStatus::Completed);
    } else {
        assert!([RunStatus::Completed, RunStatus::Cancelled].contains(&details.status()), "{details:?}");
    }
    worker.close().await;
    control.close().await;
}

async fn cancel(target: &Target, request: CancelTasksRequest) -> Result<Vec<String>, Status> {
    Ok(target.admin().cancel_tasks(request).await?.into_inner().cancelled_tasks)
}

fn filter(workflow_ids: &[&str], metadata: &[&str]) -> TasksFilter {
    let mut since = timestamp_now();
    since.seconds -= 3600;
    TasksFilter {
        since: Some(since),
        workflow_ids: workflow_ids.iter().map(|id| (*id).to_owned()).collect(),
        additional_metadata: metadata.iter().map(|pair| (*pair).to_owned()).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn cancel_response_lists_the_requested_ids() {
    let target = Target::start().await;
    let unknown = Uuid::new_v4().to_string();
    assert_eq!(target.cancel(&[&unknown]).await, [unknown.as_str()]);
    assert!(target.cancel(&[]).await.is_empty());
}

#[tokio::test]
async fn invalid_cancel_request_is_refused() {
    let target = Target::start().await;
    let workflow = target.workflow("faults").await;
    let by_filter = |filter| CancelTasksRequest { external_ids: Vec::new(), filter: Some(filter) };
    let by_id = |id: &str| CancelTasksRequest { external_ids: vec![id.to_owned()], filter: None };
    assert_refused(cancel(&target, by_id("nope")).await, Code::InvalidArgument, "invalid external id");
    let both = CancelTasksRequest {
        filter: Some(filter(&[&workflow.workflow_id], &[])),
        ..by_id(&Uuid::new_v4().to_string())
    };
    assert_refused(cancel(&target, both).await, Code::InvalidArgument, "cannot provide both external ids and filter");
    assert_refused(
        cancel(&target, by_filter(filter(&["nope"], &[]))).await,
        Code::InvalidArgument,
        "invalid workflow id",
    );
    let request = by_filter(filter(&[&workflow.workflow_id], &["nocolon"]));
    assert_refused(
        cancel(&target, request).await,
        Code::InvalidArgument,
        "invalid additional metadata filter: nocolon",
    );
}

#[tokio::test]
async fn runs_are_cancelled_by_metadata() {
    let target = Target::start().await;
    let workflow = target.workflow("filtered").await;
    let request = |value: &str| TriggerWorkflowRequest {
        additional_metadata: Some(json!({ "case": target.name(value) }).to_string()),
        ..workflow.request(json!({}))
    };
    let hit = target.try_trigger(request("hit")).await.unwrap();
    let miss = target.try_trigger(request("miss")).await.unwrap();
    target.details_until(&miss, "the run exists", |_| true).await;
    let pair = format!("case:{}", target.name("hit"));
    // A real engine filters on a store that is updated with a delay, so one call may find no run.
    eventually("the run is cancelled", async || {
        let request = CancelTasksRequest { external_ids: Vec::new(), filter: Some(filter(&[], &[&pair])) };
        let named = cancel(&target, request).await.unwrap();
        assert!(named.iter().all(|id| *id == hit), "{named:?}");
        target.details(&hit).await.is_ok_and(|details| details.status() == RunStatus::Cancelled).then_some(())
    })
    .await;
    assert_eq!(target.details(&miss).await.unwrap().status(), RunStatus::Queued);
    target.cancel(&[&miss]).await;
}

#[tokio::test]
async fn empty_cancel_filter_selects_no_run() {
    let target = Target::start().await;
    let workflow = target.workflow("empty-filter").await;
    let run = target.trigger(&workflow, json!({})).await;
    target.details_until(&run, "the run exists", |_| true).await;
    for act in ["cancel", "replay"] {
        let path = format!("/api/v1/stable/tenants/{}/tasks/{act}", target.tenant);
        for filter in [json!({}), json!({ "since": null }), json!({ "statuses": ["QUEUED"] })] {
            let (status, response) = target.rest.post(&path, json!({ "filter": filter })).await;
            if target.deviates(Deviation::SinceIsRequired) {
                let message = response["message"].as_str().unwrap_or_default();
                assert!(status == 400 && message.contains("`since`"), "{status} {response}");
            } else {
                assert_eq!((status, &response["ids"]), (200, &json!([])));
            }
        }
        assert_eq!(target.rest.post(&path, json!({ "filter": { "since": "x" } })).await.0, 400);
    }
    assert_eq!(target.details(&run).await.unwrap().status(), RunStatus::Queued);
    target.cancel(&[&run]).await;
}
