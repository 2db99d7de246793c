//! The part of the REST API that this project's client uses.

use hatchet_quickstart::hatchet::wire::proto::v1::TriggerWorkflowRequest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::deviations::Deviation;
use crate::support::{RawWorker, Target};

#[tokio::test]
async fn call_without_valid_token_is_forbidden() {
    let target = Target::start().await;
    let unauthenticated = target.rest.with_token("garbage");
    let (status, _) = unauthenticated.get(&format!("/api/v1/tenants/{}/worker", target.tenant)).await;
    assert!([401, 403].contains(&status), "{status}");
    let (status, _) = target.rest.get(&format!("/api/v1/tenants/{}/worker", Uuid::new_v4())).await;
    assert!([401, 403, 404].contains(&status), "{status}");
}

#[tokio::test]
async fn worker_list_has_worker_with_status() {
    let target = Target::start().await;
    let workflow = target.workflow("listed").await;
    let mut worker = RawWorker::start(&target, &workflow, 7).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, run);

    let list = format!("/api/v1/tenants/{}/worker", target.tenant);
    let listed = target
        .rest
        .get_until(&list, "the worker is listed", |body| {
            body["rows"].as_array().is_some_and(|rows| rows.iter().any(|row| row["metadata"]["id"] == *worker.id))
        })
        .await;
    let row = listed["rows"].as_array().unwrap().iter().find(|row| row["metadata"]["id"] == *worker.id).unwrap();
    assert_eq!(row["name"], *worker.name);
    assert_eq!(row["status"], "ACTIVE");
    assert_eq!(row["actions"], json!([workflow.action]));
    assert!(row["lastHeartbeatAt"].is_string(), "{row}");

    let path = format!("/api/v1/workers/{}", worker.id);
    let view =
        target.rest.get_until(&path, "one slot is used", |view| view["slotConfig"]["default"]["available"] == 6).await;
    assert_eq!(view["slotConfig"]["default"]["limit"], 7);
    assert_eq!(view["status"], "ACTIVE");
    worker.complete(&action, "{}").await;
    target.rest.get_until(&path, "the slot is free", |view| view["slotConfig"]["default"]["available"] == 7).await;

    let id = worker.id.clone();
    worker.close().await;
    target
        .rest
        .get_until(&format!("/api/v1/workers/{id}"), "the worker is inactive", |view| view["status"] == "INACTIVE")
        .await;
}

#[tokio::test]
async fn paused_worker_is_inactive_after_it_has_stopped() {
    let target = Target::start().await;
    let workflow = target.workflow("stopped").await;
    let worker = RawWorker::start(&target, &workflow, 1).await;
    let id = worker.id.clone();
    let path = format!("/api/v1/workers/{id}");
    // SDKs pause a worker before they stop it.
    target.rest.get_until(&path, "the worker is active", |view| view["status"] == "ACTIVE").await;
    assert_eq!(target.rest.patch(&path, json!({ "isPaused": true })).await.0, 200);
    target.rest.get_until(&path, "the worker is paused", |view| view["status"] == "PAUSED").await;
    worker.close().await;
    let list = format!("/api/v1/tenants/{}/worker", target.tenant);
    let row = |list: &Value| {
        let mut rows = list["rows"].as_array().into_iter().flatten();
        rows.find(|row| row["metadata"]["id"] == *id).cloned()
    };
    let is_inactive = |list: &Value| row(list).is_some_and(|row| row["status"] == "INACTIVE");
    let listed = row(&target.rest.get_until(&list, "the worker is inactive", is_inactive).await).unwrap();
    for time in [&listed["metadata"]["createdAt"], &listed["lastHeartbeatAt"]] {
        assert!(time.is_string(), "{listed}");
    }
}

#[tokio::test]
async fn workflow_counts_its_workers() {
    let target = Target::start().await;
    let workflow = target.workflow("counted").await;
    let path = format!("/api/v1/tenants/{}/workflows/{}/worker-count", target.tenant, workflow.workflow_id);
    let mut worker = RawWorker::start(&target, &workflow, 5).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    if !target.deviates(Deviation::WorkersOfWorkflowAreCounted) {
        assert_eq!(target.rest.get(&path).await.0, 500);
        worker.complete(&action, "{}").await;
        worker.close().await;
        return;
    }
    let count = target.rest.get_until(&path, "the worker is counted", |count| count["maxSlotCount"] == 5).await;
    assert_eq!(count["freeSlotCount"], 4, "{count}");
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn run_is_returned_by_rest() {
    let target = Target::start().await;
    let workflow = target.workflow("read").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({"a": 1})).await;
    let action = worker.next_start().await;
    let (path, status) = (format!("/api/v1/stable/workflow-runs/{run}"), "/status");
    target.rest.get_until(&format!("{path}{status}"), "the run is running", |status| status == "RUNNING").await;
    worker.complete(&action, r#"{"n":1}"#).await;
    target.rest.get_until(&format!("{path}{status}"), "the run is completed", |status| status == "COMPLETED").await;
    let view = target.rest.get_until(&path, "the run is completed", |view| view["run"]["status"] == "COMPLETED").await;
    let view = &view["run"];
    assert_eq!(view["metadata"]["id"], *run);
    assert_eq!(view["output"], json!({"n": 1}));
    assert_eq!(view["input"]["input"], json!({"a": 1}));
    assert_eq!(view["workflowId"], *workflow.workflow_id);
    assert_eq!(view["tenantId"], *target.tenant);
    for time in ["createdAt", "startedAt", "finishedAt"] {
        assert!(view[time].is_string(), "{time}: {view}");
    }
    worker.close().await;
}

#[tokio::test]
async fn failed_run_has_its_error_over_rest() {
    let target = Target::for_failures().await;
    let workflow = target.workflow("failed").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.fail(&action, "it broke").await;
    let path = format!("/api/v1/stable/workflow-runs/{run}");
    let view = target.rest.get_until(&path, "the run is failed", |view| view["run"]["status"] == "FAILED").await;
    assert_eq!(view["run"]["errorMessage"], "it broke");
    worker.close().await;
}

#[tokio::test]
async fn runs_are_listed_by_metadata() {
    let target = Target::start().await;
    let workflow = target.workflow("runs").await;
    let with = |value: &str| TriggerWorkflowRequest {
        additional_metadata: Some(json!({ "case": target.name(value) }).to_string()),
        ..workflow.request(json!({}))
    };
    let hit = target.try_trigger(with("hit")).await.unwrap();
    let miss = target.try_trigger(with("miss")).await.unwrap();
    let path = format!(
        "/api/v1/stable/tenants/{}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&additional_metadata=case:{}",
        target.tenant,
        target.name("hit")
    );
    let list = target
        .rest
        .get_until(&path, "the run is listed", |list| list["rows"].as_array().is_some_and(|rows| !rows.is_empty()))
        .await;
    let rows = list["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{list}");
    assert_eq!((&rows[0]["metadata"]["id"], &rows[0]["status"]), (&json!(hit), &json!("QUEUED")));
    assert_eq!(rows[0]["workflowName"], *workflow.name);
    assert_eq!(rows[0]["additionalMetadata"]["case"], target.name("hit"));
    target.cancel(&[&hit, &miss]).await;
}

#[tokio::test]
async fn payload_that_is_not_an_object_is_refused() {
    let target = Target::start().await;
    let workflow = target.workflow("payload").await;
    let workflows = format!("/api/v1/tenants/{}/workflows", target.tenant);
    let trigger = format!("/api/v1/stable/tenants/{}/workflow-runs/trigger", target.tenant);
    let routes = [
        (trigger.clone(), json!({ "workflowName": workflow.name })),
        (format!("{workflows}/{}/scheduled", workflow.name), json!({ "triggerAt": "2099-01-01T00:00:00Z" })),
        (format!("{workflows}/{}/crons", workflow.name), json!({ "cronName": "n", "cronExpression": "0 0 1 1 *" })),
    ];
    for (path, fields) in &routes {
        for invalid in [json!([1]), json!([]), json!("x"), json!(5), json!(true)] {
            for field in ["input", "additionalMetadata"] {
                let mut body = fields.clone();
                (body["input"], body["additionalMetadata"]) = (json!({}), json!({}));
                body[field] = invalid.clone();
                let (status, response) = target.rest.post(path, body).await;
                let message = response["message"].as_str().unwrap_or_default();
                assert!(status == 400 && message.contains(field), "{path} {field} {invalid}: {status} {response}");
            }
        }
    }
    // Null and a missing field mean no input and no metadata.
    for body in
        [json!({ "workflowName": workflow.name, "input": null, "additionalMetadata": null }), routes[0].1.clone()]
    {
        let (status, run) = target.rest.post(&trigger, body).await;
        assert_eq!((status, &run["run"]["input"]["input"]), (200, &json!(null)), "{run}");
        target.cancel(&[run["run"]["metadata"]["id"].as_str().unwrap()]).await;
    }
}

#[tokio::test]
async fn unknown_resource_is_named_in_error_body() {
    let target = Target::start().await;
    let id = Uuid::new_v4();
    for (path, status, message) in [
        (format!("/api/v1/workers/{id}"), 404, "not found"),
        (format!("/api/v1/stable/workflow-runs/{id}"), 404, "not found"),
        (format!("/api/v1/stable/workflow-runs/{id}/status"), 404, "not found"),
        ("/api/v1/stable/workflow-runs/nope/status".to_owned(), 400, "invalid workflow run id"),
        ("/api/v1/workers/nope".to_owned(), 400, "invalid worker id"),
    ] {
        let (actual, body) = target.rest.get(&path).await;
        assert_eq!((actual, body["message"].as_str()), (status, Some(message)), "{path}");
    }
}
