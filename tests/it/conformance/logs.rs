//! Log lines.

use hatchet_quickstart::hatchet::wire::{proto::PutLogRequest, timestamp_now};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use super::deviations::missing;
use crate::support::{RawWorker, Target, assert_refused};

async fn put(target: &Target, request: PutLogRequest) -> Result<(), Status> {
    target.events().put_log(request).await.map(|_| ())
}

fn line(run: &str, message: &str) -> PutLogRequest {
    PutLogRequest {
        task_run_external_id: run.to_owned(),
        created_at: Some(timestamp_now()),
        message: message.to_owned(),
        level: Some("INFO".to_owned()),
        metadata: String::new(),
        task_retry_count: Some(0),
    }
}

#[tokio::test]
async fn log_line_is_accepted_before_and_after_run_end() {
    let target = Target::start().await;
    let workflow = target.workflow("lines").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    for level in ["INFO", "ERROR", "WARN", "DEBUG"] {
        put(&target, PutLogRequest { level: Some(level.to_owned()), ..line(&run, level) }).await.unwrap();
    }
    let bare = PutLogRequest { created_at: None, level: None, task_retry_count: None, ..line(&run, "bare") };
    put(&target, bare).await.unwrap();
    put(&target, PutLogRequest { metadata: r#"{"k":1}"#.to_owned(), ..line(&run, "with metadata") }).await.unwrap();
    put(&target, line(&run, &"x".repeat(10_000))).await.unwrap();
    worker.complete(&action, "{}").await;
    target.done(&run).await;
    put(&target, line(&run, "late")).await.unwrap();
    worker.close().await;
}

#[tokio::test]
async fn log_lines_are_listed_in_order_and_since_is_exclusive() {
    let target = Target::start().await;
    let workflow = target.workflow("listed-lines").await;
    let run = target.trigger(&workflow, json!({})).await;
    target.details_until(&run, "the run exists", |_| true).await;
    let now = timestamp_now().seconds;
    // A real engine ignores these times and records the times of arrival.
    for (offset, message) in [(0, "a"), (1, "b"), (2, "c")] {
        let created_at = Some(prost_types::Timestamp { seconds: now + offset, nanos: 0 });
        put(&target, PutLogRequest { created_at, ..line(&run, message) }).await.unwrap();
    }
    let list = async |more: &str, expected: &[&str]| {
        let path = format!("/api/v1/stable/tasks/{run}/logs?order_by_direction=ASC{more}");
        let texts = |body: &serde_json::Value| -> Vec<String> {
            let rows = body["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
            rows.iter().map(|row| row["message"].as_str().unwrap().to_owned()).collect()
        };
        let body = target.rest.get_until(&path, "the lines are listed", |body| texts(body) == expected).await;
        for row in body["rows"].as_array().unwrap() {
            assert_eq!((&row["level"], &row["attempt"]), (&json!("INFO"), &json!(1)), "{row}");
        }
        let times = body["rows"].as_array().unwrap().iter().map(|row| row["createdAt"].as_str().unwrap().to_owned());
        times.collect::<Vec<_>>()
    };
    let times = list("", &["a", "b", "c"]).await;
    list("&limit=2", &["a", "b"]).await;
    list(&format!("&since={}", times[0]), &["b", "c"]).await;
    list(&format!("&until={}", times[2]), &["a", "b"]).await;
    target.cancel(&[&run]).await;
}

#[tokio::test]
async fn invalid_log_line_is_refused() {
    let target = Target::start().await;
    let workflow = target.workflow("faults").await;
    let run = target.trigger(&workflow, json!({})).await;
    target.details_until(&run, "the run exists", |_| true).await;
    assert_refused(put(&target, line(&run, "")).await, Code::InvalidArgument, "");
    assert_refused(put(&target, line(&run, &"x".repeat(10_001))).await, Code::InvalidArgument, "");
    for level in ["info", "LOUD"] {
        let request = PutLogRequest { level: Some(level.to_owned()), ..line(&run, "x") };
        assert_refused(put(&target, request).await, Code::InvalidArgument, "");
    }
    let id = Uuid::new_v4().to_string();
    missing(&target, put(&target, line(&id, "x")).await, &format!("task run not found: {id}"));
    let text = "task external run id is not a valid uuid";
    assert_refused(put(&target, line("nope", "x")).await, Code::InvalidArgument, text);
    target.cancel(&[&run]).await;
}

#[tokio::test]
async fn log_line_metadata_must_be_an_object() {
    let target = Target::start().await;
    let workflow = target.workflow("metadata").await;
    let run = target.trigger(&workflow, json!({})).await;
    target.details_until(&run, "the run exists", |_| true).await;
    for metadata in ["{", "[1]", "5"] {
        let request = PutLogRequest { metadata: metadata.to_owned(), ..line(&run, metadata) };
        assert_refused(put(&target, request).await, Code::InvalidArgument, "");
    }
    target.cancel(&[&run]).await;
}
