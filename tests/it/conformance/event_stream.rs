//! `SubscribeToWorkflowEvents` and the chunks that travel on it.

use hatchet_quickstart::hatchet::wire::{
    proto::{
        PutStreamEventRequest, ResourceEventType as Event, ResourceType, SubscribeToWorkflowEventsRequest,
        WorkflowEvent, v1::TriggerWorkflowRequest,
    },
    timestamp_now,
};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use super::deviations::{Deviation, missing};
use crate::support::{Feed, Flow, RawWorker, Target, eventually, refused};

const KEY: &str = "case";

fn by_run(target: &Target, run: &str) -> Feed<WorkflowEvent> {
    subscribe(target, SubscribeToWorkflowEventsRequest { workflow_run_id: Some(run.to_owned()), ..Default::default() })
}

fn by_metadata(target: &Target, value: &str) -> Feed<WorkflowEvent> {
    subscribe(
        target,
        SubscribeToWorkflowEventsRequest {
            additional_meta_key: Some(KEY.to_owned()),
            additional_meta_value: Some(value.to_owned()),
            ..Default::default()
        },
    )
}

fn subscribe(target: &Target, request: SubscribeToWorkflowEventsRequest) -> Feed<WorkflowEvent> {
    let mut dispatcher = target.dispatcher();
    Feed::open("an event", async move { dispatcher.subscribe_to_workflow_events(request).await })
}

fn marked(flow: &Flow, value: &str) -> TriggerWorkflowRequest {
    TriggerWorkflowRequest { additional_metadata: Some(json!({ KEY: value }).to_string()), ..flow.request(json!({})) }
}

/// Runs that show by their events that a subscription is in place.
struct Probes {
    flow: Flow,
    count: usize,
}

impl Probes {
    /// Triggers runs that nobody takes yet, until the subscription sees one of them.
    async fn until_seen(target: &Target, feed: &mut Feed<WorkflowEvent>, value: &str) -> Self {
        let flow = target.flow("probe").await;
        let mut count = 0;
        eventually("the subscription is in place", async || {
            if feed.waiting().map(Result::unwrap).is_some() {
                return Some(());
            }
            target.try_trigger(marked(&flow, value)).await.unwrap();
            count += 1;
            None
        })
        .await;
        Self { flow, count }
    }

    /// Completes them all, and waits for the subscription to see that: it goes on as long as a run that it has seen.
    async fn complete(self, target: &Target, feed: &mut Feed<WorkflowEvent>) {
        let mut worker = RawWorker::start(target, &self.flow, 100).await;
        for _ in 0..self.count {
            let action = worker.next_start().await;
            worker.complete(&action, "{}").await;
        }
        worker.close().await;
        let mut open = self.count;
        while open > 0 {
            let event = feed.message().await;
            assert!(!event.hangup, "another run is open: {event:?}");
            if event.resource_type() == ResourceType::WorkflowRun {
                assert_eq!(event.event_type(), Event::Completed);
                open -= 1;
            }
        }
    }
}

async fn chunk(target: &Target, run: &str, text: &str, index: Option<i64>) -> Result<(), Status> {
    let request = PutStreamEventRequest {
        task_run_external_id: run.to_owned(),
        created_at: Some(timestamp_now()),
        message: text.as_bytes().to_vec(),
        metadata: String::new(),
        event_index: index,
    };
    target.events().put_stream_event(request).await.map(|_| ())
}

/// The next event of this run; those of others are passed over.
async fn next_of(feed: &mut Feed<WorkflowEvent>, run: &str) -> WorkflowEvent {
    loop {
        let event = feed.message().await;
        if event.workflow_run_id == run {
            return event;
        }
    }
}

#[tokio::test]
async fn a_subscription_by_metadata_gets_all_chunks_and_ends() {
    let target = Target::start().await;
    let flow = target.flow("chunks").await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &flow, 1).await;
    let mut feed = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut feed, &value).await;
    let run = target.try_trigger(marked(&flow, &value)).await.unwrap();
    let action = worker.next_start().await;
    for index in [0, 2, 1, 4, 3, 5] {
        chunk(&target, &run, &format!("chunk {index} é"), Some(index)).await.unwrap();
    }
    // Each has its index, and they are in no order: the engine restores it for a subscription by run only.
    let mut chunks = Vec::new();
    while chunks.len() < 6 {
        let event = next_of(&mut feed, &run).await;
        assert_eq!(event.resource_type(), ResourceType::StepRun);
        match event.event_type() {
            Event::Started => {}
            Event::Stream => {
                assert_eq!((event.resource_id.as_str(), event.hangup), (run.as_str(), false));
                chunks.push((event.event_index, event.event_payload));
            }
            other => panic!("{other:?}"),
        }
    }
    chunks.sort();
    assert_eq!(chunks, (0..6).map(|index| (Some(index), format!("chunk {index} é"))).collect::<Vec<_>>());

    // What the subscription has seen of the run keeps it open now.
    probes.complete(&target, &mut feed).await;
    worker.complete(&action, r#"{"n":1}"#).await;
    let event = next_of(&mut feed, &run).await;
    assert_eq!((event.resource_type(), event.event_type()), (ResourceType::StepRun, Event::Completed));
    assert_eq!((event.event_payload.as_str(), event.retry_count), (r#"{"n":1}"#, Some(0)));
    let event = next_of(&mut feed, &run).await;
    assert_eq!((event.resource_type(), event.event_type()), (ResourceType::WorkflowRun, Event::Completed));
    assert_eq!((event.resource_id.as_str(), event.hangup), (run.as_str(), true));
    feed.expect_end().await;
    worker.close().await;
}

#[tokio::test]
async fn chunks_without_an_index_are_forwarded() {
    let target = Target::start().await;
    let flow = target.flow("no-index").await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &flow, 1).await;
    let mut feed = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut feed, &value).await;
    let run = target.try_trigger(marked(&flow, &value)).await.unwrap();
    let action = worker.next_start().await;
    for text in ["one", "", "three"] {
        chunk(&target, &run, text, None).await.unwrap();
        let event = loop {
            let event = next_of(&mut feed, &run).await;
            if event.event_type() != Event::Started {
                break event;
            }
        };
        assert_eq!((event.event_type(), event.event_payload.as_str()), (Event::Stream, text));
        assert_eq!(event.event_index, None);
    }
    probes.complete(&target, &mut feed).await;
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn a_subscription_by_run_is_live_restores_the_order_and_ends_with_the_run() {
    let target = Target::start().await;
    let flow = target.flow("by-run").await;
    let mut worker = RawWorker::start(&target, &flow, 1).await;
    let run = target.trigger(&flow, json!({})).await;
    let action = worker.next_start().await;
    let mut feed = by_run(&target, &run);
    // Live only: chunks are sent until one is seen.
    let first = eventually("a chunk is seen", async || {
        let seen = feed.waiting().map(Result::unwrap);
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
        let event = feed.message().await;
        // A probe may have been on its way.
        if event.event_index.is_some() {
            assert_eq!((event.event_type(), event.resource_id.as_str()), (Event::Stream, run.as_str()));
            chunks.push((event.event_index, event.event_payload));
        }
    }
    assert_eq!(chunks, (0..6).map(|index| (Some(index), format!("chunk {index}"))).collect::<Vec<_>>());

    worker.complete(&action, r#"{"n":1}"#).await;
    let mut kinds = Vec::new();
    let hangup = loop {
        let event = feed.message().await;
        if event.event_type() != Event::Stream && event.event_type() != Event::Started {
            kinds.push((event.resource_type(), event.event_type()));
        }
        if event.hangup {
            break event;
        }
    };
    assert_eq!(kinds, [(ResourceType::StepRun, Event::Completed), (ResourceType::WorkflowRun, Event::Completed)]);
    assert_eq!((hangup.resource_id, hangup.event_payload.as_str()), (run, ""));
    feed.expect_end().await;
    worker.close().await;
}

#[tokio::test]
async fn a_late_subscriber_is_told_that_it_is_over() {
    let target = Target::start().await;
    let flow = target.flow("late").await;
    let mut worker = RawWorker::start(&target, &flow, 1).await;
    let run = target.trigger(&flow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    target.done(&run).await;
    let path = format!("/api/v1/stable/workflow-runs/{run}/status");
    target.rest.get_until(&path, "it is known to be over", |status| status == "COMPLETED").await;
    let mut feed = by_run(&target, &run);
    while let Some(event) = feed.next().await {
        let event = event.unwrap();
        assert!(target.deviates(Deviation::LateSubscriberGetsTheEnd), "{event:?}");
        assert_eq!(event.workflow_run_id, run);
    }
    worker.close().await;
}

#[tokio::test]
async fn a_failed_attempt_is_told_with_its_error() {
    let target = Target::start().await;
    let flow = target.flow_with("attempts", |task| task.retries = 1).await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &flow, 1).await;
    let mut feed = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut feed, &value).await;
    let run = target.try_trigger(marked(&flow, &value)).await.unwrap();
    while feed.message().await.workflow_run_id != run {}
    probes.complete(&target, &mut feed).await;
    for attempt in 0..2 {
        let action = worker.next_start().await;
        worker.fail(&action, &format!("attempt {attempt}")).await;
        let event = loop {
            let event = next_of(&mut feed, &run).await;
            let of_run = event.resource_type() == ResourceType::WorkflowRun;
            if of_run && target.deviates(Deviation::HangupAtTheTrueEnd) {
                panic!("a retry is no end: {event:?}");
            }
            if !of_run && event.event_type() != Event::Started {
                break event;
            }
        };
        assert_eq!((event.event_type(), event.retry_count), (Event::Failed, Some(attempt)));
        assert_eq!(event.event_payload, format!("attempt {attempt}"));
    }
    let event = next_of(&mut feed, &run).await;
    assert_eq!((event.resource_type(), event.event_type()), (ResourceType::WorkflowRun, Event::Failed));
    worker.close().await;
}

#[tokio::test]
async fn a_subscription_names_a_run_or_metadata() {
    let target = Target::start().await;
    let key_only = SubscribeToWorkflowEventsRequest { additional_meta_key: Some(KEY.to_owned()), ..Default::default() };
    for request in [SubscribeToWorkflowEventsRequest::default(), key_only] {
        let text = "either workflow run id or additional meta key-value must be provided";
        subscribe(&target, request).expect_refusal(Code::InvalidArgument, text).await;
    }
}

#[tokio::test]
async fn an_unknown_run_has_no_events() {
    let target = Target::start().await;
    let id = Uuid::new_v4().to_string();
    by_run(&target, &id).expect_refusal(Code::NotFound, "not found").await;
}

#[tokio::test]
async fn a_chunk_needs_a_run() {
    let target = Target::start().await;
    let id = Uuid::new_v4().to_string();
    missing(&target, chunk(&target, &id, "x", None).await, &format!("task run not found: {id}"));
    let text = "task external run id is not a valid uuid";
    refused(chunk(&target, "nope", "x", None).await, Code::InvalidArgument, text);
}
