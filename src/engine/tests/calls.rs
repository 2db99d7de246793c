//! Authentication, limits and errors of single calls.

use super::*;

#[tokio::test]
async fn calls_without_a_valid_token_are_refused() {
    let engine = Engine::start(EngineOptions::default()).await.unwrap();
    for token in ["", "nonsense", "a.b.c"] {
        let mut client = Client::with_token(&engine, token).await;
        let refused = [
            client.details("x").await.unwrap_err(),
            client.heartbeat("x").await.unwrap_err(),
            client.dispatcher.listen_v2(proto::WorkerListenRequest::default()).await.unwrap_err(),
            client.dispatcher.get_version(proto::GetVersionRequest {}).await.unwrap_err(),
        ];
        for status in refused {
            assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "invalid auth token"));
        }
        let (status, body) = rest_with_token(&engine, token, "GET /api/v1/nowhere", "").await;
        assert_eq!(status, 403);
        assert!(body["errors"][0]["description"].is_string());
    }
    assert_eq!(rest(&engine, "GET /api/v1/nowhere", "").await.0, 404);
    let version = Client::new(&engine).await.dispatcher.get_version(proto::GetVersionRequest {}).await.unwrap();
    assert_eq!(version.into_inner().version, "v0.101.27");
    engine.stop().await;
}

#[tokio::test]
async fn full_engine_refuses_new_runs_until_runs_end() {
    let small_state = EngineOptions { max_state_bytes: 200_000, keep_finished: 0, ..EngineOptions::default() };
    let (engine, mut client) = start(small_state).await;
    let tenant = engine.handshake().tenant_id.clone();
    client.declare("t", |_| ()).await.unwrap();
    let input = format!(r#"{{"x":"{}"}}"#, "x".repeat(10_000));
    let mut runs = Vec::new();
    let full = loop {
        match client.trigger("t", &input).await {
            Ok(run) => runs.push(run),
            Err(status) => break status,
        }
    };
    assert_eq!(full.code(), Code::ResourceExhausted, "{full}");
    assert!(full.message().contains("let a worker run the queued runs"), "{full}");
    assert!((10..20).contains(&runs.len()), "{}", runs.len());
    let schedule = proto::ScheduleWorkflowRequest {
        name: "t".into(),
        schedules: vec![std::time::SystemTime::now().into()],
        input: "{}".into(),
        ..Default::default()
    };
    let event = proto::PushEventRequest { key: "k".into(), payload: "{}".into(), ..Default::default() };
    let bulk = proto::BulkPushEventRequest { events: vec![event.clone()] };
    for status in [
        client.workflows.schedule_workflow(schedule).await.unwrap_err(),
        client.events.push(event).await.unwrap_err(),
        client.events.bulk_push(bulk).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    }
    let body = r#"{"workflowName": "t", "input": {}}"#;
    let post = format!("POST /api/v1/stable/tenants/{tenant}/workflow-runs/trigger");
    assert_eq!(rest(&engine, &post, body).await.0, 503);
    // Workers and their workflows, which process the runs, are still accepted.
    client.declare("u", |_| ()).await.unwrap();
    let worker = proto::WorkerRegisterRequest { worker_name: "w".into(), ..Default::default() };
    client.dispatcher.register(worker).await.unwrap();
    let cancel = v1::CancelTasksRequest { external_ids: runs, filter: None };
    client.admin.cancel_tasks(cancel).await.unwrap();
    client.trigger("t", &input).await.unwrap();
    engine.stop().await;
}

#[tokio::test]
async fn outputs_of_open_runs_count_towards_the_limit() {
    let (engine, mut client) = start(EngineOptions { max_state_bytes: 200_000, ..EngineOptions::default() }).await;
    // The second task waits for a worker that never registers, so that the run stays open.
    client
        .declare("t", |definition| {
            let second = v1::CreateTaskOpts {
                readable_id: "second".into(),
                action: "other:second".into(),
                parents: vec!["t".into()],
                ..Default::default()
            };
            definition.tasks.push(second);
        })
        .await
        .unwrap();
    let (_worker, mut work) = client.worker("t").await;
    let output = format!(r#"{{"x":"{}"}}"#, "x".repeat(50_000));
    let mut runs = 0;
    let full = loop {
        if let Err(status) = client.trigger("t", "{}").await {
            break status;
        }
        runs += 1;
        let action = next(&mut work).await.unwrap();
        client.report(&action.task_run_external_id, 0, StepActionEventType::StepEventTypeCompleted, &output).await;
    };
    assert_eq!((full.code(), runs), (Code::ResourceExhausted, 4), "{full}");
    engine.stop().await;
}

#[tokio::test]
async fn worker_labels_count_towards_the_limit() {
    let (engine, mut client) = start(EngineOptions { max_state_bytes: 1, ..EngineOptions::default() }).await;
    let worker = proto::WorkerRegisterRequest { worker_name: "w".into(), ..Default::default() };
    let worker_id = client.dispatcher.register(worker).await.unwrap().into_inner().worker_id;
    let full = loop {
        let labels = (0..20).map(|_| {
            let value = proto::WorkerLabels { str_value: Some("x".repeat(100_000)), ..Default::default() };
            (uuid::Uuid::new_v4().to_string(), value)
        });
        let request = proto::UpsertWorkerLabelsRequest { worker_id: worker_id.clone(), labels: labels.collect() };
        if let Err(status) = client.dispatcher.upsert_worker_labels(request).await {
            break status;
        }
    };
    assert_eq!(full.code(), Code::ResourceExhausted, "{full}");
    engine.stop().await;
}

#[tokio::test]
async fn invalid_trigger_is_refused_with_its_whole_bulk() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    client.declare("t", |_| ()).await.unwrap();
    let with = |change: fn(&mut v1::TriggerWorkflowRequest)| {
        let mut request = v1::TriggerWorkflowRequest { name: "t".into(), ..Default::default() };
        change(&mut request);
        request
    };
    let invalid = [
        with(|r| r.name = "T".into()),
        with(|r| r.input = "{".into()),
        with(|r| r.input = r#"{"a":"\u0000"}"#.into()),
        with(|r| r.additional_metadata = Some("nope".into())),
        with(|r| r.priority = Some(0)),
        with(|r| r.desired_worker_id = Some("x".into())),
        with(|r| r.parent_task_run_external_id = Some(String::new())),
        with(|r| {
            let label = v1::DesiredWorkerLabels { comparator: Some(9), ..Default::default() };
            r.desired_worker_labels = [("a".to_owned(), label)].into();
        }),
    ];
    for request in invalid {
        let status = client.workflows.trigger_workflow(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{request:?}: {status}");
        let bulk = proto::BulkTriggerWorkflowRequest { workflows: vec![with(|_| ()), request] };
        assert_eq!(client.workflows.bulk_trigger_workflow(bulk).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let tenant = engine.handshake().tenant_id.clone();
    let list = format!("GET /api/v1/stable/tenants/{tenant}/workflow-runs?only_tasks=false");
    assert_eq!(
        rest(&engine, &list, "").await.1["rows"],
        serde_json::json!([]),
        "an invalid run refuses the whole bulk"
    );
    let unknown = uuid::Uuid::nil().to_string();
    let orphan = v1::TriggerWorkflowRequest { parent_task_run_external_id: Some(unknown), ..with(|_| ()) };
    assert_eq!(client.workflows.trigger_workflow(orphan).await.unwrap_err().code(), Code::NotFound);

    let huge = v1::TriggerWorkflowRunRequest {
        workflow_name: "t".into(),
        input: format!("{{\"a\":\"{}\"}}", "x".repeat(5 << 20)).into(),
        ..Default::default()
    };
    assert_eq!(client.admin.trigger_workflow_run(huge).await.unwrap_err().code(), Code::ResourceExhausted);
    engine.stop().await;
}

#[tokio::test]
async fn invalid_calls_return_codes_of_real_engine() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    let unknown = uuid::Uuid::nil().to_string();
    assert_eq!(client.details("x").await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(client.details(&unknown).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.heartbeat("x").await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(client.heartbeat(&unknown).await.unwrap_err().code(), Code::NotFound);
    let listen = proto::WorkerListenRequest { worker_id: unknown.clone() };
    assert_eq!(client.dispatcher.listen_v2(listen).await.unwrap_err().code(), Code::NotFound);
    let event = proto::StepActionEvent { task_run_external_id: unknown.clone(), event_type: 2, ..Default::default() };
    assert_eq!(client.dispatcher.send_step_action_event(event).await.unwrap_err().code(), Code::InvalidArgument);
    let registration = proto::WorkerRegisterRequest {
        worker_name: "w".into(),
        slots: Some(1),
        slot_config: [("a".to_owned(), 1)].into(),
        ..Default::default()
    };
    assert_eq!(client.dispatcher.register(registration).await.unwrap_err().code(), Code::InvalidArgument);
    let chunk = proto::PutStreamEventRequest {
        task_run_external_id: unknown.clone(),
        message: vec![0xff],
        ..Default::default()
    };
    assert_eq!(client.events.put_stream_event(chunk).await.unwrap_err().code(), Code::InvalidArgument);
    let watch = proto::SubscribeToWorkflowEventsRequest { workflow_run_id: Some(unknown), ..Default::default() };
    assert_eq!(client.dispatcher.subscribe_to_workflow_events(watch).await.unwrap_err().code(), Code::NotFound);
    let cancellation = v1::CancelTasksRequest { external_ids: vec!["x".into()], filter: Some(Default::default()) };
    assert_eq!(client.admin.cancel_tasks(cancellation).await.unwrap_err().code(), Code::InvalidArgument);
    let schedule = proto::ScheduleWorkflowRequest::default();
    let status = client.workflows.schedule_workflow(schedule).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "workflow not found"));
    engine.stop().await;
}

#[tokio::test]
async fn collision_error_names_the_existing_run() {
    use prost::Message;
    let (engine, mut client) = start(EngineOptions::default()).await;
    let rule = v1::IdempotencyConfig { expression: "input.id".into(), ttl_ms: 60_000, method: None };
    client.declare("t", |w| w.idempotency = Some(rule)).await.unwrap();
    let first = client.trigger("t", r#"{"id":"a"}"#).await.unwrap();
    let status = client.trigger("t", r#"{"id":"a"}"#).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::AlreadyExists, "idempotency key collision"));
    // Searches the bytes of google.rpc.Status{3: Any{1: type, 2: value}}.
    let needle = v1::IdempotencyCollisionError { existing_run_external_id: first.clone(), ..Default::default() };
    let contains = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|w| w == part);
    assert!(contains(status.details(), &needle.encode_to_vec()));
    assert!(contains(status.details(), b"type.googleapis.com/v1.IdempotencyCollisionError"));
    let status = client.trigger("t", r#"{"id":5}"#).await.unwrap_err();
    assert!(status.code() == Code::InvalidArgument && status.message().contains("input.id"), "{status}");
    let item = |id: &str| v1::TriggerWorkflowRequest {
        name: "t".into(),
        input: format!("{{\"id\":\"{id}\"}}"),
        ..Default::default()
    };
    let bulk = proto::BulkTriggerWorkflowRequest { workflows: vec![item("b"), item("b"), item("c")] };
    let status = client.workflows.bulk_trigger_workflow(bulk).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert!(contains(status.details(), b"v1.BulkTriggerIdempotencyCollisionError"));
    engine.stop().await;
}
