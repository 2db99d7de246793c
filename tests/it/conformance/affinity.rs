//! Labels that a task asks of its worker.

use std::collections::HashMap;

use hatchet_quickstart::hatchet::wire::proto::{
    UpsertWorkerLabelsRequest, WorkerLabels,
    v1::{DesiredWorkerLabels, TriggerWorkflowRequest, WorkerLabelComparator},
};
use serde_json::json;

use tonic::Code;

use super::deviations::Deviation;
use crate::support::{Bystander, Flow, RawWorker, Target, refused};

/// Whether the engine serves labels. One that does not has to say so when it is asked for them.
async fn served(target: &Target) -> bool {
    if !target.deviates(Deviation::LabelsAreRefused) {
        return true;
    }
    let wanted = DesiredWorkerLabels { str_value: Some("x".to_owned()), ..Default::default() };
    let mut definition = target.definition("labels");
    definition.tasks[0].worker_labels = [("kind".to_owned(), wanted.clone())].into();
    refused(target.try_put(&definition).await, Code::InvalidArgument, "worker_labels");
    let flow = target.flow("plain").await;
    let request = TriggerWorkflowRequest {
        desired_worker_labels: [("kind".to_owned(), wanted)].into(),
        ..flow.request(json!({}))
    };
    refused(target.try_trigger(request).await, Code::InvalidArgument, "desired_worker_labels");
    false
}

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

/// A worker with this label, listening.
async fn labelled(target: &Target, flow: &Flow, key: &str, value: WorkerLabels) -> RawWorker {
    let mut worker = RawWorker::register(target, "worker", &[&flow.action], &[("default", 1)]).await;
    label(target, &worker, key, value).await;
    worker.listen();
    worker
}

/// Three runs go to `right`, which holds the last one; one more waits for it although `wrong` is free.
async fn only_right(
    target: &Target,
    request: impl Fn() -> TriggerWorkflowRequest,
    mut wrong: RawWorker,
    mut right: RawWorker,
) {
    let mut bystander = Bystander::start(target).await;
    let mut held = None;
    for _ in 0..3 {
        if let Some(action) = held.take() {
            right.complete(&action, "{}").await;
        }
        let run = target.try_trigger(request()).await.unwrap();
        let action = right.next_start().await;
        assert_eq!(action.workflow_run_id, run);
        held = Some(action);
    }
    let run = target.try_trigger(request()).await.unwrap();
    bystander.pass(target).await;
    assert!(wrong.waiting_action().is_none(), "assigned to a worker without the label");
    right.complete(&held.unwrap(), "{}").await;
    let action = right.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    right.complete(&action, "{}").await;
    wrong.close().await;
    right.close().await;
    bystander.close().await;
}

#[tokio::test]
async fn worker_without_required_label_gets_no_run() {
    let target = Target::start().await;
    if !served(&target).await {
        return;
    }
    let wanted = DesiredWorkerLabels { str_value: Some("gpu".to_owned()), required: Some(true), ..Default::default() };
    let flow = target.flow_with("required", |task| task.worker_labels = [("kind".to_owned(), wanted)].into()).await;
    let wrong = labelled(&target, &flow, "kind", text("cpu")).await;
    let right = labelled(&target, &flow, "kind", text("gpu")).await;
    only_right(&target, || flow.request(json!({})), wrong, right).await;
}

#[tokio::test]
async fn label_number_is_compared_with_the_given_operator() {
    let target = Target::start().await;
    if !served(&target).await {
        return;
    }
    let wanted = DesiredWorkerLabels {
        int_value: Some(64),
        required: Some(true),
        comparator: Some(WorkerLabelComparator::GreaterThanOrEqual.into()),
        ..Default::default()
    };
    let flow = target.flow_with("compared", |task| task.worker_labels = [("memory".to_owned(), wanted)].into()).await;
    let wrong = labelled(&target, &flow, "memory", number(63)).await;
    let right = labelled(&target, &flow, "memory", number(64)).await;
    only_right(&target, || flow.request(json!({})), wrong, right).await;
}

#[tokio::test]
async fn desired_labels_of_a_trigger_select_the_worker() {
    let target = Target::start().await;
    if !served(&target).await {
        return;
    }
    let flow = target.flow("asked").await;
    let wrong = labelled(&target, &flow, "zone", text("a")).await;
    let right = labelled(&target, &flow, "zone", text("b")).await;
    let request = || {
        let wanted =
            DesiredWorkerLabels { str_value: Some("b".to_owned()), required: Some(true), ..Default::default() };
        TriggerWorkflowRequest {
            desired_worker_labels: [("zone".to_owned(), wanted)].into(),
            ..flow.request(json!({}))
        }
    };
    only_right(&target, request, wrong, right).await;
}

#[tokio::test]
async fn optional_label_is_a_preference() {
    let target = Target::start().await;
    if !served(&target).await {
        return;
    }
    let wanted = DesiredWorkerLabels { str_value: Some("gpu".to_owned()), ..Default::default() };
    let flow = target.flow_with("wished", |task| task.worker_labels = [("kind".to_owned(), wanted)].into()).await;
    let mut other = labelled(&target, &flow, "kind", text("cpu")).await;
    let run = target.trigger(&flow, json!({})).await;
    let action = other.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    other.complete(&action, "{}").await;
    other.close().await;
}
