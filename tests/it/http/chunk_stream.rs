//! The stream chunks of a run as server-sent events, for the dashboard.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
};

use hatchet_quickstart::hatchet::wire::{proto::PutStreamEventRequest, timestamp_now};
use serde_json::{Value, json};

use crate::support::{Embedded, RawWorker, Target, open_page, page_as};

/// Opens the stream of a run. The engine has subscribed to the run when it sends the head of the response.
fn open_stream(target: &Target, run: &str) -> (String, BufReader<TcpStream>) {
    let mut stream = BufReader::new(open_page(
        target.embedded_address(),
        &path(target, run),
        &[("Authorization", &target.authorization())],
        "",
    ));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
    }
    (head, stream)
}

fn path(target: &Target, run: &str) -> String {
    format!("/api/v1/tenants/{}/embedded-stream/{run}", target.tenant)
}

/// Reads a stream to its end, and returns the names and data of its events. Empty lines, comments and the sizes of HTTP
/// chunks are skipped.
fn read_events(mut stream: BufReader<TcpStream>) -> Vec<(String, Value)> {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("0\r\n\r\n"), "the response was cut off: {text}");
    let mut events: Vec<(String, Value)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("event: ") {
            events.push((name.to_owned(), Value::Null));
        } else if let Some(data) = line.strip_prefix("data: ") {
            events.last_mut().unwrap().1 = serde_json::from_str(data).unwrap();
        }
    }
    events
}

async fn put_chunk(target: &Target, run: &str, index: Option<i64>, text: &str) {
    let chunk = PutStreamEventRequest {
        task_run_external_id: run.to_owned(),
        created_at: Some(timestamp_now()),
        message: text.as_bytes().to_vec(),
        event_index: index,
        ..Default::default()
    };
    target.events().put_stream_event(chunk).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_a_run_end_with_its_status() {
    let target = Target::embedded(Embedded::start().await);
    let mut definition = target.definition("streams");
    definition.tasks[0].retries = 1;
    let workflow = target.put(&definition).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let (head, stream) = open_stream(&target, &run);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
    assert!(head.contains("cache-control: no-store") && head.contains("nosniff"), "{head}");
    let first = worker.next_start().await;
    // The engine delivers the chunks in the order of their indexes.
    put_chunk(&target, &run, Some(1), "line\n\nbreak\r, event: end").await;
    put_chunk(&target, &run, Some(0), "first").await;
    worker.fail(&first, "once").await;
    let second = worker.next_start().await;
    put_chunk(&target, &run, None, "é \u{2028}").await;
    worker.complete(&second, "{}").await;
    let chunk = |attempt: i32, index: Option<i64>, text: &str| {
        ("chunk".to_owned(), json!({ "task": run, "attempt": attempt, "index": index, "text": text }))
    };
    let end = ("end".to_owned(), json!({ "status": "COMPLETED" }));
    let expected = [
        chunk(1, Some(0), "first"),
        chunk(1, Some(1), "line\n\nbreak\r, event: end"),
        chunk(2, None, "é \u{2028}"),
        end.clone(),
    ];
    assert_eq!(tokio::task::block_in_place(|| read_events(stream)), expected);
    // Chunks are not stored.
    assert_eq!(tokio::task::block_in_place(|| read_events(open_stream(&target, &run).1)), [end]);
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_needs_a_token_and_a_known_run() {
    let target = Target::embedded(Embedded::start().await);
    let address = target.embedded_address();
    let workflow = target.workflow("streams").await;
    let run = target.trigger(&workflow, json!({})).await;
    for authorization in ["", "Bearer nonsense"] {
        let response = page_as(address, &path(&target, &run), &[("Authorization", authorization)]);
        assert!(response.status == 403 && response.body.contains("invalid auth token"), "{}", response.body);
    }
    let other_tenant = path(&target, &run).replace(&target.tenant, &uuid::Uuid::nil().to_string());
    for (path, status) in [
        (path(&target, &uuid::Uuid::nil().to_string()), 404),
        (path(&target, "x"), 400),
        (other_tenant, 404),
        (format!("POST {}", path(&target, &run)), 405),
    ] {
        let response = page_as(address, &path, &[("Authorization", &target.authorization())]);
        assert_eq!(response.status, status, "{path}: {}", response.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_that_is_not_read_ends_with_an_error() {
    const CHUNKS: i64 = 100;
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("streams").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let (_, unread) = open_stream(&target, &run);
    let action = worker.next_start().await;
    let text = "x".repeat(1 << 20);
    for index in 0..CHUNKS {
        put_chunk(&target, &run, Some(index), &text).await;
    }
    worker.complete(&action, "{}").await;
    let events = tokio::task::block_in_place(|| read_events(unread));
    let (name, data) = events.last().unwrap();
    assert!((events.len() as i64) < CHUNKS && name == "error", "{} events, {name}: {data}", events.len());
    assert!(data["message"].as_str().unwrap().contains("not read fast enough"), "{data}");
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_engine_ends_its_streams() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("streams").await;
    let run = target.trigger(&workflow, json!({})).await;
    let (_, stream) = open_stream(&target, &run);
    drop(target);
    assert_eq!(tokio::task::block_in_place(|| read_events(stream)), []);
}
