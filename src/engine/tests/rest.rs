//! Tests of the REST API on a whole engine.

use super::*;

#[tokio::test]
async fn large_list_is_streamed_with_payloads_as_stored() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    let tenant = engine.handshake().tenant_id.clone();
    client.declare("t", |_| ()).await.unwrap();
    let mut runs = Vec::new();
    for n in 0..12 {
        let input = format!(r#"{{"z":{n}.0,  "a":"{}"}}"#, "x".repeat(100_000));
        runs.push(client.trigger("t", &input).await.unwrap());
    }
    let list = format!(
        "GET /api/v1/stable/tenants/{tenant}/workflow-runs?only_tasks=false&since=2020-01-01T00:00:00Z&include_payloads=true"
    );
    let (head, body) = response(&engine, &engine.handshake().token, &format!("{list}&limit=10"), "").await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(body.contains(r#""input":{"z":11.0,  "a":"xx"#), "the newest run, byte for byte");
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    let ids: Vec<_> = page["rows"].as_array().unwrap().iter().map(|row| row["workflowRunExternalId"].clone()).collect();
    let newest: Vec<_> = runs.iter().rev().take(10).map(|run| serde_json::json!(run)).collect();
    assert_eq!((ids, &page["pagination"]["num_pages"]), (newest, &2.into()));
    let (head, body) = response(&engine, &engine.handshake().token, &list.replace("=true", "=false"), "").await;
    assert!(head.contains("content-length: ") && !body.contains("xxx"), "{head}");
    engine.stop().await;
}

#[tokio::test]
async fn rest_shows_a_run_and_its_log() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    let tenant = engine.handshake().tenant_id.clone();
    client.declare("t", |_| ()).await.unwrap();
    let (_, mut work) = client.worker("t").await;
    let get = async |path: String| super::rest(&engine, &format!("GET {path}"), "").await;

    let run = client.trigger_with("t", r#"{"a":1}"#, r#"{"k":"v"}"#).await.unwrap();
    next(&mut work).await.unwrap();
    let line = proto::PutLogRequest { task_run_external_id: run.clone(), message: "hi".into(), ..Default::default() };
    client.events.put_log(line).await.unwrap();
    client.report(&run, 0, StepActionEventType::StepEventTypeCompleted, r#"{"b":2}"#).await;

    let (_, status) = get(format!("/api/v1/stable/workflow-runs/{run}/status")).await;
    assert_eq!(status, "COMPLETED");
    let (_, details) = get(format!("/api/v1/stable/workflow-runs/{run}")).await;
    assert_eq!(details["run"]["input"]["input"]["a"], 1);
    assert_eq!(details["tasks"][0]["output"]["b"], 2);
    assert_eq!(details["shape"][0]["taskExternalId"], run);
    let (_, logs) = get(format!("/api/v1/stable/tasks/{run}/logs")).await;
    assert_eq!(logs["rows"][0]["message"], "hi");
    let (_, task) = get(format!("/api/v1/stable/tasks/{run}")).await;
    assert_eq!((&task["input"]["a"], &task["status"]), (&1.into(), &"COMPLETED".into()));
    let list = format!("/api/v1/stable/tenants/{tenant}/workflow-runs?only_tasks=false&additional_metadata=k");
    let (_, rows) = get(format!("{list}%3Av&statuses=COMPLETED&since=2020-01-01T00:00:00Z")).await;
    assert_eq!(rows["rows"][0]["workflowRunExternalId"], run);
    let (_, rows) = get(format!("{list}:w")).await;
    assert_eq!(rows["rows"], serde_json::json!([]));
    assert_eq!(get(list).await.0, 400, "not a pair");
    engine.stop().await;
}

#[tokio::test]
async fn rest_shows_workers_and_workflows() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    let tenant = engine.handshake().tenant_id.clone();
    client.declare("t", |_| ()).await.unwrap();
    let (worker, _work) = client.worker("t").await;
    let get = async |path: String| super::rest(&engine, &format!("GET {path}"), "").await;

    let (_, workers) = get(format!("/api/v1/tenants/{tenant}/worker")).await;
    assert_eq!(
        (&workers["rows"][0]["status"], &workers["rows"][0]["metadata"]["id"]),
        (&"ACTIVE".into(), &worker.clone().into())
    );
    let (_, workflows) = get(format!("/api/v1/tenants/{tenant}/workflows?name=t")).await;
    let workflow = workflows["rows"][0]["metadata"]["id"].as_str().unwrap().to_owned();
    let (_, count) = get(format!("/api/v1/tenants/{tenant}/workflows/{workflow}/worker-count")).await;
    assert_eq!((&count["freeSlotCount"], &count["maxSlotCount"]), (&2.into(), &2.into()));
    assert_eq!(get(format!("/api/v1/workflows/{workflow}")).await.1["name"], "t");
    assert_eq!(get(format!("/api/v1/tenants/{tenant}")).await.1["version"], "V1");
    engine.stop().await;
}

#[tokio::test]
async fn rest_pauses_cancels_and_replays() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    let tenant = engine.handshake().tenant_id.clone();
    client.declare("t", |_| ()).await.unwrap();
    let (worker, mut work) = client.worker("t").await;

    let pause = format!("PATCH /api/v1/workers/{worker}");
    let (_, paused) = super::rest(&engine, &pause, r#"{"isPaused":true}"#).await;
    assert_eq!(paused["status"], "PAUSED");
    let queued = client.trigger("t", "{}").await.unwrap();
    assert_eq!(client.details(&queued).await.unwrap().status(), v1::RunStatus::Queued);
    super::rest(&engine, &pause, r#"{"isPaused":false}"#).await;
    assert_eq!(next(&mut work).await.unwrap().task_run_external_id, queued);
    let cancel = format!("POST /api/v1/stable/tenants/{tenant}/tasks/cancel");
    let (_, ids) = super::rest(&engine, &cancel, &format!("{{\"externalIds\":[\"{queued}\"]}}")).await;
    assert_eq!(ids["ids"][0], queued);
    let replay = format!("POST /api/v1/stable/tenants/{tenant}/tasks/replay");
    let (_, ids) =
        super::rest(&engine, &replay, r#"{"filter":{"since":"2020-01-01T00:00:00Z","statuses":["CANCELLED"]}}"#).await;
    assert_eq!(ids["ids"][0], queued);
    for (call, status) in [
        ("GET /api/v1/stable/workflow-runs/x".to_owned(), 400),
        (format!("GET /api/v1/stable/workflow-runs/{}", uuid::Uuid::nil()), 404),
        (format!("GET /api/v1/tenants/{}/worker", uuid::Uuid::nil()), 404),
        (pause.clone(), 400),
    ] {
        let (found, body) = super::rest(&engine, &call, "{").await;
        assert_eq!(found, status, "{call}");
        assert!(body["errors"][0]["description"].is_string(), "{call}: {body}");
    }
    engine.stop().await;
}

/// The types, messages and errors of a run's events, the oldest first.
async fn events(engine: &Engine, run: &str) -> Vec<[String; 3]> {
    let path = format!("GET /api/v1/stable/workflow-runs/{run}/task-events");
    let (_, page) = super::rest(engine, &path, "").await;
    let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap().to_owned();
    let rows = page["rows"].as_array().unwrap().iter().rev();
    rows.map(|row| [text(row, "eventType"), text(row, "message"), text(row, "errorMessage")]).collect()
}

#[tokio::test]
async fn task_events_have_texts_of_real_engine() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    client.declare("t", |definition| definition.tasks[0].retries = 1).await.unwrap();
    let (worker, mut work) = client.worker("t").await;
    let run = client.trigger("t", "{}").await.unwrap();
    next(&mut work).await.unwrap();
    client.report(&run, 0, StepActionEventType::StepEventTypeStarted, "").await;
    client.report(&run, 0, StepActionEventType::StepEventTypeStarted, "").await;
    client.report(&run, 0, StepActionEventType::StepEventTypeFailed, "boom").await;
    next(&mut work).await.unwrap();
    let release = proto::ReleaseSlotRequest { task_run_external_id: run.clone() };
    client.dispatcher.release_slot(release).await.unwrap();
    let extension =
        proto::RefreshTimeoutRequest { task_run_external_id: run.clone(), increment_timeout_by: "10s".into() };
    client.dispatcher.refresh_timeout(extension).await.unwrap();
    client.report(&run, 1, StepActionEventType::StepEventTypeCompleted, r#"{"b":2}"#).await;
    let history = events(&engine, &run).await;
    let kinds: Vec<&str> = history.iter().map(|[kind, ..]| kind.as_str()).collect();
    let first = ["QUEUED", "ASSIGNED", "SENT_TO_WORKER", "STARTED", "FAILED", "RETRYING"];
    let second = ["QUEUED", "ASSIGNED", "SENT_TO_WORKER", "SLOT_RELEASED", "TIMEOUT_REFRESHED", "STARTED", "FINISHED"];
    assert_eq!(kinds, [&first[..], &second[..]].concat());
    assert_eq!(history[2][1], "Sent task run to the assigned worker");
    assert_eq!(history[4][2], "boom");
    assert_eq!(history[5][1], "This is retry number 1.");
    assert_eq!(history[10][1], "Timeout refreshed by 10s");

    let tenant = engine.handshake().tenant_id.clone();
    let get = async |path: String| super::rest(&engine, &format!("GET {path}"), "").await;
    let (_, page) = get(format!("/api/v1/stable/tasks/{run}/task-events?offset=0&limit=1")).await;
    let newest = &page["rows"][0];
    assert_eq!(page["rows"].as_array().unwrap().len(), 1);
    assert_eq!((&newest["output"], &newest["retryCount"]), (&r#"{"b":2}"#.into(), &1.into()));
    assert_eq!((&newest["taskId"], &newest["workerId"]), (&run.as_str().into(), &worker.as_str().into()));
    let (_, details) = get(format!("/api/v1/stable/workflow-runs/{run}")).await;
    assert_eq!(details["taskEvents"].as_array().unwrap().len(), history.len());
    let (_, counts) = get(format!("/api/v1/stable/tenants/{tenant}/task-metrics?since=2020-01-01T00:00:00Z")).await;
    assert_eq!(counts[1], serde_json::json!({ "status": "COMPLETED", "count": 1 }));
    let (_, totals) = get(format!("/api/v1/tenants/{tenant}/embedded-counts")).await;
    assert_eq!([&totals["runsMade"], &totals["tasksAssigned"], &totals["runsEnded"]], [&1, &2, &1]);
    assert_eq!(get(format!("/api/v1/stable/tasks/{run}/task-events?limit=x")).await.0, 400);

    let replay = format!("POST /api/v1/stable/tenants/{tenant}/tasks/replay");
    super::rest(&engine, &replay, &format!("{{\"externalIds\":[\"{run}\"]}}")).await;
    let cancel = format!("POST /api/v1/stable/tenants/{tenant}/tasks/cancel");
    super::rest(&engine, &cancel, &format!("{{\"externalIds\":[\"{run}\"]}}")).await;
    let kinds: Vec<String> =
        events(&engine, &run).await.into_iter().skip(history.len()).map(|[kind, ..]| kind).collect();
    assert_eq!(kinds, ["RETRIED_BY_USER", "QUEUED", "ASSIGNED", "SENT_TO_WORKER", "CANCELLED"]);
    engine.stop().await;
}

#[tokio::test]
async fn run_of_several_tasks_is_counted_once() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    let tenant = engine.handshake().tenant_id.clone();
    let second = |definition: &mut v1::CreateWorkflowVersionRequest| {
        let second = v1::CreateTaskOpts { readable_id: "second".into(), ..definition.tasks[0].clone() };
        definition.tasks.push(second);
    };
    client.declare("t", second).await.unwrap();
    let (_, mut work) = client.worker("t").await;
    client.trigger("t", "{}").await.unwrap();
    let call = format!("GET /api/v1/tenants/{tenant}/embedded-counts");
    for finished in [0, 1] {
        let task = next(&mut work).await.unwrap().task_run_external_id;
        client.report(&task, 0, StepActionEventType::StepEventTypeCompleted, "{}").await;
        let (_, totals) = super::rest(&engine, &call, "").await;
        assert_eq!([&totals["runsMade"], &totals["runsEnded"]], [&1, &finished]);
    }
    engine.stop().await;
}

#[tokio::test]
async fn page_beyond_list_end_is_empty() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    let tenant = engine.handshake().tenant_id.clone();
    client.declare("t", |_| ()).await.unwrap();
    let run = client.trigger("t", "{}").await.unwrap();
    for list in [
        format!("/api/v1/stable/tenants/{tenant}/workflow-runs"),
        format!("/api/v1/stable/tenants/{tenant}/events"),
        format!("/api/v1/tenants/{tenant}/workflows"),
        format!("/api/v1/tenants/{tenant}/workflows/crons"),
        format!("/api/v1/tenants/{tenant}/workflows/scheduled"),
        format!("/api/v1/stable/tasks/{run}/task-events"),
        format!("/api/v1/stable/workflow-runs/{run}/task-events"),
    ] {
        for offset in [i64::MAX.unsigned_abs(), u64::MAX - 1, u64::MAX] {
            let call = format!("GET {list}?limit=1&offset={offset}");
            let (status, page) = super::rest(&engine, &call, "").await;
            assert_eq!((status, &page["rows"]), (200, &serde_json::json!([])), "{call}");
        }
    }
    engine.stop().await;
}
