//! Content and order of the assignments that a worker receives.

use hatchet_quickstart::hatchet::wire::proto::v1::{RunStatus, TriggerWorkflowRequest};
use serde_json::{Value, json};
use uuid::Uuid;

use super::deviations::Deviation;
use crate::support::{RawWorker, Target};

#[tokio::test]
async fn assignment_has_ids_of_run_task_and_workflow() {
    let target = Target::start().await;
    let workflow = target.workflow("fields").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let request = TriggerWorkflowRequest { priority: Some(2), ..workflow.request(json!({"a": 1})) };
    let run = target.try_trigger(request).await.unwrap();
    let action = worker.next_start().await;

    assert_eq!(action.tenant_id, target.tenant);
    for id in [&action.workflow_run_id, &action.job_run_id, &action.task_run_external_id] {
        assert_eq!(id, &run);
    }
    assert_eq!(action.job_id, action.task_id);
    Uuid::parse_str(&action.task_id).unwrap();
    assert_eq!((&action.job_name, &action.task_name), (&workflow.name, &workflow.name));
    assert_eq!(action.action_id, workflow.action);
    assert_eq!((action.retry_count, action.priority), (0, 2));
    assert_eq!(action.workflow_id.as_ref(), Some(&workflow.workflow_id));
    assert_eq!(action.workflow_version_id.as_ref(), Some(&workflow.version_id));
    assert!(action.get_group_key_run_id.is_empty());
    assert_eq!((action.child_workflow_index, action.child_workflow_key.as_ref()), (None, None));
    assert_eq!(action.parent_workflow_run_id, None);
    assert_eq!(action.durable_task_invocation_count, None);
    assert_eq!((action.triggering_event_external_id.as_ref(), action.triggering_event_key.as_ref()), (None, None));
    assert_eq!((action.batch_id.as_ref(), action.batch_start_payload.as_ref()), (None, None));
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn payload_has_input_and_trigger_source() {
    let target = Target::start().await;
    let workflow = target.workflow("payload").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    target.trigger(&workflow, json!({"a": 1, "b": {"c": [1, 2]}})).await;
    let action = worker.next_start().await;
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!(
        payload,
        json!({
            "input": {"a": 1, "b": {"c": [1, 2]}},
            "triggered_by": "manual",
            "parents": {},
            "triggers": {"filter_payload": null},
            "user_data": null,
            "overrides": null,
        })
    );
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn metadata_reaches_worker_and_run_details() {
    let target = Target::start().await;
    let workflow = target.workflow("metadata").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    let metadata = json!({"k": "v", "n": 5, "hatchet__mine": "kept", "traceparent": trace});
    let request =
        TriggerWorkflowRequest { additional_metadata: Some(metadata.to_string()), ..workflow.request(json!({})) };
    let run = target.try_trigger(request).await.unwrap();
    let action = worker.next_start().await;
    let received: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
    assert_eq!(received, metadata);
    let details = target.details_until(&run, "the run exists", |_| true).await;
    assert_eq!(serde_json::from_slice::<Value>(&details.additional_metadata).unwrap(), metadata);
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn trace_parent_is_created_when_missing() {
    let target = Target::start().await;
    let workflow = target.workflow("trace").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let metadata: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
    if target.deviates(Deviation::NoTraceParent) {
        assert_eq!(metadata, json!({}));
        worker.complete(&action, "{}").await;
        worker.close().await;
        return;
    }
    let trace = metadata["traceparent"].as_str().expect("a traceparent");
    assert_eq!(trace.split('-').map(str::len).collect::<Vec<_>>(), [2, 32, 16, 2], "{trace}");
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn task_is_running_once_assigned() {
    let target = Target::start().await;
    let workflow = target.workflow("running").await;
    let run = target.trigger(&workflow, json!({})).await;
    let details = target.details_until(&run, "the run exists", |_| true).await;
    assert_eq!((details.status(), details.done), (RunStatus::Queued, false));

    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let action = worker.next_start().await;
    let details = target.details(&run).await.unwrap();
    assert_eq!((details.status(), details.done), (RunStatus::Running, false));
    worker.started(&action).await;
    assert_eq!(target.details(&run).await.unwrap().status(), RunStatus::Running);
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn higher_priority_goes_first_and_equals_in_order() {
    let target = Target::start().await;
    let workflow = target.workflow("order").await;
    let mut runs = Vec::new();
    for priority in [1, 3, 2, 1, 3, 2, 1] {
        let request = TriggerWorkflowRequest { priority: Some(priority), ..workflow.request(json!({})) };
        runs.push((-priority, runs.len(), target.try_trigger(request).await.unwrap()));
    }
    runs.sort();
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    for (priority, _, run) in runs {
        let action = worker.next_start().await;
        assert_eq!((-action.priority, &action.workflow_run_id), (priority, &run));
        worker.complete(&action, "{}").await;
    }
    worker.close().await;
}

#[tokio::test]
async fn run_defaults_to_priority_of_its_workflow() {
    let target = Target::start().await;
    let mut definition = target.definition("default-priority");
    definition.default_priority = Some(3);
    let workflow = target.put(&definition).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.priority, 3);
    worker.complete(&action, "{}").await;
    let request = TriggerWorkflowRequest { priority: Some(1), ..workflow.request(json!({})) };
    target.try_trigger(request).await.unwrap();
    let action = worker.next_start().await;
    assert_eq!(action.priority, 1);
    worker.complete(&action, "{}").await;
    worker.close().await;
}
