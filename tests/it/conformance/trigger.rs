//! Triggers: accepted and refused requests, and the input that the task receives.

use hatchet_quickstart::hatchet::wire::proto::{
    BulkTriggerWorkflowRequest,
    v1::{TriggerWorkflowRequest, TriggerWorkflowRunRequest},
};
use serde_json::{Value, json};
use tonic::{Code, Status};
use uuid::Uuid;

use super::deviations::Deviation;
use crate::support::{RawWorker, Target, Workflow, assert_refused};

fn with_input(workflow: &Workflow, input: &str) -> TriggerWorkflowRequest {
    TriggerWorkflowRequest { name: workflow.name.clone(), input: input.to_owned(), ..Default::default() }
}

async fn bulk(target: &Target, workflows: Vec<TriggerWorkflowRequest>) -> Result<Vec<String>, Status> {
    let request = BulkTriggerWorkflowRequest { workflows };
    Ok(target.workflows().bulk_trigger_workflow(request).await?.into_inner().workflow_run_ids)
}

/// The input of a run as its task receives it.
async fn received_input(worker: &mut RawWorker, run: &str) -> (Value, String) {
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    worker.complete(&action, "{}").await;
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    (payload["input"].clone(), action.action_payload)
}

#[tokio::test]
async fn input_that_is_not_json_is_refused() {
    let target = Target::start().await;
    let workflow = target.workflow("not-json").await;
    for input in ["{", "not json", "{\"a\":}"] {
        let text = "invalid json in field `payload`";
        assert_refused(target.try_trigger(with_input(&workflow, input)).await, Code::InvalidArgument, text);
    }
    let text = r"encoded jsonb contains invalid null character \u0000 in field `payload`";
    assert_refused(target.try_trigger(with_input(&workflow, r#"{"a":"\u0000"}"#)).await, Code::InvalidArgument, text);
}

#[tokio::test]
async fn input_that_is_not_an_object_becomes_null() {
    let target = Target::start().await;
    let workflow = target.workflow("no-object").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    for input in ["", "[1,2]", "\"text\"", "null", "5"] {
        let run = target.try_trigger(with_input(&workflow, input)).await.unwrap();
        assert_eq!(received_input(&mut worker, &run).await.0, Value::Null, "{input}");
    }
    worker.close().await;
}

#[tokio::test]
async fn input_values_are_preserved() {
    let target = Target::start().await;
    let workflow = target.workflow("values").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let input = r#"{"z":1,"a":{"u":"é<>&\"\\ 😀","n":-1.5,"t":true,"l":[null,"",{}]},"twice":1,"twice":2}"#;
    let run = target.try_trigger(with_input(&workflow, input)).await.unwrap();
    let (received, _) = received_input(&mut worker, &run).await;
    assert_eq!(
        received,
        json!({"z": 1, "a": {"u": "é<>&\"\\ 😀", "n": -1.5, "t": true, "l": [null, "", {}]}, "twice": 2})
    );
    let details = target.done(&run).await;
    assert_eq!(serde_json::from_slice::<Value>(&details.input).unwrap(), received);
    worker.close().await;
}

#[tokio::test]
async fn metadata_must_be_json() {
    let target = Target::start().await;
    let workflow = target.workflow("metadata").await;
    let with = |metadata: &str| TriggerWorkflowRequest {
        additional_metadata: Some(metadata.to_owned()),
        ..workflow.request(json!({}))
    };
    let text = "in field `additionalMetadata`";
    assert_refused(target.try_trigger(with("{")).await, Code::InvalidArgument, text);
    assert_refused(target.try_trigger(with(r#"{"a":"\u0000"}"#)).await, Code::InvalidArgument, text);

    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    for metadata in ["", "[1]"] {
        target.try_trigger(with(metadata)).await.unwrap();
        let action = worker.next_start().await;
        let seen: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
        let mut keys = seen.as_object().unwrap().keys().filter(|key| *key != "traceparent");
        assert_eq!(keys.next(), None, "{metadata}");
        worker.complete(&action, "{}").await;
    }
    worker.close().await;
}

#[tokio::test]
async fn priority_outside_1_to_3_is_refused() {
    let target = Target::start().await;
    let workflow = target.workflow("priority").await;
    for priority in [0, 4, -1] {
        let request = TriggerWorkflowRequest { priority: Some(priority), ..workflow.request(json!({})) };
        let text = format!("priority must be between 1 and 3, got {priority}");
        assert_refused(target.try_trigger(request).await, Code::InvalidArgument, &text);
    }
}

#[tokio::test]
async fn desired_worker_must_be_a_uuid() {
    let target = Target::start().await;
    let workflow = target.workflow("desired").await;
    let with =
        |id: &str| TriggerWorkflowRequest { desired_worker_id: Some(id.to_owned()), ..workflow.request(json!({})) };
    assert_refused(target.try_trigger(with("nope")).await, Code::InvalidArgument, "");
    let run = target.try_trigger(with(&Uuid::new_v4().to_string())).await.unwrap();
    // The desired worker affects sticky workflows only.
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    received_input(&mut worker, &run).await;
    worker.close().await;
}

#[tokio::test]
async fn trigger_of_unknown_workflow_creates_no_run() {
    let target = Target::start().await;
    let mut definition = target.definition("known");
    definition.name = target.name("Known");
    let workflow = target.put(&definition).await;
    for name in [target.name("unknown"), workflow.name.to_lowercase(), String::new()] {
        let request = TriggerWorkflowRequest { name: name.clone(), input: "{}".to_owned(), ..Default::default() };
        match target.try_trigger(request).await {
            // A real engine also returns this error when its fast path is busy.
            Err(status) => {
                assert_refused(
                    Err::<(), _>(status),
                    Code::InvalidArgument,
                    &format!("workflow names not found: {name}"),
                );
            }
            Ok(run) => {
                assert!(!target.deviates(Deviation::UnknownWorkflowIsRefused), "{name} was accepted");
                assert_refused(target.details(&run).await, Code::NotFound, "workflow run not found");
            }
        }
    }
}

#[tokio::test]
async fn triggered_run_is_readable_immediately() {
    let target = Target::start().await;
    let workflow = target.workflow("readable").await;
    for _ in 0..5 {
        let run = target.trigger(&workflow, json!({})).await;
        if target.deviates(Deviation::RunIsReadableImmediately) {
            target.details(&run).await.unwrap();
        } else {
            target.details_until(&run, "the run exists", |_| true).await;
        }
        target.cancel(&[&run]).await;
    }
}

#[tokio::test]
async fn bulk_trigger_returns_ids_in_order() {
    let target = Target::start().await;
    let workflow = target.workflow("bulk").await;
    let runs = bulk(&target, (0..20).map(|n| workflow.request(json!({"n": n}))).collect()).await.unwrap();
    assert_eq!(runs.len(), 20);
    let mut worker = RawWorker::start(&target, &workflow, 20).await;
    for _ in 0..20 {
        let action = worker.next_start().await;
        let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
        let n = payload["input"]["n"].as_u64().unwrap() as usize;
        assert_eq!(runs[n], action.workflow_run_id);
        worker.complete(&action, "{}").await;
    }
    worker.close().await;
}

#[tokio::test]
async fn empty_bulk_trigger_returns_no_ids() {
    let target = Target::start().await;
    assert_eq!(bulk(&target, Vec::new()).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn invalid_item_refuses_the_bulk_trigger() {
    let target = Target::start().await;
    let workflow = target.workflow("bulk-invalid").await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let items = vec![workflow.request(json!({})), with_input(&workflow, "{"), workflow.request(json!({}))];
    assert_refused(bulk(&target, items).await, Code::InvalidArgument, "invalid json in field `payload`");
    // The next assignment of the worker is a later run.
    let run = target.trigger(&workflow, json!({})).await;
    received_input(&mut worker, &run).await;
    worker.close().await;
}

async fn trigger_run(target: &Target, request: TriggerWorkflowRunRequest) -> Result<String, Status> {
    Ok(target.admin().trigger_workflow_run(request).await?.into_inner().external_id)
}

#[tokio::test]
async fn admin_service_trigger_creates_a_run() {
    let target = Target::start().await;
    let workflow = target.workflow("admin").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let request = TriggerWorkflowRunRequest {
        workflow_name: workflow.name.clone(),
        input: br#"{"a":1}"#.to_vec(),
        additional_metadata: br#"{"k":"v"}"#.to_vec(),
        priority: Some(3),
        ..Default::default()
    };
    let run = trigger_run(&target, request.clone()).await.unwrap();
    let action = worker.next_start().await;
    assert_eq!((action.workflow_run_id.as_str(), action.priority), (run.as_str(), 3));
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!(payload["input"], json!({"a": 1}));
    let metadata: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
    assert_eq!(metadata["k"], "v");
    worker.complete(&action, "{}").await;

    let text = "priority must be between 1 and 3, got 9";
    let request = TriggerWorkflowRunRequest { priority: Some(9), ..request };
    assert_refused(trigger_run(&target, request).await, Code::InvalidArgument, text);
    worker.close().await;
}
