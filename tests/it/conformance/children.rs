//! Child runs, and their deduplication when the parent is retried.

use std::collections::BTreeMap;

use hatchet_quickstart::hatchet::wire::proto::v1::{CreateTaskOpts, IdempotencyConfig, TriggerWorkflowRequest};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use super::deviations::{Deviation, missing};
use crate::support::{RawWorker, Target, Workflow, assert_refused};

fn child(workflow: &Workflow, parent: &str, index: Option<i32>, key: Option<&str>) -> TriggerWorkflowRequest {
    TriggerWorkflowRequest {
        parent_task_run_external_id: Some(parent.to_owned()),
        parent_id: Some(parent.to_owned()),
        child_index: index,
        child_key: key.map(str::to_owned),
        ..workflow.request(json!({}))
    }
}

#[tokio::test]
async fn child_triggered_twice_by_its_parent_is_one_run() {
    let target = Target::start().await;
    let (parents, workflow) = (target.workflow("parent").await, target.workflow("child").await);
    let parent = target.trigger(&parents, json!({})).await;
    target.details_until(&parent, "the parent exists", |_| true).await;
    let trigger = async |index, key| target.try_trigger(child(&workflow, &parent, index, key)).await.unwrap();

    let first = trigger(Some(0), None).await;
    assert_eq!(trigger(Some(0), None).await, first);
    let second = trigger(Some(1), None).await;
    assert_ne!(second, first);
    let keyed = trigger(Some(0), Some("key")).await;
    assert!(keyed != first && keyed != second);
    // A key takes precedence over an index.
    assert_eq!(trigger(Some(7), Some("key")).await, keyed);

    let other = target.trigger(&parents, json!({})).await;
    target.details_until(&other, "the parent exists", |_| true).await;
    let other_child = target.try_trigger(child(&workflow, &other, Some(0), None)).await.unwrap();
    assert_ne!(other_child, first);
    target.cancel(&[&parent, &other, &first, &second, &keyed, &other_child]).await;
}

#[tokio::test]
async fn child_assignment_names_its_parent() {
    let target = Target::start().await;
    let (parents, workflow) = (target.workflow("parent").await, target.workflow("child").await);
    let parent = target.trigger(&parents, json!({})).await;
    target.details_until(&parent, "the parent exists", |_| true).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    target.try_trigger(child(&workflow, &parent, Some(3), Some("key"))).await.unwrap();
    let action = worker.next_start().await;
    assert_eq!(action.parent_workflow_run_id.as_ref(), Some(&parent));
    assert_eq!((action.child_workflow_index, action.child_workflow_key.as_deref()), (Some(3), Some("key")));
    let metadata: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
    assert_eq!(metadata["hatchet__parent_workflow_run_id"], parent.as_str());
    assert_eq!(metadata["hatchet__parent_step_run_id"], parent.as_str());
    worker.complete(&action, "{}").await;
    worker.close().await;
    target.cancel(&[&parent]).await;
}

#[tokio::test]
async fn child_inherits_metadata_that_it_does_not_set() {
    let target = Target::start().await;
    let (parents, workflow) = (target.workflow("parent").await, target.workflow("child").await);
    let metadata = json!({ "a": "1", "b": "2", "n": 3, "hatchet__foo": "x" });
    let request =
        TriggerWorkflowRequest { additional_metadata: Some(metadata.to_string()), ..parents.request(json!({})) };
    let parent = target.try_trigger(request).await.unwrap();
    target.details_until(&parent, "the parent exists", |_| true).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let own = json!({ "b": "3", "c": "4", "hatchet__bar": "y" });
    let expected = json!({ "a": "1", "b": "3", "c": "4", "n": 3, "hatchet__bar": "y" });
    let inherited = json!({ "a": "1", "b": "2", "n": 3 });
    for (index, (own, mut expected)) in [(Some(own), expected), (None, inherited)].into_iter().enumerate() {
        let index = i32::try_from(index).unwrap();
        let request = TriggerWorkflowRequest {
            additional_metadata: own.map(|own| own.to_string()),
            ..child(&workflow, &parent, Some(index), None)
        };
        let run = target.try_trigger(request).await.unwrap();
        let action = worker.next_start().await;
        assert_eq!(action.workflow_run_id, run);
        for key in ["hatchet__parent_workflow_run_id", "hatchet__parent_step_run_id"] {
            expected[key] = json!(parent);
        }
        let mut sent: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
        if !target.deviates(Deviation::NoTraceParent) {
            sent.as_object_mut().unwrap().remove("traceparent");
        }
        assert_eq!(sent, expected);
        worker.complete(&action, "{}").await;
        let path = format!("/api/v1/stable/workflow-runs/{run}");
        let view = target.rest.get_until(&path, "the run exists", |view| view["run"].is_object()).await;
        assert_eq!(view["run"]["additionalMetadata"]["a"], "1");
    }
    worker.close().await;
    target.cancel(&[&parent]).await;
}

#[tokio::test]
async fn idempotency_key_of_child_sees_inherited_metadata() {
    let target = Target::start().await;
    let parents = target.workflow("parent").await;
    let mut definition = target.definition("keyed-child");
    definition.idempotency =
        Some(IdempotencyConfig { expression: "additional_metadata.key".to_owned(), ttl_ms: 600_000, method: None });
    let keyed = target.put(&definition).await;
    let metadata = json!({ "key": target.name("key") }).to_string();
    let request = TriggerWorkflowRequest { additional_metadata: Some(metadata), ..parents.request(json!({})) };
    let parent = target.try_trigger(request).await.unwrap();
    target.details_until(&parent, "the parent exists", |_| true).await;
    let run = target.try_trigger(child(&keyed, &parent, Some(0), None)).await.unwrap();
    let second = target.try_trigger(child(&keyed, &parent, Some(1), None)).await;
    assert_refused(second, Code::AlreadyExists, "idempotency key collision");
    target.cancel(&[&parent, &run]).await;
}

#[tokio::test]
async fn listed_child_names_its_parent_task() {
    let target = Target::start().await;
    let (parents, single) = (target.workflow("parent").await, target.workflow("single").await);
    let mut definition = target.definition("several");
    definition.tasks.push(CreateTaskOpts { readable_id: "second".to_owned(), ..definition.tasks[0].clone() });
    definition.tasks[1].action = format!("{}:second", definition.name);
    let several = target.put(&definition).await;
    // The client uses this to distinguish a run from a child that inherited its metadata.
    let metadata = Some(json!({ "case": target.name("related") }).to_string());
    let with = |request| TriggerWorkflowRequest { additional_metadata: metadata.clone(), ..request };
    let parent = target.try_trigger(with(parents.request(json!({})))).await.unwrap();
    target.details_until(&parent, "the parent exists", |_| true).await;
    let mut expected = BTreeMap::from([(parent.clone(), Value::Null)]);
    for workflow in [&single, &several] {
        let run = target.try_trigger(with(child(workflow, &parent, Some(expected.len() as i32), None))).await.unwrap();
        expected.insert(run, json!(parent));
    }
    let path = format!(
        "/api/v1/stable/tenants/{}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&additional_metadata=case:{}",
        target.tenant,
        target.name("related")
    );
    let all = |list: &Value| list["rows"].as_array().is_some_and(|rows| rows.len() == 3);
    let list = target.rest.get_until(&path, "all runs are listed", all).await;
    let row =
        |row: &Value| (row["workflowRunExternalId"].as_str().unwrap().to_owned(), row["parentTaskExternalId"].clone());
    assert_eq!(list["rows"].as_array().unwrap().iter().map(row).collect::<BTreeMap<_, _>>(), expected);
    target.cancel(&expected.keys().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn unknown_parent_is_refused() {
    let target = Target::start().await;
    let workflow = target.workflow("orphan").await;
    for id in ["nope", ""] {
        let request =
            TriggerWorkflowRequest { parent_task_run_external_id: Some(id.to_owned()), ..workflow.request(json!({})) };
        assert_refused(target.try_trigger(request).await, Code::InvalidArgument, "must be a valid UUID");
    }
    let request = TriggerWorkflowRequest {
        parent_task_run_external_id: Some(Uuid::new_v4().to_string()),
        ..workflow.request(json!({}))
    };
    missing(&target, target.try_trigger(request).await, "not found");
}

#[tokio::test]
async fn child_index_without_parent_task_is_ignored() {
    let target = Target::start().await;
    let workflow = target.workflow("free").await;
    let request = TriggerWorkflowRequest { child_index: Some(0), ..workflow.request(json!({})) };
    let first = target.try_trigger(request.clone()).await.unwrap();
    let second = target.try_trigger(request).await.unwrap();
    assert_ne!(first, second);
    let request = TriggerWorkflowRequest { parent_id: Some(Uuid::new_v4().to_string()), ..workflow.request(json!({})) };
    let third = target.try_trigger(request).await.unwrap();
    target.cancel(&[&first, &second, &third]).await;
}
