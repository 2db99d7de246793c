//! Pause and deletion of workflows, their versions, and figures about runs.

use hatchet_quickstart::hatchet::wire::proto::{PushEventRequest, v1::RunStatus};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use super::deviations::Deviation;
use crate::support::{ControlWorker, RawWorker, Target, Workflow, assert_refused, eventually};

fn path(workflow: &Workflow) -> String {
    format!("/api/v1/workflows/{}", workflow.workflow_id)
}

fn pause(ttl: &str) -> Value {
    json!({"pause": {
        "action": "pause", "pausedWorkflowCronRunQueueBehavior": "QUEUE",
        "pausedWorkflowScheduledRunQueueBehavior": "DROP", "pausedWorkflowQueueTTL": ttl,
    }})
}

fn unpause() -> Value {
    json!({"pause": {"action": "unpause"}})
}

#[tokio::test]
async fn paused_workflow_queues_runs_until_it_is_resumed() {
    let target = Target::start().await;
    let workflow = target.workflow("paused").await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let mut control = ControlWorker::start(&target).await;
    let (status, shown) = target.rest.patch(&path(&workflow), pause("1h")).await;
    assert_eq!((status, &shown["isPaused"]), (200, &json!(true)), "{shown}");
    assert_eq!(shown["pausedWorkflowCronRunQueueBehavior"], "QUEUE");
    assert_eq!(shown["pausedWorkflowScheduledRunQueueBehavior"], "DROP");
    assert_eq!(target.rest.get(&path(&workflow)).await.1["isPaused"], true);
    let run = target.trigger(&workflow, json!({})).await;
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none());
    assert_eq!(target.details(&run).await.unwrap().status(), RunStatus::Queued);
    let (status, shown) = target.rest.patch(&path(&workflow), unpause()).await;
    assert_eq!((status, &shown["isPaused"]), (200, &json!(false)), "{shown}");
    assert_eq!(shown.get("pausedWorkflowCronRunQueueBehavior"), None);
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    control.close().await;
    worker.close().await;
}

#[tokio::test]
async fn time_to_live_of_pause_cancels_queued_runs() {
    let target = Target::start().await;
    let workflow = target.workflow("expiring").await;
    assert_eq!(target.rest.patch(&path(&workflow), pause("1s")).await.0, 200);
    let run = target.trigger(&workflow, json!({})).await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Cancelled);
}

#[tokio::test]
async fn invalid_pause_is_refused() {
    let target = Target::start().await;
    let workflow = target.workflow("unpaused").await;
    assert_eq!(target.rest.patch(&format!("/api/v1/workflows/{}", Uuid::new_v4()), unpause()).await.0, 404);
    assert_eq!(target.rest.patch("/api/v1/workflows/nope", unpause()).await.0, 400);
    assert_eq!(target.rest.patch(&path(&workflow), pause("7d")).await.0, 200);
    // A real engine accepts any time to live, and answers 500 to the others.
    if target.deviates(Deviation::InvalidPauseIsRefused) {
        let mut behavior = pause("1h");
        behavior["pause"]["pausedWorkflowCronRunQueueBehavior"] = json!("NO");
        for body in [pause(""), pause("1x"), behavior, json!({}), json!({"pause": {"action": "stop"}})] {
            assert_eq!(target.rest.patch(&path(&workflow), body.clone()).await.0, 400, "{body}");
        }
    }
}

#[tokio::test]
async fn deleted_workflow_is_unknown_and_its_runs_remain() {
    let target = Target::start().await;
    let mut definition = target.definition("deleted");
    definition.event_triggers = vec![target.name("key")];
    let workflow = target.put(&definition).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    target.done(&run).await;
    assert_eq!(target.rest.delete(&path(&workflow)).await.0, 204);
    assert_eq!(target.rest.delete(&path(&workflow)).await.0, 404);
    assert_eq!(target.rest.get(&path(&workflow)).await.0, 404);
    assert_eq!(target.details(&run).await.unwrap().status(), RunStatus::Completed);
    if target.deviates(Deviation::UnknownWorkflowIsRefused) {
        let result = target.try_trigger(workflow.request(json!({}))).await;
        assert_refused(result, Code::InvalidArgument, "workflow names not found");
    }
    let mut control = ControlWorker::start(&target).await;
    let event = PushEventRequest { key: target.name("key"), payload: "{}".to_owned(), ..Default::default() };
    target.events().push(event).await.unwrap();
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none());
    let again = target.put(&definition).await;
    assert_ne!((again.workflow_id, again.version_id), (workflow.workflow_id, workflow.version_id));
    control.close().await;
    worker.close().await;
}

#[tokio::test]
async fn versions_of_workflow_are_shown() {
    let target = Target::start().await;
    let mut definition = target.definition("versioned");
    definition.event_triggers = vec![target.name("key")];
    definition.default_priority = Some(2);
    // An engine ignores the declared name of a version.
    definition.version = "declared".to_owned();
    let workflow = target.put(&definition).await;
    let versions = format!("{}/versions", path(&workflow));
    let (status, shown) = target.rest.get(&versions).await;
    assert_eq!((status, &shown["metadata"]["id"]), (200, &json!(workflow.version_id)), "{shown}");
    assert_eq!((&shown["defaultPriority"], &shown["scheduleTimeout"]), (&json!(2), &json!("5m")));
    assert_eq!(shown["version"], "");
    let (_, listed) = target.rest.get(&path(&workflow)).await;
    assert_eq!(listed["versions"][0]["version"], "", "{listed}");
    assert_eq!(shown["triggers"]["events"][0]["event_key"], json!(target.name("key")));
    assert_eq!(shown["workflow"]["name"], json!(workflow.name));
    assert_eq!(shown["workflowConfig"]["Tasks"][0]["ReadableId"], json!(workflow.name));
    let (_, same) = target.rest.get(&format!("{versions}?version={}", workflow.version_id)).await;
    assert_eq!(same["metadata"]["id"], shown["metadata"]["id"]);
    assert_eq!(target.rest.get(&format!("{versions}?version={}", Uuid::new_v4())).await.0, 404);
    assert_eq!(target.rest.get(&format!("/api/v1/workflows/{}/versions", Uuid::new_v4())).await.0, 404);
}

#[tokio::test]
async fn names_and_times_of_runs_are_listed() {
    let target = Target::start().await;
    let workflow = target.workflow("timed").await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    target.done(&run).await;
    let names = format!("/api/v1/stable/tenants/{}/workflow-runs/display-names", target.tenant);
    let list = target
        .rest
        .get_until(&format!("{names}?external_ids={run}&external_ids={}", Uuid::new_v4()), "the name", |list| {
            list["rows"].as_array().is_some_and(|rows| rows.len() == 1)
        })
        .await;
    let row = &list["rows"][0];
    assert_eq!(
        (&row["metadata"]["id"], row["displayName"].as_str().unwrap().rsplit_once('-').unwrap().0),
        (&json!(run), workflow.name.as_str())
    );
    assert_eq!(target.rest.get(&names).await.0, 400);
    let timings = format!("/api/v1/stable/workflow-runs/{run}/task-timings");
    let list = target.rest.get_until(&timings, "the end", |list| list["rows"][0]["finishedAt"].is_string()).await;
    let row = &list["rows"][0];
    assert_eq!((&row["taskExternalId"], &row["status"], &row["depth"]), (&json!(run), &json!("COMPLETED"), &json!(0)));
    assert_eq!((&row["attempt"], &row["retryCount"], &row["workflowRunId"]), (&json!(1), &json!(0), &json!(run)));
    assert!(row["queuedAt"].is_string(), "{row}");
    let missing = format!("/api/v1/stable/workflow-runs/{}/task-timings", Uuid::new_v4());
    assert_eq!(target.rest.get(&missing).await.0, 404);
    worker.close().await;
}

#[tokio::test]
async fn payload_of_event_is_shown_as_text() {
    let target = Target::start().await;
    let event = PushEventRequest { key: target.name("data"), payload: r#"{"n": 1}"#.to_owned(), ..Default::default() };
    let id = target.events().push(event).await.unwrap().into_inner().event_id;
    let shown = target.rest.get_until(&format!("/api/v1/events/{id}/data"), "the event", |_| true).await;
    assert_eq!(shown, json!({"data": r#"{"n": 1}"#}));
    assert_eq!(target.rest.get(&format!("/api/v1/events/{}/data", Uuid::new_v4())).await.0, 404);
}

#[tokio::test]
async fn queued_tasks_are_counted_by_queue_and_name() {
    let target = Target::start().await;
    let workflow = target.workflow("counted").await;
    target.trigger(&workflow, json!({})).await;
    let queue_metrics = format!("/api/v1/tenants/{}/step-run-queue-metrics", target.tenant);
    let action = workflow.action.to_lowercase();
    let has_queue = |metrics: &Value| metrics["queues"].get(&action).is_some_and(|count| *count == 1);
    target.rest.get_until(&queue_metrics, "the queue", has_queue).await;
    let stats = format!("/api/v1/tenants/{}/task-stats", target.tenant);
    let name = &workflow.name;
    let stats = target.rest.get_until(&stats, "the task", |stats| stats[name]["queued"]["total"] == 1).await;
    assert_eq!(stats[name]["queued"]["queues"], json!({ action: 1 }));
    assert!(stats[name]["queued"]["oldest"].is_string(), "{stats}");
}

#[tokio::test]
async fn cron_is_triggered_out_of_turn() {
    let target = Target::start().await;
    let workflow = target.workflow("out-of-turn").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let crons = format!("/api/v1/tenants/{}/workflows/{}/crons", target.tenant, workflow.name);
    let body = json!({
        "cronName": "yearly", "cronExpression": "0 0 1 1 *", "input": {"z": 1}, "additionalMetadata": {"k": "v"},
    });
    let (_, cron) = target.rest.post(&crons, body).await;
    let cron = cron["metadata"]["id"].as_str().unwrap().to_owned();
    let one = format!("/api/v1/tenants/{}/workflows/crons/{cron}", target.tenant);
    let (status, result) = target.rest.post(&one, json!({})).await;
    assert_eq!(status, 200, "{result}");
    let action = worker.next_start().await;
    assert_eq!(result["externalId"], json!(action.workflow_run_id));
    let metadata: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
    assert_eq!((&metadata["k"], &metadata["hatchet__cron_name"]), (&json!("v"), &json!("yearly")));
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!(payload["input"], json!({"z": 1}));
    worker.complete(&action, "{}").await;
    if target.is_embedded() {
        let missing = format!("/api/v1/tenants/{}/workflows/crons/{}", target.tenant, Uuid::new_v4());
        assert_eq!(target.rest.post(&missing, json!({})).await.0, 404);
    }
    worker.close().await;
}

#[tokio::test]
async fn traces_are_accepted() {
    let target = Target::start().await;
    let mut client = tonic::client::Grpc::new(target.channel());
    eventually("the connection", async || client.ready().await.ok()).await;
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    );
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    match client.unary(tonic::Request::new(()), path, codec).await {
        Ok(_) => {}
        // A real engine serves traces only if its observability is enabled.
        Err(status) => assert!(!target.is_embedded() && status.code() == Code::Unimplemented, "{status:?}"),
    }
}
