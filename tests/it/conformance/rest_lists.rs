//! Lists over REST: their pages, and fields of their rows.

use std::collections::{HashMap, HashSet};

use hatchet_quickstart::hatchet::wire::{
    WorkerId,
    proto::{AssignedAction, PushEventRequest, RuntimeInfo, Sdks, WorkerRegisterRequest, v1::IdempotencyConfig},
};
use serde_json::{Value, json};

use super::{
    crons::expression,
    multi_task::{dag, worker},
};
use crate::support::{RawWorker, Target, Workflow};

/// The list of a workflow's runs.
fn runs(target: &Target, workflow: &Workflow, query: &str) -> String {
    format!(
        "/api/v1/stable/tenants/{}/workflow-runs?since=2020-01-01T00:00:00Z&workflow_ids={}{query}",
        target.tenant, workflow.workflow_id
    )
}

fn has_row(list: &Value) -> bool {
    list["rows"][0].is_object()
}

#[tokio::test]
async fn event_keys_are_listed() {
    let target = Target::start().await;
    let keys = [target.name("listed-b"), target.name("listed-a")];
    for key in [&keys[0], &keys[1], &keys[0]] {
        let event = PushEventRequest { key: key.clone(), payload: "{}".to_owned(), ..Default::default() };
        target.events().push(event).await.unwrap();
    }
    let path = format!("/api/v1/stable/tenants/{}/events/keys", target.tenant);
    let count = |list: &Value, key: &String| {
        list["rows"].as_array().unwrap().iter().filter(|row| row.as_str() == Some(key)).count()
    };
    let list =
        target.rest.get_until(&path, "the keys are listed", |list| keys.iter().all(|key| count(list, key) > 0)).await;
    assert!(keys.iter().all(|key| count(&list, key) == 1), "each once: {list}");
}

#[tokio::test]
async fn event_without_runs_and_scope_has_neither() {
    let target = Target::start().await;
    let event = PushEventRequest { key: target.name("lonely"), payload: "{}".to_owned(), ..Default::default() };
    target.events().push(event.clone()).await.unwrap();
    let path = format!("/api/v1/stable/tenants/{}/events?keys={}", target.tenant, event.key);
    let list = target.rest.get_until(&path, "the event is listed", has_row).await;
    let row = &list["rows"][0];
    assert_eq!((row.get("scope"), row.get("triggeredRuns")), (None, Some(&Value::Null)), "{row}");
}

#[tokio::test]
async fn last_page_names_next_page_by_resource() {
    let target = Target::start().await;
    let workflow = target.workflow("paged").await;
    let run = target.trigger(&workflow, json!({})).await;
    let crons = format!("/api/v1/tenants/{}/workflows", target.tenant);
    let cron = json!({"cronName": "c", "cronExpression": "@every 1000h", "input": {}, "additionalMetadata": {}});
    let (status, cron) = target.rest.post(&format!("{crons}/{}/crons", workflow.name), cron).await;
    assert_eq!(status, 200, "{cron}");
    target.rest.get_until(&runs(&target, &workflow, "&only_tasks=false"), "the run is listed", has_row).await;
    let workflow_id = format!("workflowId={}", workflow.workflow_id);
    let tenant = format!("/api/v1/stable/tenants/{}", target.tenant);
    let none = target.name("none");
    for (path, [current, next, pages]) in [
        (runs(&target, &workflow, "&only_tasks=false&limit=1"), [1, 2, 1]),
        (runs(&target, &workflow, "&only_tasks=true&limit=1"), [1, 2, 1]),
        (runs(&target, &workflow, &format!("&only_tasks=false&additional_metadata={none}:x")), [1, 2, 0]),
        (format!("{crons}/crons?{workflow_id}&limit=1"), [1, 1, 1]),
        (format!("{crons}/scheduled?{workflow_id}&limit=1"), [1, 2, 0]),
        (format!("{crons}?name={}&limit=1", workflow.name), [1, 1, 1]),
        (format!("{crons}?name={none}"), [1, 2, 0]),
        (format!("{tenant}/events?keys={none}"), [1, 1, 0]),
    ] {
        let (status, list) = target.rest.get(&path).await;
        let expected = json!({"current_page": current, "next_page": next, "num_pages": pages});
        assert_eq!((status, &list["pagination"]), (200, &expected), "{path}");
    }
    let id = cron["metadata"]["id"].as_str().unwrap();
    assert_eq!(target.rest.delete(&format!("{crons}/crons/{id}")).await.0, 204);
    target.cancel(&[&run]).await;
}

/// Creates a resource later than the previous one by its creation time, and returns its id and creation time.
async fn create_after(
    target: &Target,
    path: &str,
    body: &Value,
    previous: Option<&(String, Value)>,
) -> (String, Value) {
    let (folder, resource) = path.rsplit_once('/').unwrap();
    let (workflows, _) = folder.rsplit_once('/').unwrap();
    loop {
        let (status, created) = target.rest.post(path, body.clone()).await;
        assert_eq!(status, 200, "{created}");
        let metadata = &created["metadata"];
        let id = metadata["id"].as_str().unwrap().to_owned();
        if previous.is_none_or(|(_, time)| *time != metadata["createdAt"]) {
            return (id, metadata["createdAt"].clone());
        }
        assert_eq!(target.rest.delete(&format!("{workflows}/{resource}/{id}")).await.0, 204);
    }
}

#[tokio::test]
async fn schedules_and_crons_have_the_requested_order() {
    let target = Target::start().await;
    let [b, a] = [target.workflow("ordered-b").await, target.workflow("ordered-a").await];
    let workflows = format!("/api/v1/tenants/{}/workflows", target.tenant);
    let batch = target.name("batch");
    let (mut schedules, mut crons) = (Vec::new(), Vec::new());
    for (year, workflow) in [("2097", &b), ("2099", &a), ("2098", &b)] {
        let mut body = json!({"input": {}, "additionalMetadata": {"batch": batch}});
        body["triggerAt"] = format!("{year}-01-01T00:00:00Z").into();
        let path = format!("{workflows}/{}/scheduled", workflow.name);
        schedules.push(create_after(&target, &path, &body, schedules.last()).await);
        (body["cronName"], body["cronExpression"]) = (year.into(), "@every 1000h".into());
        let path = format!("{workflows}/{}/crons", workflow.name);
        crons.push(create_after(&target, &path, &body, crons.last()).await);
    }
    let list = async |resource: &str, order: &str, key: &str| {
        let path = format!("{workflows}/{resource}?additionalMetadata=batch:{batch}{order}");
        let (status, list) = target.rest.get(&path).await;
        assert_eq!(status, 200, "{path}: {list}");
        list["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.pointer(key).unwrap().as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let trigger_at = "/triggerAt";
    for order in ["", "&orderByDirection=DESC", "&orderByField=triggerAt&orderByDirection=DESC"] {
        let times = list("scheduled", order, trigger_at).await;
        assert_eq!(times.iter().map(|time| &time[..4]).collect::<Vec<_>>(), ["2099", "2098", "2097"], "{order}");
    }
    let times = list("scheduled", "&orderByDirection=ASC", trigger_at).await;
    assert_eq!(times.iter().map(|time| &time[..4]).collect::<Vec<_>>(), ["2097", "2098", "2099"]);
    let id = "/metadata/id";
    for (resource, order, created) in [
        ("scheduled", "&orderByField=createdAt", &schedules),
        ("crons", "", &crons),
        ("crons", "&orderByField=createdAt", &crons),
    ] {
        let mut expected: Vec<&str> = created.iter().map(|(id, _)| id.as_str()).collect();
        let ascending = list(resource, &format!("{order}&orderByDirection=ASC"), id).await;
        assert_eq!(ascending, expected, "{resource}{order}");
        expected.reverse();
        assert_eq!(list(resource, order, id).await, expected, "{resource}{order}");
    }
    let workflow_name = "/workflowName";
    let ascending = list("crons", "&orderByField=name&orderByDirection=ASC", workflow_name).await;
    assert_eq!(ascending, [&*a.name, &b.name, &b.name], "by the name of the workflow");
    let descending = list("crons", "&orderByField=name", workflow_name).await;
    assert_eq!(descending, [&*b.name, &b.name, &a.name]);
    for (resource, invalid, rule) in [
        ("scheduled", "orderByField=x", "invalid orderByField \"x\": use triggerAt or createdAt"),
        ("crons", "orderByField=triggerAt", "invalid orderByField \"triggerAt\": use createdAt or name"),
        ("scheduled", "orderByDirection=up", "invalid orderByDirection \"up\": use ASC or DESC"),
    ] {
        let (status, body) = target.rest.get(&format!("{workflows}/{resource}?{invalid}")).await;
        if target.is_embedded() {
            assert_eq!((status, &body["errors"][0]["description"]), (400, &json!(rule)));
        } else {
            assert_eq!(status, 500, "{invalid}");
        }
    }
    for (resource, created) in [("scheduled", schedules), ("crons", crons)] {
        for (id, _) in created {
            assert_eq!(target.rest.delete(&format!("{workflows}/{resource}/{id}")).await.0, 204);
        }
    }
}

#[tokio::test]
async fn cron_without_metadata_has_null() {
    let target = Target::start().await;
    let mut definition = target.definition("declared-cron");
    definition.cron_triggers = vec![expression("0 0 1 M *")];
    let workflow = target.put(&definition).await;
    let crons = format!("/api/v1/tenants/{}/workflows", target.tenant);
    let mut created = Vec::new();
    for (name, metadata, expected) in
        [("none", None, Value::Null), ("null", Some(Value::Null), Value::Null), ("empty", Some(json!({})), json!({}))]
    {
        let mut request = json!({"cronName": name, "cronExpression": "@every 1000h", "input": {}});
        if let Some(metadata) = metadata {
            request["additionalMetadata"] = metadata;
        }
        let (status, cron) = target.rest.post(&format!("{crons}/{}/crons", workflow.name), request).await;
        assert_eq!((status, cron.get("additionalMetadata")), (200, Some(&expected)), "{name}: {cron}");
        created.push(cron["metadata"]["id"].as_str().unwrap().to_owned());
    }
    let (_, list) = target.rest.get(&format!("{crons}/crons?workflowId={}", workflow.workflow_id)).await;
    let rows: HashMap<&str, &Value> =
        list["rows"].as_array().unwrap().iter().map(|row| (row["name"].as_str().unwrap(), row)).collect();
    assert_eq!(rows[""]["additionalMetadata"], Value::Null, "{list}");
    assert_eq!(rows["none"]["additionalMetadata"], Value::Null, "{list}");
    assert_eq!(rows["empty"]["additionalMetadata"], json!({}), "{list}");
    for id in created {
        let path = format!("{crons}/crons/{id}");
        assert_eq!(target.rest.patch(&path, json!({"enabled": false})).await.0, 204);
        assert_eq!(target.rest.get(&path).await.1["enabled"], false);
        assert_eq!(target.rest.delete(&path).await.0, 204);
    }
    definition.cron_triggers.clear();
    target.put(&definition).await;
}

#[tokio::test]
async fn worker_has_language_of_its_sdk() {
    let target = Target::start().await;
    for (language, expected) in [
        (Some(Sdks::Go), Some("GOLANG")),
        (Some(Sdks::Python), Some("PYTHON")),
        (Some(Sdks::Typescript), Some("TYPESCRIPT")),
        (Some(Sdks::Ruby), Some("RUBY")),
        (None, None),
    ] {
        let runtime = RuntimeInfo {
            sdk_version: Some("1.2.3".to_owned()),
            language: language.map(Into::into),
            ..Default::default()
        };
        let request = WorkerRegisterRequest {
            worker_name: target.name("worker"),
            actions: vec![target.name("sdk") + ":task"],
            runtime_info: Some(runtime),
            ..Default::default()
        };
        let id = target.dispatcher().register(request).await.unwrap().into_inner().worker_id;
        let (status, worker) = target.rest.get(&format!("/api/v1/workers/{id}")).await;
        let info = &worker["runtimeInfo"];
        assert_eq!((status, &info["sdkVersion"], &info["os"]), (200, &json!("1.2.3"), &json!("")), "{worker}");
        assert_eq!(worker["recentStepRuns"], json!([]));
        assert_eq!(info.get("language").and_then(Value::as_str), expected, "{worker}");
    }
}

#[tokio::test]
async fn row_has_idempotency_key_of_its_run() {
    let target = Target::start().await;
    let mut definition = target.definition("keyed");
    definition.idempotency =
        Some(IdempotencyConfig { expression: "input.key".to_owned(), ttl_ms: 600_000, method: None });
    let (keyed, plain) = (target.put(&definition).await, target.workflow("keyless").await);
    let key = target.name("key");
    let with_key = target.trigger(&keyed, json!({ "key": key })).await;
    let without = target.trigger(&plain, json!({ "key": key })).await;
    for (workflow, expected) in [(&keyed, Some(key.as_str())), (&plain, None)] {
        for view in ["&only_tasks=false", "&only_tasks=true"] {
            let list = target.rest.get_until(&runs(&target, workflow, view), "the run is listed", has_row).await;
            assert_eq!(list["rows"][0].get("idempotencyKey").and_then(Value::as_str), expected, "{list}");
        }
    }
    target.cancel(&[&with_key, &without]).await;
}

#[tokio::test]
async fn list_has_payloads_on_request_only() {
    let target = Target::start().await;
    let workflow = target.workflow("payload-list").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({"a": 1})).await;
    let action = worker.next_start().await;
    worker.complete(&action, r#"{"b":2}"#).await;
    target.done(&run).await;
    for only_tasks in ["&only_tasks=false", "&only_tasks=true"] {
        for (query, input, output) in [
            ("", Value::Null, json!({})),
            ("&include_payloads=false", Value::Null, json!({})),
            ("&include_payloads=true", json!({"a": 1}), json!({"b": 2})),
        ] {
            let path = runs(&target, &workflow, &format!("{only_tasks}{query}"));
            let is_completed = |list: &Value| list["rows"][0]["status"] == "COMPLETED";
            let list = target.rest.get_until(&path, "the run is completed", is_completed).await;
            let row = &list["rows"][0];
            assert_eq!((&row["input"]["input"], &row["output"]), (&input, &output), "{path}: {row}");
            let kind = if only_tasks.ends_with("true") { "TASK" } else { "DAG" };
            assert_eq!(row["type"], kind, "{row}");
        }
    }
    worker.close().await;
}

#[tokio::test]
async fn tasks_are_listed_by_their_worker_and_their_own_status() {
    let target = Target::start().await;
    let definition = dag(&target, "of-worker", &[("a", &[]), ("b", &["a"])], None);
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    worker.complete(&first, "{}").await;
    let second = worker.next_start().await;
    let tasks = async |worker: &str, statuses: &str, expected: &[&AssignedAction]| {
        let path = runs(&target, &workflow, &format!("&only_tasks=true&worker_id={worker}{statuses}"));
        let listed = |list: &Value| {
            let rows = list["rows"].as_array().unwrap().iter();
            let ids: HashSet<String> = rows.map(|row| row["taskExternalId"].as_str().unwrap().to_owned()).collect();
            ids == expected.iter().map(|action| action.task_run_external_id.clone()).collect()
        };
        target.rest.get_until(&path, "the tasks are listed", listed).await;
    };
    tasks(&worker.id, "&statuses=RUNNING", &[&second]).await;
    tasks(&worker.id, "&statuses=COMPLETED", &[&first]).await;
    tasks(&worker.id, "&statuses=RUNNING&statuses=COMPLETED", &[&first, &second]).await;
    tasks(&WorkerId::random().to_string(), "", &[]).await;
    worker.complete(&second, "{}").await;
    target.done(&run).await;
    tasks(&worker.id, "", &[&first, &second]).await;
    worker.close().await;
}
