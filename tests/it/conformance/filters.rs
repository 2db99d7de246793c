//! Event filters and scopes.

use hatchet_quickstart::hatchet::wire::proto::{PushEventRequest, v1::DefaultFilter};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use super::deviations::Deviation;
use crate::support::{ControlWorker, RawWorker, Target, Workflow, assert_refused};

async fn push(target: &Target, key: &str, payload: Value, scope: Option<&str>, metadata: Value) -> String {
    let event = PushEventRequest {
        key: target.name(key),
        payload: payload.to_string(),
        scope: scope.map(str::to_owned),
        additional_metadata: Some(metadata.to_string()),
        ..Default::default()
    };
    target.events().push(event).await.unwrap().into_inner().event_id
}

/// A workflow with the event triggers `key` and `wild:*` and these filters, with its worker.
async fn filtered(target: &Target, base: &str, filters: Vec<DefaultFilter>) -> (Workflow, RawWorker) {
    let mut definition = target.definition(base);
    definition.event_triggers = vec![target.name("key"), target.name("wild:*")];
    definition.default_filters = filters;
    let workflow = target.put(&definition).await;
    let worker = RawWorker::start(target, &workflow, 10).await;
    (workflow, worker)
}

fn filter(scope: &str, expression: &str, payload: Option<Value>) -> DefaultFilter {
    let payload = payload.map(|payload| payload.to_string().into_bytes());
    DefaultFilter { scope: scope.to_owned(), expression: expression.to_owned(), payload }
}

fn path(target: &Target, rest: &str) -> String {
    format!("/api/v1/stable/tenants/{}/filters{rest}", target.tenant)
}

/// The payload of the filter in the next assignment, which is completed.
async fn next_payload(worker: &mut RawWorker) -> Value {
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    payload["triggers"]["filter_payload"].clone()
}

#[tokio::test]
async fn only_events_of_matching_scope_and_expression_trigger() {
    let target = Target::start().await;
    let declared = filter("s1", "input.n > 1", Some(json!({"p": 1})));
    let (_, mut worker) = filtered(&target, "scoped", vec![declared]).await;
    let mut control = ControlWorker::start(&target).await;
    for (payload, scope) in
        [(json!({"n": 2}), None), (json!({"n": 2}), Some("s2")), (json!({"n": 1}), Some("s1")), (json!({}), Some("s1"))]
    {
        push(&target, "key", payload, scope, json!({})).await;
    }
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none());
    for key in ["key", "wild:a"] {
        push(&target, key, json!({"n": 2}), Some("s1"), json!({})).await;
        assert_eq!(next_payload(&mut worker).await, json!({"p": 1}));
    }
    control.close().await;
    worker.close().await;
}

#[tokio::test]
async fn each_matching_filter_triggers_a_run() {
    let target = Target::start().await;
    let (workflow, mut worker) = filtered(&target, "several", Vec::new()).await;
    push(&target, "key", json!({}), Some("s"), json!({})).await;
    assert_eq!(next_payload(&mut worker).await, Value::Null, "no filter");
    let expression = "payload.x == 'y' && additional_metadata.m == 'z' && event_key.endsWith('key') && event_id != ''";
    for (expression, payload) in [(expression, json!({"x": "y"})), ("true", json!({})), ("false", json!({"never": 1}))]
    {
        let body = json!({
            "workflowId": workflow.workflow_id, "scope": "s", "expression": expression, "payload": payload,
        });
        let (status, created) = target.rest.post(&path(&target, ""), body).await;
        assert_eq!((status, &created["isDeclarative"]), (200, &json!(false)), "{created}");
    }
    let event = push(&target, "key", json!({"n": 5}), Some("s"), json!({"m": "z"})).await;
    let mut payloads = [next_payload(&mut worker).await, next_payload(&mut worker).await];
    payloads.sort_by_key(Value::to_string);
    assert_eq!(payloads, [json!({"x": "y"}), json!({})]);
    let path = format!("/api/v1/stable/tenants/{}/events/{event}", target.tenant);
    let shown = target
        .rest
        .get_until(&path, "both runs", |event| event["triggeredRuns"].as_array().is_some_and(|runs| runs.len() == 2))
        .await;
    assert_eq!(shown["scope"], "s");
    worker.close().await;
}

#[tokio::test]
async fn filters_that_differ_in_their_payload_trigger_a_run_each() {
    let target = Target::start().await;
    let declared = [1, 2].map(|n| filter("s", "true", Some(json!({ "p": n }))));
    let (workflow, mut worker) = filtered(&target, "payloads", declared.to_vec()).await;
    let body = json!({"workflowId": workflow.workflow_id, "scope": "s", "expression": "true", "payload": {"p": 3}});
    assert_eq!(target.rest.post(&path(&target, ""), body).await.0, 200);
    push(&target, "key", json!({}), Some("s"), json!({})).await;
    let mut payloads = Vec::new();
    for _ in 0..3 {
        payloads.push(next_payload(&mut worker).await["p"].clone());
    }
    payloads.sort_by_key(Value::to_string);
    assert_eq!(payloads, [1, 2, 3]);
    let duplicate = declared[0].clone();
    let mut definition = target.definition("payloads");
    definition.default_filters = vec![duplicate.clone(), duplicate];
    let refused = target.try_put(&definition).await.unwrap_err();
    let expected =
        if target.deviates(Deviation::MalformedDefinitionIsInvalid) { Code::InvalidArgument } else { Code::Internal };
    assert_eq!(refused.code(), expected, "{refused:?}");
    worker.close().await;
}

#[tokio::test]
async fn filters_are_created_listed_changed_and_deleted() {
    let target = Target::start().await;
    let (workflow, worker) = filtered(&target, "managed", vec![filter("s1", "true", None)]).await;
    let body = json!({"workflowId": workflow.workflow_id, "scope": "s2", "expression": "input.n == 1"});
    let (status, created) = target.rest.post(&path(&target, ""), body.clone()).await;
    assert_eq!((status, &created["payload"], &created["scope"]), (200, &json!({}), &json!("s2")), "{created}");
    assert_eq!(created["workflowId"], json!(workflow.workflow_id));
    let one = path(&target, &format!("/{}", created["metadata"]["id"].as_str().unwrap()));
    assert_eq!(target.rest.get(&one).await, (200, created.clone()));

    let list_path = path(&target, &format!("?workflowIds={}", workflow.workflow_id));
    let (_, list) = target.rest.get(&list_path).await;
    assert_eq!(list["rows"].as_array().unwrap().len(), 2, "{list}");
    assert_eq!(list["pagination"], json!({"current_page": 0, "next_page": 1, "num_pages": 1}));
    let (_, list) = target.rest.get(&format!("{list_path}&scopes=s1&scopes=s3&limit=1&offset=0")).await;
    assert_eq!((list["rows"].as_array().unwrap().len(), &list["rows"][0]["isDeclarative"]), (1, &json!(true)));

    let (status, changed) = target.rest.patch(&one, json!({"scope": "s3", "payload": {"q": 1}})).await;
    assert_eq!((status, &changed["scope"], &changed["payload"]), (200, &json!("s3"), &json!({"q": 1})));
    assert_eq!(changed["expression"], "input.n == 1");
    assert_eq!(target.rest.delete(&one).await, (200, changed));
    assert_eq!((target.rest.get(&one).await.0, target.rest.delete(&one).await.0), (404, 404));
    assert_eq!(target.rest.get(&path(&target, "/nope")).await.0, 400);
    worker.close().await;
}

#[tokio::test]
async fn new_version_replaces_declared_filters() {
    let target = Target::start().await;
    let (workflow, worker) = filtered(&target, "redeclared", vec![filter("s1", "true", None)]).await;
    let scopes = async |filters: Vec<DefaultFilter>, retries: i32| {
        let mut definition = target.definition("redeclared");
        definition.tasks[0].retries = retries;
        definition.default_filters = filters;
        target.put(&definition).await;
        let (_, list) = target.rest.get(&path(&target, &format!("?workflowIds={}", workflow.workflow_id))).await;
        let rows = list["rows"].as_array().unwrap().iter();
        rows.map(|row| row["scope"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(scopes(vec![filter("s2", "true", None)], 1).await, ["s2"]);
    assert_eq!(scopes(Vec::new(), 2).await, ["s2"], "a definition without filters leaves them");
    worker.close().await;
}

#[tokio::test]
async fn invalid_filters_are_refused() {
    let target = Target::start().await;
    if target.lacks(Deviation::InvalidEventFilterIsRefused) {
        return;
    }
    let (workflow, worker) = filtered(&target, "invalid", Vec::new()).await;
    let valid = json!({"workflowId": workflow.workflow_id, "scope": "s", "expression": "true"});
    for (field, value) in [
        ("scope", json!("")),
        ("expression", json!("")),
        ("expression", json!("input.a >")),
        ("payload", json!([1])),
        ("workflowId", json!(Uuid::new_v4())),
    ] {
        let mut body = valid.clone();
        body[field] = value;
        let (status, error) = target.rest.post(&path(&target, ""), body).await;
        assert_eq!(status, 400, "{field}");
        assert!(error["errors"][0]["description"].as_str().unwrap().contains(field), "{error}");
    }
    assert_eq!(target.rest.post(&path(&target, ""), valid.clone()).await.0, 200);
    assert_eq!(target.rest.post(&path(&target, ""), valid).await.0, 400, "a duplicate");
    for (field, declared) in [
        ("DefaultFilters[0].Scope", filter("", "true", None)),
        ("DefaultFilters[0].Expression", filter("s", "", None)),
        ("DefaultFilters[0].Expression", filter("s", "a >", None)),
        ("DefaultFilters[0].Payload", filter("s", "true", Some(json!([1])))),
    ] {
        let mut definition = target.definition("invalid-declared");
        definition.default_filters = vec![declared];
        assert_refused(target.try_put(&definition).await, Code::InvalidArgument, field);
    }
    worker.close().await;
}

#[tokio::test]
async fn expressions_are_evaluated_for_debugging() {
    let target = Target::start().await;
    let path = format!("/api/v1/stable/tenants/{}/cel/debug", target.tenant);
    for (expression, output) in [
        ("input.a == 1 && payload.x == 'y' && additional_metadata.m == 'z'", Some(true)),
        ("input.a == 2", Some(false)),
        ("input.a", None),
        ("input.b == 1", None),
        ("input.a >", None),
        ("event_key == ''", None),
    ] {
        let body = json!({
            "expression": expression, "input": {"a": 1}, "filterPayload": {"x": "y"}, "additionalMetadata": {"m": "z"},
        });
        let (status, result) = target.rest.post(&path, body).await;
        assert_eq!(status, 200, "{expression}: {result}");
        match output {
            Some(output) => assert_eq!(result, json!({"status": "SUCCESS", "output": output}), "{expression}"),
            None => {
                assert_eq!((&result["status"], result.get("output")), (&json!("ERROR"), None), "{expression}");
                assert!(!result["error"].as_str().unwrap().is_empty(), "{expression}");
            }
        }
    }
}
