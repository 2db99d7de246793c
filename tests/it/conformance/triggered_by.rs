//! Runs triggered by an event, a schedule or a cron.

use std::time::{Duration, SystemTime};

use hatchet_quickstart::hatchet::wire::proto::{
    BulkPushEventRequest, Event, PushEventRequest, ScheduleWorkflowRequest,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::deviations::Deviation;
use crate::support::{RawWorker, Target, Workflow, assert_refused};

fn event(key: &str, payload: Value) -> PushEventRequest {
    PushEventRequest { key: key.to_owned(), payload: payload.to_string(), ..Default::default() }
}

async fn push(target: &Target, event: PushEventRequest) -> Result<Event, Status> {
    Ok(target.events().push(event).await?.into_inner())
}

/// Registers a workflow with event triggers, and starts its worker.
async fn triggered_by(target: &Target, base: &str, keys: &[&str]) -> (Workflow, RawWorker) {
    let mut definition = target.definition(base);
    definition.event_triggers = keys.iter().map(|key| target.name(key)).collect();
    let workflow = target.put(&definition).await;
    let worker = RawWorker::start(target, &workflow, 10).await;
    (workflow, worker)
}

#[tokio::test]
async fn event_triggers_run_that_names_it() {
    let target = Target::start().await;
    let (_, mut worker) = triggered_by(&target, "on-event", &["key", "wild:*"]).await;
    let sent = PushEventRequest {
        additional_metadata: Some(json!({"m": "1"}).to_string()),
        priority: Some(3),
        ..event(&target.name("key"), json!({"a": 1}))
    };
    let pushed = push(&target, sent.clone()).await.unwrap();
    assert_eq!((&pushed.key, &pushed.payload), (&sent.key, &sent.payload));
    assert_eq!(pushed.tenant_id, target.tenant);
    let action = worker.next_start().await;
    assert_eq!(action.triggering_event_external_id.as_deref(), Some(pushed.event_id.as_str()));
    assert_eq!((action.triggering_event_key.as_deref(), action.priority), (Some(sent.key.as_str()), 3));
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!((&payload["input"], &payload["triggered_by"]), (&json!({"a": 1}), &json!("manual")));
    let metadata: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
    assert_eq!((&metadata["m"], &metadata["hatchet__event_id"]), (&json!("1"), &json!(pushed.event_id)));
    assert_eq!(metadata["hatchet__event_key"], json!(sent.key));
    worker.complete(&action, "{}").await;

    push(&target, event(&target.name("other"), json!({}))).await.unwrap();
    push(&target, event(&target.name("wild:a:b"), json!({"wild": true}))).await.unwrap();
    let action = worker.next_start().await;
    assert_eq!(action.triggering_event_key, Some(target.name("wild:a:b")));
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn bulk_events_are_all_or_nothing() {
    let target = Target::start().await;
    let (_, mut worker) = triggered_by(&target, "in-bulk", &["key"]).await;
    let bulk = async |events| target.events().bulk_push(BulkPushEventRequest { events }).await;
    assert_refused(bulk(Vec::new()).await, Code::InvalidArgument, "No events to ingest");
    let valid = event(&target.name("key"), json!({"n": 1}));
    assert_refused(bulk(vec![valid.clone(); 1001]).await, Code::InvalidArgument, "too many events");
    let invalid = PushEventRequest { payload: "nope".to_owned(), ..valid.clone() };
    assert_refused(bulk(vec![invalid.clone()]).await, Code::InvalidArgument, "");
    assert_refused(push(&target, invalid).await, Code::InvalidArgument, "");
    let pushed = bulk(vec![valid.clone(), valid]).await.unwrap().into_inner();
    assert_eq!(pushed.events.len(), 2);
    for _ in 0..2 {
        let action = worker.next_start().await;
        assert!(pushed.events.iter().any(|e| Some(&e.event_id) == action.triggering_event_external_id.as_ref()));
        worker.complete(&action, "{}").await;
    }
    worker.close().await;
}

#[tokio::test]
async fn scheduled_run_starts_at_its_time() {
    let target = Target::start().await;
    let workflow = target.workflow("scheduled").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let time = SystemTime::now() + Duration::from_secs(1);
    let request = ScheduleWorkflowRequest {
        name: workflow.name.clone(),
        schedules: vec![time.into()],
        input: json!({"s": 1}).to_string(),
        ..Default::default()
    };
    let version = target.workflows().schedule_workflow(request.clone()).await.unwrap().into_inner();
    assert_eq!((&version.id, &version.workflow_id), (&workflow.version_id, &workflow.workflow_id));
    assert_eq!(version.scheduled_workflows.len(), 1);
    let action = worker.next_start().await;
    assert!(SystemTime::now() >= time, "too early");
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!(payload["input"], json!({"s": 1}));
    worker.complete(&action, "{}").await;
    worker.close().await;

    let unknown = ScheduleWorkflowRequest { name: target.name("nowhere"), ..request };
    assert_refused(target.workflows().schedule_workflow(unknown).await, Code::NotFound, "workflow not found");
}

#[tokio::test]
async fn cron_is_created_read_and_deleted() {
    let target = Target::start().await;
    let mut definition = target.definition("timed");
    definition.cron_triggers = vec!["not a cron".to_owned()];
    assert_refused(target.try_put(&definition).await, Code::InvalidArgument, "");
    definition.cron_triggers = vec!["0 0 1 1 *".to_owned()];
    let workflow = target.put(&definition).await;
    let tenant = &target.tenant;
    let crons = format!("/api/v1/tenants/{tenant}/workflows/crons?workflowId={}", workflow.workflow_id);
    let (status, body) = target.rest.get(&crons).await;
    assert_eq!(status, 200, "{body}");
    let row = &body["rows"][0];
    assert_eq!(
        (&row["cron"], &row["method"], &row["workflowName"]),
        (&json!("0 0 1 1 *"), &json!("DEFAULT"), &json!(workflow.name))
    );
    let one = format!("/api/v1/tenants/{tenant}/workflows/crons/{}", row["metadata"]["id"].as_str().unwrap());
    assert_eq!(target.rest.get(&one).await.1["cron"], json!("0 0 1 1 *"));

    // A declared cron can be deleted too: a new version of the workflow recreates it, the same definition does not.
    let listed = async || target.rest.get(&crons).await.1["rows"].as_array().map_or(0, Vec::len);
    assert_eq!(target.rest.delete(&one).await.0, 204);
    assert_eq!(listed().await, 0);
    target.put(&definition).await;
    assert_eq!(listed().await, 0);
    definition.description = "another".to_owned();
    target.put(&definition).await;
    assert_eq!(listed().await, 1);
    definition.cron_triggers.clear();
    target.put(&definition).await;
    assert_eq!(listed().await, 0);
}

#[tokio::test]
async fn triggered_schedule_is_deleted() {
    let target = Target::start().await;
    let workflow = target.workflow("triggered").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let schedules = format!("/api/v1/tenants/{}/workflows/scheduled", target.tenant);
    let list = format!("{schedules}?workflowId={}", workflow.workflow_id);
    let schedule = async |time: &str| {
        let path = format!("/api/v1/tenants/{}/workflows/{}/scheduled", target.tenant, workflow.name);
        let (status, body) = target.rest.post(&path, json!({ "triggerAt": time, "input": {} })).await;
        assert_eq!(status, 200, "{body}");
        format!("{schedules}/{}", body["metadata"]["id"].as_str().unwrap())
    };
    let later = schedule("2099-01-01T00:00:00Z").await;
    let soon = prost_types::Timestamp::from(SystemTime::now() + Duration::from_secs(1)).to_string();
    let soon = schedule(&soon).await;
    let action = worker.next_start().await;
    let left = |list: &Value| list["rows"].as_array().is_some_and(|rows| rows.len() == 1);
    let listed = target.rest.get_until(&list, "the schedule is deleted", left).await;
    assert!(later.ends_with(listed["rows"][0]["metadata"]["id"].as_str().unwrap()), "{listed}");
    assert_eq!(target.rest.get(&soon).await.0, 404);
    assert_eq!(target.rest.delete(&soon).await.0, 404);
    let again = json!({ "triggerAt": "2099-01-01T00:00:00Z" });
    assert_eq!(target.rest.patch(&soon, again).await.0, 404);
    let with_status = async |status: &str| {
        let (_, list) = target.rest.get(&format!("{list}&statuses={status}")).await;
        list["rows"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((with_status("SCHEDULED").await, with_status("RUNNING").await), (1, 0));
    worker.complete(&action, "{}").await;
    assert_eq!(target.rest.delete(&later).await.0, 204);
    worker.close().await;
}

#[tokio::test]
async fn schedule_is_triggered_out_of_turn() {
    let target = Target::start().await;
    let workflow = target.workflow("out-of-turn").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let schedules = format!("/api/v1/tenants/{}/workflows", target.tenant);
    let request = json!({
        "triggerAt": "2099-01-01T00:00:00Z", "input": {"z": 1}, "additionalMetadata": {"k": "v"}, "priority": 3,
    });
    let (status, body) = target.rest.post(&format!("{schedules}/{}/scheduled", workflow.name), request).await;
    assert_eq!(status, 200, "{body}");
    let one = format!("{schedules}/scheduled/{}", body["metadata"]["id"].as_str().unwrap());
    assert_eq!(
        (&body["method"], &body["workflowRunName"], &body["workflowRunCreatedAt"]),
        (&json!("API"), &json!(""), &json!("0001-01-01T00:00:00Z")),
        "{body}"
    );
    assert_eq!((body.get("workflowRunId"), body.get("workflowRunStatus")), (None, None), "{body}");
    assert_eq!(target.rest.get(&one).await, (200, body));
    let (status, result) = target.rest.post(&one, json!({})).await;
    assert_eq!(status, 200, "{result}");
    let action = worker.next_start().await;
    assert_eq!((&result["externalId"], action.priority), (&json!(action.workflow_run_id), 3));
    let metadata: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
    assert_eq!(metadata["k"], "v");
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!(payload["input"], json!({"z": 1}));
    // The schedule is deleted.
    assert_eq!(target.rest.get(&one).await.0, 404);
    assert_eq!(target.rest.post(&one, json!({})).await.0, 404);
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn event_is_pushed_over_rest() {
    let target = Target::start().await;
    let (_, mut worker) = triggered_by(&target, "on-rest-event", &["rest"]).await;
    let events = format!("/api/v1/tenants/{}/events", target.tenant);
    let sent = json!({
        "key": target.name("rest"), "data": {"a": 1}, "additionalMetadata": {"m": "1"}, "priority": 3, "scope": "s",
    });
    let (status, pushed) = target.rest.post(&events, sent.clone()).await;
    if target.deviates(Deviation::EventIsPushedOverRest) {
        assert_eq!((status, &pushed["key"], &pushed["scope"]), (200, &sent["key"], &json!("s")), "{pushed}");
        let action = worker.next_start().await;
        assert_eq!(
            (action.triggering_event_external_id.as_deref(), action.priority),
            (pushed["metadata"]["id"].as_str(), 3)
        );
        let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
        assert_eq!(payload["input"], json!({"a": 1}));
        worker.complete(&action, "{}").await;
        for (field, invalid) in [
            ("key", json!("")),
            ("key", json!(null)),
            ("data", json!([1])),
            ("priority", json!(9)),
            ("additionalMetadata", json!("x")),
        ] {
            let mut event = sent.clone();
            event[field] = invalid;
            let (status, refusal) = target.rest.post(&events, event).await;
            assert_eq!(status, 400, "{field}: {refusal}");
            assert!(refusal["message"].as_str().is_some_and(|text| text.contains(field)), "{field}: {refusal}");
        }
    } else {
        assert_eq!(status, 400, "{pushed}");
    }
    worker.close().await;
}
