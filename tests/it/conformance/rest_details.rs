//! Runs and tasks over REST: the fields of their details.

use hatchet_quickstart::hatchet::wire::proto::v1::{
    CreateTaskOpts, CreateWorkflowVersionRequest, IdempotencyConfig, RunStatus,
};
use serde_json::{Value, json};

use super::multi_task::{dag, next_two, worker};
use crate::support::{RawWorker, Target, Workflow};

/// The details of a run in a final status.
async fn finished_details(target: &Target, run: &str) -> Value {
    target.done(run).await;
    let is_finished = |view: &Value| {
        let tasks = view["tasks"].as_array().into_iter().flatten();
        tasks.chain([&view["run"]]).all(|part| !["QUEUED", "RUNNING"].map(Value::from).contains(&part["status"]))
    };
    target.rest.get_until(&format!("/api/v1/stable/workflow-runs/{run}"), "the run has finished", is_finished).await
}

/// Waits until REST shows that these tasks have finished. A real engine stores ends in batches, and does not order the
/// ends of a batch.
async fn shown_as_finished(target: &Target, run: &str, names: &[&str]) {
    let is_finished = |view: &Value, name: &str| {
        let tasks = view["tasks"].as_array().into_iter().flatten();
        let is_task = |task: &&Value| task["actionId"].as_str().is_some_and(|id| id.ends_with(&format!(":{name}")));
        tasks.filter(is_task).any(|task| task["finishedAt"].is_string())
    };
    let all = |view: &Value| names.iter().all(|name| is_finished(view, name));
    target.rest.get_until(&format!("/api/v1/stable/workflow-runs/{run}"), "the tasks have finished", all).await;
}

/// The task of a run's details whose action ends with this name.
fn task<'a>(details: &'a Value, name: &str) -> &'a Value {
    let is_task = |task: &&Value| task["actionId"].as_str().unwrap().ends_with(&format!(":{name}"));
    details["tasks"].as_array().unwrap().iter().find(is_task).unwrap_or_else(|| panic!("no task {name}: {details}"))
}

/// The payload of a task.
fn payload(input: Value, parents: Value) -> Value {
    json!({
        "input": input, "parents": parents, "triggered_by": "manual", "triggers": { "filter_payload": null },
        "user_data": null, "overrides": null,
    })
}

#[tokio::test]
async fn details_of_several_tasks_have_payload_of_each() {
    let target = Target::start().await;
    let tasks: &[(&str, &[&str])] = &[("a", &[]), ("b", &[]), ("c", &["a", "b"])];
    let (workflow, mut worker) = worker(&target, &dag(&target, "payloads", tasks, Some("rescue"))).await;
    let run = target.trigger(&workflow, json!({"n": 1})).await;
    let roots = next_two(&mut worker).await;
    worker.complete(&roots["a"], r#"{"v":1}"#).await;
    worker.complete(&roots["b"], r#"{"v":2}"#).await;
    let last = worker.next_start().await;
    shown_as_finished(&target, &run, &["a", "b"]).await;
    worker.complete(&last, r#"{"v":3}"#).await;

    let details = finished_details(&target, &run).await;
    let input = json!({"n": 1});
    assert_eq!((&details["run"]["input"], &details["run"]["output"]), (&input, &json!({"v": 3})));
    assert_eq!((&details["run"]["status"], &details["run"]["errorMessage"]), (&json!("COMPLETED"), &json!("")));
    assert_eq!(task(&details, "a")["input"], payload(input.clone(), json!({})));
    let parents = json!({"a": {"v": 1}, "b": {"v": 2}});
    assert_eq!(task(&details, "c")["input"], payload(input.clone(), parents));
    assert_eq!(task(&details, "c")["output"], json!({"v": 3}));
    let skipped = task(&details, "rescue");
    assert_eq!((&skipped["input"], &skipped["output"]), (&json!({}), &json!({})));
    let (status, single) = target.rest.get(&format!("/api/v1/stable/tasks/{}", last.task_run_external_id)).await;
    assert_eq!((status, &single["input"]), (200, &input));
    worker.close().await;
}

#[tokio::test]
async fn details_of_failed_run_have_errors_for_on_failure_task() {
    let target = Target::start().await;
    let tasks: &[(&str, &[&str])] = &[("boom", &[]), ("fine", &[]), ("child", &["boom"])];
    let (workflow, mut worker) = worker(&target, &dag(&target, "rescued", tasks, Some("rescue"))).await;
    let run = target.trigger(&workflow, json!({"n": 1})).await;
    let roots = next_two(&mut worker).await;
    worker.complete(&roots["fine"], r#"{"ok":1}"#).await;
    worker.fail(&roots["boom"], "no").await;
    let rescue = worker.next_start().await;
    shown_as_finished(&target, &run, &["boom", "fine", "child"]).await;
    worker.complete(&rescue, r#"{"rescued":1}"#).await;

    let details = finished_details(&target, &run).await;
    let view = &details["run"];
    assert_eq!((&view["status"], &view["errorMessage"]), (&json!("FAILED"), &json!("no")));
    assert_eq!(view["output"], json!({"rescued": 1}));
    let mut expected = payload(json!({"n": 1}), json!({}));
    expected["step_run_errors"] = json!({"boom": "no"});
    assert_eq!(task(&details, "rescue")["input"], expected);
    assert_eq!(task(&details, "boom")["errorMessage"], "no");
    for name in ["fine", "child", "rescue"] {
        assert_eq!(task(&details, name)["errorMessage"], "", "{name}");
    }
    let child = task(&details, "child");
    assert_eq!((&child["status"], &child["input"]), (&json!("CANCELLED"), &json!({})));
    worker.close().await;
}

/// Asserts that a name is followed by a time in milliseconds.
#[track_caller]
fn assert_dated(shown: &Value, name: &str) {
    let millis = shown.as_str().and_then(|shown| shown.strip_prefix(name)?.strip_prefix('-'));
    let is_millis = |text: &str| text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit());
    assert!(millis.is_some_and(is_millis), "{shown} of {name}");
}

#[tokio::test]
async fn display_name_ends_with_time_in_milliseconds() {
    let target = Target::start().await;
    let single = target.workflow_with("named", |task| task.readable_id = "Step".to_owned()).await;
    let several = target.put(&dag(&target, "graph", &[("a", &[]), ("b", &["a"])], None)).await;
    let details = async |workflow: &Workflow| {
        let run = target.trigger(workflow, json!({})).await;
        let path = format!("/api/v1/stable/workflow-runs/{run}");
        let details = target.rest.get_until(&path, "the run exists", |view| view["tasks"][0].is_object()).await;
        let list = format!(
            "/api/v1/stable/tenants/{}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&workflow_ids={}",
            target.tenant, workflow.workflow_id
        );
        let list = target.rest.get_until(&list, "the run is listed", |list| list["rows"][0].is_object()).await;
        target.cancel(&[&run]).await;
        (details, list["rows"][0].clone())
    };
    // A run of a single task has the name of the task.
    let (view, row) = details(&single).await;
    for shown in [&view["run"], &view["tasks"][0], &row] {
        assert_dated(&shown["displayName"], "Step");
    }
    assert_eq!(row["workflowName"], *single.name);
    let (view, row) = details(&several).await;
    assert_dated(&view["run"]["displayName"], &several.name);
    assert_dated(&view["tasks"][0]["displayName"], "a");
    assert_dated(&row["displayName"], &several.name);
    assert_dated(&row["children"][0]["displayName"], "a");
}

#[tokio::test]
async fn details_have_workflow_config() {
    let target = Target::start().await;
    let name = target.name("config");
    let task = |id: &str| CreateTaskOpts {
        readable_id: id.to_owned(),
        action: format!("{name}:{id}"),
        timeout: "2m".to_owned(),
        schedule_timeout: Some("3m".to_owned()),
        inputs: "{}".to_owned(),
        ..Default::default()
    };
    let definition = CreateWorkflowVersionRequest {
        name: name.clone(),
        description: "described".to_owned(),
        event_triggers: vec![target.name("key")],
        cron_input: Some("{}".to_owned()),
        tasks: vec![
            CreateTaskOpts { retries: 2, backoff_factor: Some(1.5), timeout: String::new(), ..task("First") },
            CreateTaskOpts {
                parents: vec!["First".to_owned()],
                slot_requests: [("default".to_owned(), 2)].into(),
                ..task("b")
            },
        ],
        on_failure_task: Some(task("rescue")),
        default_priority: Some(2),
        idempotency: Some(IdempotencyConfig { expression: "input.k".to_owned(), ttl_ms: 1000, method: None }),
        ..Default::default()
    };
    let workflow = target.put(&definition).await;
    let run = target.trigger(&workflow, json!({"k": target.name("k")})).await;
    let path = format!("/api/v1/stable/workflow-runs/{run}");
    let details = target.rest.get_until(&path, "the run exists", |view| view["tasks"][0].is_object()).await;
    let expected_task = |id: &str| {
        json!({
            "ReadableId": id, "Action": format!("{name}:{}", id.to_lowercase()), "Timeout": "2m",
            "ScheduleTimeout": "3m", "Parents": [], "Retries": 0, "RateLimits": [], "DesiredWorkerLabels": null,
            "RetryBackoffFactor": null, "RetryBackoffMaxSeconds": null, "TriggerConditions": [],
        })
    };
    let (mut first, mut second) = (expected_task("First"), expected_task("b"));
    (first["Timeout"], first["Retries"]) = (Value::Null, json!(2));
    (first["RetryBackoffFactor"], first["RetryBackoffMaxSeconds"]) = (json!(1.5), json!(86_400));
    (second["Parents"], second["slotRequests"]) = (json!(["First"]), json!({"default": 2}));
    let expected = json!({
        "Name": name, "description": "described", "EventTriggers": [target.name("key")], "CronTriggers": null,
        "CronInput": "e30=", "Tasks": [first, second], "onFailureJob": expected_task("rescue"), "Sticky": null,
        "DefaultPriority": 2, "idempotency": {"expression": "input.k", "ttlMs": 1000, "method": "TTL"},
    });
    assert_eq!(details["workflowConfig"], expected);
    let task = details["tasks"][0]["taskExternalId"].as_str().unwrap();
    let (status, task) = target.rest.get(&format!("/api/v1/stable/tasks/{task}")).await;
    assert_eq!((status, &task["workflowConfig"]), (200, &expected));
    target.cancel(&[&run]).await;
}

#[tokio::test]
async fn error_is_empty_without_failure() {
    let target = Target::start().await;
    let workflow = target.workflow("fine").await;
    let run = target.trigger(&workflow, json!({})).await;
    let path = format!("/api/v1/stable/workflow-runs/{run}");
    let queued = target.rest.get_until(&path, "the run exists", |view| view["tasks"][0].is_object()).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    let completed = finished_details(&target, &run).await;
    for view in [&queued, &completed] {
        assert_eq!((&view["run"]["errorMessage"], &view["tasks"][0]["errorMessage"]), (&json!(""), &json!("")));
    }
    worker.close().await;
}

#[tokio::test]
async fn timeout_is_failure_without_error_over_rest() {
    let target = Target::for_failures().await;
    let late = target.workflow_with("late", |task| task.timeout = "1s".to_owned()).await;
    let untaken = target.workflow_with("untaken", |task| task.schedule_timeout = Some("1s".to_owned())).await;
    let mut worker = RawWorker::start(&target, &late, 1).await;
    let runs = [target.trigger(&late, json!({})).await, target.trigger(&untaken, json!({})).await];
    worker.next_start().await;
    // Over gRPC, only the execution timeout is a failure.
    for (run, status) in runs.iter().zip([RunStatus::Failed, RunStatus::Cancelled]) {
        assert_eq!(target.done(run).await.status(), status);
        let details = finished_details(&target, run).await;
        for part in [&details["run"], &details["tasks"][0]] {
            assert_eq!((&part["status"], &part["errorMessage"]), (&json!("FAILED"), &json!("")), "{part}");
        }
    }
    let query = format!("since=2020-01-01T00:00:00Z&workflow_ids={}", untaken.workflow_id);
    let path = format!("/api/v1/stable/tenants/{}", target.tenant);
    for (status, count) in [("FAILED", 1), ("CANCELLED", 0)] {
        let list = format!("{path}/workflow-runs?only_tasks=false&statuses={status}&{query}");
        assert_eq!(target.rest.get(&list).await.1["rows"].as_array().unwrap().len(), count, "{status}");
    }
    let (_, metrics) = target.rest.get(&format!("{path}/task-metrics?{query}")).await;
    let failed = metrics.as_array().unwrap().iter().find(|row| row["status"] == "FAILED").unwrap();
    assert_eq!(failed["count"], 1, "{metrics}");
    worker.close().await;
}
