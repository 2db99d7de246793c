//! A database that an engine of format 1 wrote, with rows of each kind.

use std::path::Path;

use serde_json::json;

use super::*;

const COMPLETED: &str = "eb9cd746-323b-4928-a508-7e26f48110a3";
const FAILED: &str = "9649dfd1-9ffa-4801-ad9e-f0ffe751774e";
const BACKOFF: &str = "70d7c0a6-99ed-4596-a898-386e2972181c";
const CANCELLED: &str = "08d91774-ddbf-471c-b80d-8f56a3e40d67";
const DAG: &str = "8c66c710-c1d2-43cc-b87a-6c5a2f013c4c";
const DAG_FAILED: &str = "dde0e8b3-49ff-487a-bcf8-875d16328363";
const CHILD: &str = "918f09af-4ecc-49ed-b49f-4bebfce8fd30";
const EVENT: &str = "39a9e3c0-323a-4aec-ab76-8c5cb15254d3";
const UNIQUE: &str = "58dc40c3-bb85-4634-a95a-4de9ddee8853";
const SCHEDULE: &str = "00964d27-d705-4d3d-bb66-9e1ffec10b6b";
const WORKER: &str = "04d8ac3b-de82-4ef1-a6ce-4130e4920270";
const RUNNING: &str = "d0bf7ceb-dba3-490b-9bbb-ff3f4f73f71f";

/// Starts an engine on the database. It keeps finished runs for a century, as the file gets older.
async fn start_on(folder: &Path) -> (Engine, Client) {
    let options = EngineOptions {
        folder: Some(folder.to_owned()),
        keep_finished_for: Duration::from_secs(100 * 365 * 86_400),
        ..EngineOptions::default()
    };
    start(options).await
}

fn database(folder: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("engine.db")).unwrap()
}

#[tokio::test]
async fn database_of_format_1_opens_with_its_runs() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path()).execute_batch(include_str!("format_1.sql")).unwrap();
    let (engine, mut client) = start_on(dir.path()).await;
    assert!(!dir.path().join("engine.db.damaged").exists());
    for (run, status, task, output) in [
        (COMPLETED, v1::RunStatus::Completed, "single", Some(r#"{"out":1}"#)),
        (FAILED, v1::RunStatus::Failed, "single", None),
        (CANCELLED, v1::RunStatus::Cancelled, "single", None),
        (BACKOFF, v1::RunStatus::Queued, "single", None),
        (UNIQUE, v1::RunStatus::Queued, "unique", None),
        (DAG, v1::RunStatus::Running, "a", Some(r#"{"v":1}"#)),
        (DAG_FAILED, v1::RunStatus::Failed, "rescue", Some("{}")),
        (CHILD, v1::RunStatus::Completed, "single", Some(r#"{"child":1}"#)),
    ] {
        let details = client.details(run).await.unwrap();
        assert_eq!(details.status(), status, "{run}");
        assert_eq!(details.task_runs[task].output.as_deref(), output.map(str::as_bytes), "{run}");
    }
    let (_, logs) = rest(&engine, &format!("GET /api/v1/stable/tasks/{COMPLETED}/logs"), "").await;
    assert_eq!((&logs["rows"][0]["message"], &logs["rows"][0]["level"]), (&json!("a line"), &json!("WARN")));
    let tenant = format!("/api/v1/tenants/{}/workflows", engine.handshake().tenant_id);
    let (_, crons) = rest(&engine, &format!("GET {tenant}/crons"), "").await;
    let mut expressions: Vec<_> = crons["rows"].as_array().unwrap().iter().map(|cron| cron["cron"].clone()).collect();
    expressions.sort_by_key(ToString::to_string);
    assert_eq!(expressions, [json!("0 3 * * *"), json!("@yearly")]);
    assert_eq!(rest(&engine, &format!("GET {tenant}/scheduled/{SCHEDULE}"), "").await.0, 200);
    let event = format!("GET /api/v1/stable/tenants/{}/events/{EVENT}", engine.handshake().tenant_id);
    assert_eq!(rest(&engine, &event, "").await.1["key"], "order:paid");
    engine.stop().await;
    let format: i64 = database(dir.path()).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(format, 2, "an earlier version refuses the file from now on");
}

#[tokio::test]
async fn runs_in_a_file_of_format_1_continue() {
    let dir = tempfile::tempdir().unwrap();
    database(dir.path()).execute_batch(include_str!("format_1.sql")).unwrap();
    let (engine, mut client) = start_on(dir.path()).await;
    let listen = proto::WorkerListenRequest { worker_id: WORKER.into() };
    let _stream = client.dispatcher.listen_v2(listen).await.unwrap().into_inner();
    client.heartbeat(WORKER).await.unwrap();
    client.report(RUNNING, 0, StepActionEventType::StepEventTypeCompleted, r#"{"w":1}"#).await;
    let dag = client.details(DAG).await.unwrap();
    assert_eq!((dag.status(), dag.done), (v1::RunStatus::Completed, true));

    let claimed = client.trigger("unique", r#"{"key":"k1"}"#).await.unwrap_err();
    assert_eq!(claimed.code(), Code::AlreadyExists, "the key is still claimed");
    let (_, mut work) = client.worker("unique").await;
    assert_eq!(next(&mut work).await.unwrap().task_run_external_id, UNIQUE);

    let pushed = proto::PushEventRequest { key: "order:sent".into(), payload: "{}".into(), ..Default::default() };
    let event = client.events.push(pushed).await.unwrap().into_inner().event_id;
    let path = format!("GET /api/v1/stable/tenants/{}/events/{event}", engine.handshake().tenant_id);
    let (_, event) = rest(&engine, &path, "").await;
    assert_eq!(event["triggeredRuns"].as_array().map(Vec::len), Some(1), "the trigger works: {event}");
    engine.stop().await;
}
