//! Restarts of an engine with a data folder.

use std::{
    fs,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Wake, Waker},
};

use super::*;

fn options(folder: &Path) -> EngineOptions {
    EngineOptions { folder: Some(folder.to_owned()), ..Default::default() }
}

fn completed() -> StepActionEventType {
    StepActionEventType::StepEventTypeCompleted
}

#[tokio::test]
async fn runs_results_and_logs_survive_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut client) = start(options(dir.path())).await;
    client.declare("t", |_| ()).await.unwrap();
    let (_, mut work) = client.worker("t").await;
    let done = client.trigger("t", r#"{"a":1}"#).await.unwrap();
    next(&mut work).await.unwrap();
    let line = proto::PutLogRequest { task_run_external_id: done.clone(), message: "hi".into(), ..Default::default() };
    client.events.put_log(line).await.unwrap();
    client.report(&done, 0, completed(), r#"{"b":2}"#).await;
    let event = proto::PushEventRequest { key: "k".into(), payload: "{}".into(), ..Default::default() };
    let event = client.events.push(event).await.unwrap().into_inner().event_id;
    engine.stop().await;

    let (engine, mut client) = start(options(dir.path())).await;
    let details = client.details(&done).await.unwrap();
    assert_eq!((details.status(), &details.input[..]), (v1::RunStatus::Completed, &br#"{"a":1}"#[..]));
    assert_eq!(details.task_runs["t"].output.as_deref(), Some(&br#"{"b":2}"#[..]));
    let (_, logs) = rest(&engine, &format!("GET /api/v1/stable/tasks/{done}/logs"), "").await;
    assert_eq!(logs["rows"][0]["message"], "hi");
    let tenant = &engine.handshake().tenant_id;
    let path = format!("GET /api/v1/stable/tenants/{tenant}/events/{event}");
    assert_eq!(rest(&engine, &path, "").await.1["key"], "k");
    client.trigger("t", "{}").await.expect("the workflow is still declared");
    engine.stop().await;
}

#[tokio::test]
async fn conditions_filters_and_pauses_survive_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut client) = start(options(dir.path())).await;
    let base = |key: &str| {
        Some(v1::BaseMatchCondition {
            readable_data_key: key.into(),
            action: v1::Action::Queue.into(),
            ..Default::default()
        })
    };
    let event = v1::UserEventMatchCondition { base: base("e"), user_event_key: "go".into(), ..Default::default() };
    let sleep = v1::SleepMatchCondition { base: base("s"), sleep_for: "200ms".into() };
    let conditions =
        v1::TaskConditions { user_event_conditions: vec![event], sleep_conditions: vec![sleep], ..Default::default() };
    client.declare("t", |request| request.tasks[0].conditions = Some(conditions)).await.unwrap();
    let filter = v1::DefaultFilter { scope: "s".into(), expression: "true".into(), payload: Some(b"{\"p\":1}".into()) };
    client
        .declare("f", |request| {
            request.event_triggers = vec!["go".into()];
            request.default_filters = vec![filter];
        })
        .await
        .unwrap();
    let waiting = client.trigger("t", "{}").await.unwrap();
    let go = |scope: &str| proto::PushEventRequest {
        key: "go".into(),
        payload: "{}".into(),
        scope: Some(scope.into()),
        ..Default::default()
    };
    client.events.push(go("other")).await.unwrap();
    let tenant = engine.handshake().tenant_id.clone();
    let (_, list) = rest(&engine, &format!("GET /api/v1/tenants/{tenant}/workflows?name=f"), "").await;
    let workflow = format!("/api/v1/workflows/{}", list["rows"][0]["metadata"]["id"].as_str().unwrap());
    let pause = r#"{"pause":{"action":"pause","pausedWorkflowCronRunQueueBehavior":"QUEUE",
        "pausedWorkflowScheduledRunQueueBehavior":"QUEUE","pausedWorkflowQueueTTL":"1h"}}"#;
    assert_eq!(rest(&engine, &format!("PATCH {workflow}"), pause).await.0, 200);
    engine.stop().await;

    let (engine, mut client) = start(options(dir.path())).await;
    let (_, mut work) = client.worker("t").await;
    assert_eq!(next(&mut work).await.unwrap().task_run_external_id, waiting, "the event counts");
    let (_, mut work) = client.worker("f").await;
    client.events.push(go("s")).await.unwrap();
    assert_eq!(rest(&engine, &format!("GET {workflow}"), "").await.1["isPaused"], true);
    let resume = r#"{"pause":{"action":"unpause"}}"#;
    assert_eq!(rest(&engine, &format!("PATCH {workflow}"), resume).await.0, 200);
    assert!(next(&mut work).await.unwrap().action_payload.contains(r#""filter_payload":{"p":1}"#));
    engine.stop().await;
}

#[tokio::test]
async fn worker_of_other_process_resumes_its_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut client) = start(options(dir.path())).await;
    client.declare("t", |_| ()).await.unwrap();
    let (worker, mut work) = client.worker("t").await;
    let run = client.trigger("t", "{}").await.unwrap();
    next(&mut work).await.unwrap();
    client.report(&run, 0, StepActionEventType::StepEventTypeStarted, "").await;
    engine.stop().await;

    let (engine, mut client) = start(options(dir.path())).await;
    assert_eq!(
        client.heartbeat(&worker).await.unwrap_err().code(),
        Code::FailedPrecondition,
        "the worker has to listen again"
    );
    let listen = proto::WorkerListenRequest { worker_id: worker.clone() };
    let mut work = client.dispatcher.listen_v2(listen).await.unwrap().into_inner();
    client.heartbeat(&worker).await.unwrap();
    client.report(&run, 0, completed(), "{}").await;
    let details = client.details(&run).await.unwrap();
    assert_eq!(details.status(), v1::RunStatus::Completed);
    let another = client.trigger("t", "{}").await.unwrap();
    assert_eq!(next(&mut work).await.unwrap().task_run_external_id, another, "the started attempt is not sent again");
    engine.stop().await;
}

#[tokio::test]
async fn task_of_in_process_worker_is_requeued_at_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut client) = start(options(dir.path())).await;
    client.declare("t", |_| ()).await.unwrap();
    let mut inside = Client::with_token(&engine, &engine.in_process_handshake().token).await;
    let (worker, mut work) = inside.worker("t").await;
    let run = client.trigger("t", "{}").await.unwrap();
    next(&mut work).await.unwrap();
    engine.stop().await;

    let (engine, mut client) = start(options(dir.path())).await;
    assert_eq!(client.details(&run).await.unwrap().status(), v1::RunStatus::Queued);
    assert_eq!(client.heartbeat(&worker).await.unwrap_err().code(), Code::NotFound);
    let (_, mut work) = client.worker("t").await;
    let action = next(&mut work).await.unwrap();
    assert_eq!((action.task_run_external_id, action.retry_count), (run, 1));
    engine.stop().await;
}

#[tokio::test]
async fn ephemeral_engine_persists_only_its_identity() {
    let dir = tempfile::tempdir().unwrap();
    let ephemeral = || EngineOptions { ephemeral: true, ..options(dir.path()) };
    let (engine, mut client) = start(ephemeral()).await;
    let token = engine.handshake().token.clone();
    client.declare("t", |_| ()).await.unwrap();
    let run = client.trigger("t", "{}").await.unwrap();
    engine.stop().await;
    assert!(!dir.path().join("engine.db").exists());
    let engine = Engine::start(ephemeral()).await.unwrap();
    let mut client = Client::with_token(&engine, &token).await;
    assert_eq!(client.details(&run).await.unwrap_err().code(), Code::NotFound);
    engine.stop().await;
}

#[tokio::test]
async fn finished_runs_are_limited_by_count_size_and_age() {
    let dir = tempfile::tempdir().unwrap();
    for limits in [
        EngineOptions { keep_finished: 3, ..options(dir.path()) },
        EngineOptions { keep_finished_bytes: 5000, ..options(dir.path()) },
    ] {
        let (engine, mut client) = start(limits.clone()).await;
        client.declare("t", |_| ()).await.unwrap();
        let mut runs = Vec::new();
        for _ in 0..5 {
            let run = client.trigger("t", &format!(r#"{{"x":"{}"}}"#, "x".repeat(400))).await.unwrap();
            let cancel = v1::CancelTasksRequest { external_ids: vec![run.clone()], filter: None };
            client.admin.cancel_tasks(cancel).await.unwrap();
            runs.push(run);
        }
        engine.stop().await;
        let (engine, mut client) = start(limits).await;
        let mut retained = Vec::new();
        for run in &runs {
            retained.push(client.details(run).await.is_ok());
        }
        assert_eq!(retained, [false, false, true, true, true]);
        engine.stop().await;
    }
    // An age of zero retains no run.
    let no_retention = EngineOptions { keep_finished_for: Duration::ZERO, ..options(dir.path()) };
    tokio::time::sleep(Duration::from_millis(2)).await;
    let engine = Engine::start(no_retention).await.unwrap();
    let tenant = engine.handshake().tenant_id.clone();
    let list = format!("GET /api/v1/stable/tenants/{tenant}/workflow-runs?only_tasks=false&since=2020-01-01T00:00:00Z");
    assert_eq!(rest(&engine, &list, "").await.1["rows"], serde_json::json!([]));
    engine.stop().await;
}

#[tokio::test]
async fn damaged_database_is_renamed_and_newer_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("engine.db");
    let (engine, mut client) = start(options(dir.path())).await;
    client.declare("t", |_| ()).await.unwrap();
    client.trigger("t", "{}").await.unwrap();
    engine.stop().await;
    let good = fs::read(&file).unwrap();

    let open = || rusqlite::Connection::open(&file).unwrap();
    open().pragma_update(None, "user_version", 3).unwrap();
    let newer = fs::read(&file).unwrap();
    let error = Engine::start(options(dir.path())).await.unwrap_err();
    let message = error.to_string();
    assert_eq!(error.kind(), EngineErrorKind::Folder);
    assert!(
        message.contains(file.to_str().unwrap()) && message.contains("format 3") && message.contains("reads 2"),
        "{message}"
    );
    assert!(!message.contains('\n') && fs::read(&file).unwrap() == newer, "the file is not changed");

    let mut torn = good.clone();
    torn[8192..12288].fill(0x5a);
    let row = {
        fs::write(&file, &good).unwrap();
        open().execute("UPDATE runs SET head = x'ffff'", []).unwrap();
        fs::read(&file).unwrap()
    };
    for (index, damaged) in [b"this is not a database".to_vec(), torn, row].into_iter().enumerate() {
        fs::write(&file, &damaged).unwrap();
        let (engine, mut client) = start(options(dir.path())).await;
        assert!(client.trigger("t", "{}").await.is_err(), "the engine starts with an empty state");
        client.declare("t", |_| ()).await.unwrap();
        engine.stop().await;
        let aside = if index == 0 { "engine.db.damaged".to_owned() } else { format!("engine.db.damaged.{index}") };
        assert!(fs::read(dir.path().join(&aside)).unwrap() == damaged, "{aside}");
    }
}

/// Acquires the folder as soon as the start has an outcome, on the thread that reports it.
struct AcquireOnWake {
    folder: PathBuf,
    outcome: mpsc::Sender<Result<(), EngineError>>,
}

impl Wake for AcquireOnWake {
    fn wake(self: Arc<Self>) {
        self.outcome.send(lifecycle::data_folder::DataFolder::acquire(&self.folder).map(drop)).unwrap();
    }
}

#[tokio::test]
async fn failed_start_releases_folder_before_it_reports() {
    let dir = tempfile::tempdir().unwrap();
    start(options(dir.path())).await.0.stop().await;
    // The engine waits for the lock for a second, which is enough time to register the waker.
    let other = rusqlite::Connection::open(dir.path().join("engine.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (outcome, outcomes) = mpsc::channel();
    let waker = Waker::from(Arc::new(AcquireOnWake { folder: dir.path().to_owned(), outcome }));
    let mut starting = pin!(Engine::start(options(dir.path())));
    assert!(starting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    outcomes.recv_timeout(TEST_TIMEOUT).unwrap().unwrap();
    assert_eq!(starting.await.unwrap_err().kind(), EngineErrorKind::Folder);
}

#[tokio::test]
async fn locked_database_error_names_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    start(options(dir.path())).await.0.stop().await;
    let other = rusqlite::Connection::open(dir.path().join("engine.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let message = Engine::start(options(dir.path())).await.unwrap_err().to_string();
    assert!(message.ends_with("database is locked. Close the program that has it locked"), "{message}");
    other.execute_batch("COMMIT").unwrap();
    start(options(dir.path())).await.0.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn database_is_private_and_not_a_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut client) = start(options(dir.path())).await;
    client.declare("t", |_| ()).await.unwrap();
    for name in ["engine.db", "engine.db-wal", "engine.db-shm"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    engine.stop().await;
    for name in ["engine.db", "engine.db-wal", "engine.db-shm"] {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        symlink(elsewhere.path(), dir.path().join(name)).unwrap();
        let error = Engine::start(options(dir.path())).await.unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        assert!(fs::read(elsewhere.path()).unwrap().is_empty());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn engine_stops_acknowledging_after_folder_takeover() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, mut client) = start(options(dir.path())).await;
    client.declare("t", |_| ()).await.unwrap();
    let before = client.trigger("t", "{}").await.unwrap();
    fs::remove_file(dir.path().join("lock")).unwrap();
    let (second, mut other) = start(options(dir.path())).await;
    client.trigger("t", "{}").await.expect_err("the run would be lost");
    tokio::time::timeout(TEST_TIMEOUT, first.ended()).await.unwrap();
    first.stop().await;
    other.details(&before).await.unwrap();
    let after = other.trigger("t", "{}").await.unwrap();
    assert!(dir.path().join("handshake.json").exists(), "the file of the second engine");
    second.stop().await;
    let (again, mut client) = start(options(dir.path())).await;
    for run in [before, after] {
        client.details(&run).await.unwrap();
    }
    let tenant = &again.handshake().tenant_id;
    let list = format!("GET /api/v1/stable/tenants/{tenant}/workflow-runs");
    let (_, all) = rest(&again, &list, "").await;
    assert_eq!(all["rows"].as_array().map(Vec::len), Some(2), "{all}");
    again.stop().await;
}
