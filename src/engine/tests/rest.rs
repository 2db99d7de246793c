//! The REST part.

use super::*;

#[tokio::test]
async fn rest_shows_runs_workers_and_logs() {
    let engine = Engine::start(EngineOptions::default()).await.unwrap();
    let (token, tenant) = (engine.handshake().token.clone(), engine.handshake().tenant_id.clone());
    let mut client = Client::new(&engine).await;
    client.declare("t", |_| ()).await.unwrap();
    let (worker, mut work) = client.worker("t").await;
    let get = async |path: String| super::rest(&engine, &token, &format!("GET {path}"), "").await;

    let request = v1::TriggerWorkflowRequest {
        name: "t".into(),
        input: r#"{"a":1}"#.into(),
        additional_metadata: Some(r#"{"k":"v"}"#.into()),
        ..Default::default()
    };
    let run = client.workflows.trigger_workflow(request).await.unwrap().into_inner().workflow_run_id;
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
    assert_eq!(get(list).await.0, 400, "no pair");

    let (_, workers) = get(format!("/api/v1/tenants/{tenant}/worker")).await;
    assert_eq!(
        (&workers["rows"][0]["status"], &workers["rows"][0]["metadata"]["id"]),
        (&"ACTIVE".into(), &worker.clone().into())
    );
    let (_, flows) = get(format!("/api/v1/tenants/{tenant}/workflows?name=t")).await;
    let flow = flows["rows"][0]["metadata"]["id"].as_str().unwrap().to_owned();
    let (_, count) = get(format!("/api/v1/tenants/{tenant}/workflows/{flow}/worker-count")).await;
    assert_eq!((&count["freeSlotCount"], &count["maxSlotCount"]), (&2.into(), &2.into()));
    assert_eq!(get(format!("/api/v1/workflows/{flow}")).await.1["name"], "t");
    assert_eq!(get(format!("/api/v1/tenants/{tenant}")).await.1["version"], "V1");

    let pause = format!("PATCH /api/v1/workers/{worker}");
    let (_, paused) = super::rest(&engine, &token, &pause, r#"{"isPaused":true}"#).await;
    assert_eq!(paused["status"], "PAUSED");
    let queued = client.trigger("t", "{}").await.unwrap();
    assert_eq!(client.details(&queued).await.unwrap().status(), v1::RunStatus::Queued);
    super::rest(&engine, &token, &pause, r#"{"isPaused":false}"#).await;
    assert_eq!(next(&mut work).await.unwrap().task_run_external_id, queued);
    let cancel = format!("POST /api/v1/stable/tenants/{tenant}/tasks/cancel");
    let (_, ids) = super::rest(&engine, &token, &cancel, &format!("{{\"externalIds\":[\"{queued}\"]}}")).await;
    assert_eq!(ids["ids"][0], queued);
    let replay = format!("POST /api/v1/stable/tenants/{tenant}/tasks/replay");
    let (_, ids) = super::rest(
        &engine,
        &token,
        &replay,
        r#"{"filter":{"since":"2020-01-01T00:00:00Z","statuses":["CANCELLED"]}}"#,
    )
    .await;
    assert_eq!(ids["ids"][0], queued);
    for (call, status) in [
        ("GET /api/v1/stable/workflow-runs/x".to_owned(), 400),
        (format!("GET /api/v1/stable/workflow-runs/{}", uuid::Uuid::nil()), 404),
        (format!("GET /api/v1/tenants/{}/worker", uuid::Uuid::nil()), 404),
        (pause.clone(), 400),
    ] {
        let (was, body) = super::rest(&engine, &token, &call, "{").await;
        assert_eq!(was, status, "{call}");
        assert!(body["errors"][0]["description"].is_string(), "{call}: {body}");
    }
    engine.stop().await;
}
