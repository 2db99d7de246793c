//! `SubscribeToWorkflowEvents` by run, with stream chunks.

use hatchet_quickstart::hatchet::wire::{
    proto::{
        PutStreamEventRequest, ResourceEventType as Event, ResourceType, SubscribeToWorkflowEventsRequest,
        WorkflowEvent,
    },
    timestamp_now,
};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use super::deviations::{Deviation, missing};
use crate::support::{RawWorker, StreamReader, Target, assert_refused, eventually};

pub(super) const KEY: &str = "case";

fn by_run(target: &Target, run: &str) -> StreamReader<WorkflowEvent> {
    subscribe(target, SubscribeToWorkflowEventsRequest { workflow_run_id: Some(run.to_owned()), ..Default::default() })
}

pub(super) fn subscribe(target: &Target, request: SubscribeToWorkflowEventsRequest) -> StreamReader<WorkflowEvent> {
    let mut dispatcher = target.dispatcher();
    StreamReader::open("an event", async move { dispatcher.subscribe_to_workflow_events(request).await })
}

pub(super) async fn chunk(target: &Target, run: &str, text: &str, index: Option<i64>) -> Result<(), Status> {
    let request = PutStreamEventRequest {
        task_run_external_id: run.to_owned(),
        created_at: Some(timestamp_now()),
        message: text.as_bytes().to_vec(),
        metadata: String::new(),
        event_index: index,
    };
    target.events().put_stream_event(request).await.map(|_| ())
}

#[tokio::test]
async fn run_subscription_orders_chunks_and_ends_with_run() {
    let target = Target::start().await;
    let workflow = target.workflow("by-run").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let mut events = by_run(&target, &run);
    // A subscription delivers live events only: sends chunks until one arrives.
    let first = eventually("a chunk has arrived", async || {
        let seen = events.waiting().map(Result::unwrap);
        if seen.is_none() {
            chunk(&target, &run, "probe", None).await.unwrap();
        }
        seen
    })
    .await;
    assert_eq!((first.workflow_run_id.as_str(), first.resource_type()), (run.as_str(), ResourceType::StepRun));
    for index in [0, 2, 1, 4, 3, 5] {
        chunk(&target, &run, &format!("chunk {index}"), Some(index)).await.unwrap();
    }
    let mut chunks = Vec::new();
    while chunks.len() < 6 {
        let event = events.message().await;
        // A chunk sent to detect the subscription may still arrive.
        if event.event_index.is_some() {
            assert_eq!((event.event_type(), event.resource_id.as_str()), (Event::Stream, run.as_str()));
            chunks.push((event.event_index, event.event_payload));
        }
    }
    assert_eq!(chunks, (0..6).map(|index| (Some(index), format!("chunk {index}"))).collect::<Vec<_>>());

    worker.complete(&action, r#"{"n":1}"#).await;
    let mut kinds = Vec::new();
    let hangup = loop {
        let event = events.message().await;
        if event.event_type() != Event::Stream && event.event_type() != Event::Started {
            kinds.push((event.resource_type(), event.event_type()));
        }
        if event.hangup {
            break event;
        }
    };
    assert_eq!(kinds, [(ResourceType::StepRun, Event::Completed), (ResourceType::WorkflowRun, Event::Completed)]);
    assert_eq!((hangup.resource_id, hangup.event_payload.as_str()), (run, ""));
    events.expect_end().await;
    worker.close().await;
}

#[tokio::test]
async fn late_subscriber_gets_end_of_run() {
    let target = Target::start().await;
    let workflow = target.workflow("late").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    target.done(&run).await;
    let path = format!("/api/v1/stable/workflow-runs/{run}/status");
    target.rest.get_until(&path, "the run is shown as finished", |status| status == "COMPLETED").await;
    let mut events = by_run(&target, &run);
    while let Some(event) = events.next().await {
        let event = event.unwrap();
        assert!(target.deviates(Deviation::LateSubscriberGetsEnd), "{event:?}");
        assert_eq!(event.workflow_run_id, run);
    }
    worker.close().await;
}

#[tokio::test]
async fn subscription_requires_run_or_metadata() {
    let target = Target::start().await;
    let key_only = SubscribeToWorkflowEventsRequest { additional_meta_key: Some(KEY.to_owned()), ..Default::default() };
    for request in [SubscribeToWorkflowEventsRequest::default(), key_only] {
        let text = "either workflow run id or additional meta key-value must be provided";
        subscribe(&target, request).expect_error(Code::InvalidArgument, text).await;
    }
}

#[tokio::test]
async fn subscription_to_unknown_run_has_no_events() {
    let target = Target::start().await;
    let id = Uuid::new_v4().to_string();
    by_run(&target, &id).expect_error(Code::NotFound, "not found").await;
}

#[tokio::test]
async fn chunk_requires_a_run() {
    let target = Target::start().await;
    let id = Uuid::new_v4().to_string();
    missing(&target, chunk(&target, &id, "x", None).await, &format!("task run not found: {id}"));
    let text = "task external run id is not a valid uuid";
    assert_refused(chunk(&target, "nope", "x", None).await, Code::InvalidArgument, text);
}
