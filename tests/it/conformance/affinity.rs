//! Worker labels that a task or trigger requires or prefers.

use std::collections::HashMap;

use hatchet_quickstart::hatchet::wire::proto::{
    UpsertWorkerLabelsRequest, WorkerLabels,
    v1::{DesiredWorkerLabels, TriggerWorkflowRequest, WorkerLabelComparator},
};
use serde_json::json;

use tonic::Code;

use crate::support::{ControlWorker, RawWorker, Target, Workflow, assert_refused};

async fn label(target: &Target, worker: &RawWorker, key: &str, value: WorkerLabels) {
    let labels = HashMap::from([(key.to_owned(), value)]);
    let request = UpsertWorkerLabelsRequest { worker_id: worker.id.clone(), labels };
    target.dispatcher().upsert_worker_labels(request).await.unwrap();
}

fn text(value: &str) -> WorkerLabels {
    WorkerLabels { str_value: Some(value.to_owned()), int_value: None }
}

fn number(value: i32) -> WorkerLabels {
    WorkerLabels { str_value: None, int_value: Some(value) }
}

/// Starts a listening worker with this label.
async fn labeled(target: &Target, workflow: &Workflow, key: &str, value: WorkerLabels) -> RawWorker {
    let mut worker = RawWorker::register(target, "worker", &[&workflow.action], &[("default", 1)]).await;
    label(target, &worker, key, value).await;
    worker.listen();
    worker
}

/// Asserts that three runs are assigned to `matching`, and that a fourth waits for it while `other` has a free slot.
async fn only_matching(
    target: &Target,
    request: impl Fn() -> TriggerWorkflowRequest,
    mut other: RawWorker,
    mut matching: RawWorker,
) {
    let mut control = ControlWorker::start(target).await;
    let mut running = None;
    for _ in 0..3 {
        if let Some(action) = running.take() {
            matching.complete(&action, "{}").await;
        }
        let run = target.try_trigger(request()).await.unwrap();
        let action = matching.next_start().await;
        assert_eq!(action.workflow_run_id, run);
        running = Some(action);
    }
    let run = target.try_trigger(request()).await.unwrap();
    control.complete_runs(target).await;
    assert!(other.waiting_action().is_none(), "assigned to a worker without the label");
    matching.complete(&running.unwrap(), "{}").await;
    let action = matching.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    matching.complete(&action, "{}").await;
    other.close().await;
    matching.close().await;
    control.close().await;
}

#[tokio::test]
async fn worker_without_required_label_gets_no_run() {
    let target = Target::start().await;
    let desired = DesiredWorkerLabels { str_value: Some("gpu".to_owned()), required: Some(true), ..Default::default() };
    let workflow =
        target.workflow_with("required", |task| task.worker_labels = [("kind".to_owned(), desired)].into()).await;
    let other = labeled(&target, &workflow, "kind", text("cpu")).await;
    let matching = labeled(&target, &workflow, "kind", text("gpu")).await;
    only_matching(&target, || workflow.request(json!({})), other, matching).await;
}

#[tokio::test]
async fn label_number_is_compared_with_the_given_operator() {
    let target = Target::start().await;
    let desired = DesiredWorkerLabels {
        int_value: Some(64),
        required: Some(true),
        comparator: Some(WorkerLabelComparator::GreaterThanOrEqual.into()),
        ..Default::default()
    };
    let workflow =
        target.workflow_with("compared", |task| task.worker_labels = [("memory".to_owned(), desired)].into()).await;
    let other = labeled(&target, &workflow, "memory", number(63)).await;
    let matching = labeled(&target, &workflow, "memory", number(64)).await;
    only_matching(&target, || workflow.request(json!({})), other, matching).await;
}

#[tokio::test]
async fn desired_labels_of_a_trigger_select_the_worker() {
    let target = Target::start().await;
    let workflow = target.workflow("desired").await;
    let other = labeled(&target, &workflow, "zone", text("a")).await;
    let matching = labeled(&target, &workflow, "zone", text("b")).await;
    let request = || {
        let desired =
            DesiredWorkerLabels { str_value: Some("b".to_owned()), required: Some(true), ..Default::default() };
        TriggerWorkflowRequest {
            desired_worker_labels: [("zone".to_owned(), desired)].into(),
            ..workflow.request(json!({}))
        }
    };
    only_matching(&target, request, other, matching).await;
}

#[tokio::test]
async fn optional_label_is_a_preference() {
    let target = Target::start().await;
    let desired = DesiredWorkerLabels { str_value: Some("gpu".to_owned()), ..Default::default() };
    let workflow =
        target.workflow_with("preferred", |task| task.worker_labels = [("kind".to_owned(), desired)].into()).await;
    let mut other = labeled(&target, &workflow, "kind", text("cpu")).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = other.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    other.complete(&action, "{}").await;
    other.close().await;
}

#[tokio::test]
async fn changed_label_makes_a_worker_eligible() {
    let target = Target::start().await;
    let desired = DesiredWorkerLabels { str_value: Some("gpu".to_owned()), required: Some(true), ..Default::default() };
    let workflow =
        target.workflow_with("upsert", |task| task.worker_labels = [("kind".to_owned(), desired)].into()).await;
    let mut worker = labeled(&target, &workflow, "kind", text("cpu")).await;
    let mut control = ControlWorker::start(&target).await;
    let run = target.trigger(&workflow, json!({})).await;
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none());
    label(&target, &worker, "kind", text("gpu")).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    worker.complete(&action, "{}").await;
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn text_has_no_order_and_no_relation_to_a_number() {
    let target = Target::start().await;
    let mut control = ControlWorker::start(&target).await;
    let by = |comparator: WorkerLabelComparator| DesiredWorkerLabels {
        str_value: Some("b".to_owned()),
        required: Some(true),
        comparator: Some(comparator.into()),
        ..Default::default()
    };
    for (base, desired, value) in [
        ("order", by(WorkerLabelComparator::GreaterThan), text("c")),
        ("number", by(WorkerLabelComparator::NotEqual), number(5)),
    ] {
        let workflow = target.workflow_with(base, |task| task.worker_labels = [("k".to_owned(), desired)].into()).await;
        let mut worker = labeled(&target, &workflow, "k", value).await;
        let run = target.trigger(&workflow, json!({})).await;
        control.complete_runs(&target).await;
        assert!(worker.waiting_action().is_none(), "{base}");
        target.cancel(&[&run]).await;
        worker.close().await;
    }
    control.close().await;
}

#[tokio::test]
async fn malformed_sticky_strategy_and_worker_id_are_rejected() {
    let target = Target::start().await;
    let mut definition = target.definition("sticky");
    definition.sticky = Some(7);
    let text = "CreateWorkflowVersionOpts.Sticky";
    assert_refused(target.try_put(&definition).await, Code::InvalidArgument, text);
    let workflow = target.workflow("plain").await;
    let request = TriggerWorkflowRequest { desired_worker_id: Some("nope".to_owned()), ..workflow.request(json!({})) };
    let text = "desiredWorkerId must be a valid UUID";
    assert_refused(target.try_trigger(request).await, Code::InvalidArgument, text);
}
