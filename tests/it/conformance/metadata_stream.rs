//! `SubscribeToWorkflowEvents` by metadata, the subscription that can precede its runs.

use hatchet_quickstart::hatchet::{
    client::{RunEvent, RunEventKind, StreamSelector},
    wire::proto::{
        ResourceEventType as Event, ResourceType, SubscribeToWorkflowEventsRequest, WorkflowEvent,
        v1::TriggerWorkflowRequest,
    },
};
use serde_json::json;

use super::{
    deviations::Deviation,
    event_stream::{KEY, chunk, subscribe},
};
use crate::support::{RawWorker, StreamReader, Target, Workflow, eventually, within_timeout};

fn by_metadata(target: &Target, value: &str) -> StreamReader<WorkflowEvent> {
    subscribe(
        target,
        SubscribeToWorkflowEventsRequest {
            additional_meta_key: Some(KEY.to_owned()),
            additional_meta_value: Some(value.to_owned()),
            ..Default::default()
        },
    )
}

fn marked(workflow: &Workflow, value: &str) -> TriggerWorkflowRequest {
    TriggerWorkflowRequest {
        additional_metadata: Some(json!({ KEY: value }).to_string()),
        ..workflow.request(json!({}))
    }
}

/// Runs whose events show that a subscription is active.
struct Probes {
    workflow: Workflow,
    runs: Vec<String>,
}

impl Probes {
    /// Triggers runs without a worker until the subscription receives an event of one of them.
    async fn until_seen(target: &Target, events: &mut StreamReader<WorkflowEvent>, value: &str) -> Self {
        let workflow = target.workflow("probe").await;
        let mut runs = Vec::new();
        eventually("the subscription is active", async || {
            if events.waiting().map(Result::unwrap).is_some() {
                return Some(());
            }
            runs.push(target.try_trigger(marked(&workflow, value)).await.unwrap());
            None
        })
        .await;
        Self { workflow, runs }
    }

    async fn cancel(self, target: &Target) {
        target.cancel(&self.runs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    /// Completes all of them and waits until the subscription has received their ends.
    async fn complete(self, target: &Target, events: &mut StreamReader<WorkflowEvent>) {
        let mut worker = RawWorker::start(target, &self.workflow, 100).await;
        for _ in &self.runs {
            let action = worker.next_start().await;
            worker.complete(&action, "{}").await;
        }
        worker.close().await;
        let mut open = self.runs.len();
        while open > 0 {
            let event = events.message().await;
            assert!(!event.hangup, "another run is open: {event:?}");
            if event.resource_type() == ResourceType::WorkflowRun {
                assert_eq!(event.event_type(), Event::Completed);
                open -= 1;
            }
        }
    }
}

/// The next event of this run; skips events of other runs.
async fn next_of(events: &mut StreamReader<WorkflowEvent>, run: &str) -> WorkflowEvent {
    loop {
        let event = events.message().await;
        if event.workflow_run_id == run {
            return event;
        }
    }
}

/// The final event of this run.
async fn end_of(events: &mut StreamReader<WorkflowEvent>, run: &str) -> WorkflowEvent {
    loop {
        let event = next_of(events, run).await;
        if event.resource_type() == ResourceType::WorkflowRun {
            assert_eq!((event.event_type(), event.resource_id.as_str()), (Event::Completed, run));
            return event;
        }
    }
}

#[tokio::test]
async fn metadata_subscription_gets_all_chunks() {
    let target = Target::start().await;
    let workflow = target.workflow("chunks").await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut events = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut events, &value).await;
    let run = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    let action = worker.next_start().await;
    for index in [0, 2, 1, 4, 3, 5] {
        chunk(&target, &run, &format!("chunk {index} é"), Some(index)).await.unwrap();
    }
    // Chunks have indexes and arrive in any order: the engine reorders them for a subscription by run only.
    let mut chunks = Vec::new();
    while chunks.len() < 6 {
        let event = next_of(&mut events, &run).await;
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

    worker.complete(&action, r#"{"n":1}"#).await;
    // A real engine may send the start event after all chunks.
    let event = loop {
        let event = next_of(&mut events, &run).await;
        if event.event_type() != Event::Started {
            break event;
        }
    };
    assert_eq!((event.resource_type(), event.event_type()), (ResourceType::StepRun, Event::Completed));
    assert_eq!((event.event_payload.as_str(), event.retry_count), (r#"{"n":1}"#, Some(0)));
    let event = next_of(&mut events, &run).await;
    assert_eq!((event.resource_type(), event.event_type()), (ResourceType::WorkflowRun, Event::Completed));
    assert_eq!(event.resource_id, run);
    probes.cancel(&target).await;
    worker.close().await;
}

#[tokio::test]
async fn metadata_subscription_continues_while_run_is_open() {
    let target = Target::start().await;
    let workflow = target.workflow("open").await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut events = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut events, &value).await;
    let run = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    let action = worker.next_start().await;
    next_of(&mut events, &run).await;
    probes.complete(&target, &mut events).await;
    worker.complete(&action, "{}").await;
    end_of(&mut events, &run).await;
    worker.close().await;
}

#[tokio::test]
async fn metadata_subscription_outlives_one_finished_run() {
    let target = Target::start().await;
    let workflow = target.workflow("two").await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &workflow, 2).await;
    let mut events = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut events, &value).await;
    let first = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    let first_action = worker.next_start().await;
    let second = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    let second_action = worker.next_start().await;
    chunk(&target, &second, "early", Some(0)).await.unwrap();
    while next_of(&mut events, &second).await.event_type() != Event::Stream {}
    worker.complete(&first_action, "{}").await;
    assert!(!end_of(&mut events, &first).await.hangup);
    chunk(&target, &second, "late", Some(1)).await.unwrap();
    let event = loop {
        let event = next_of(&mut events, &second).await;
        if event.event_type() != Event::Started {
            break event;
        }
    };
    assert_eq!((event.event_type(), event.event_payload.as_str()), (Event::Stream, "late"));
    worker.complete(&second_action, "{}").await;
    assert!(!end_of(&mut events, &second).await.hangup, "the detection runs have not finished");
    probes.cancel(&target).await;
    worker.close().await;
}

#[tokio::test]
async fn client_metadata_stream_has_chunks_of_both_runs() {
    let target = Target::start().await;
    let workflow = target.workflow("client").await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &workflow, 2).await;
    let selector = StreamSelector::Metadata { key: KEY.to_owned(), value: value.clone() };
    let mut events = target.client().events(selector).await;
    let short = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    let first_action = worker.next_start().await;
    let long = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    let second_action = worker.next_start().await;
    let mut next = async || within_timeout("an event", events.next()).await.unwrap().unwrap();
    let send = async |run: &str, index: i64| chunk(&target, run, &index.to_string(), Some(index)).await.unwrap();
    let number = |text: &str| text.parse::<i64>().unwrap();
    let (mut short_chunks, mut long_chunks) = (Vec::new(), Vec::new());
    for index in 0..10 {
        send(&short, index).await;
        send(&long, index).await;
    }
    while short_chunks.len() + long_chunks.len() < 20 {
        let event = next().await;
        if let RunEventKind::Chunk { text, .. } = event.kind {
            if event.run == short { &mut short_chunks } else { &mut long_chunks }.push(number(&text));
        }
    }
    worker.complete(&first_action, "{}").await;
    while next().await.kind != RunEventKind::RunFinished {}
    for index in 10..40 {
        send(&long, index).await;
    }
    // A real engine ends the stream with the run, and may drop chunks that it has not sent by then.
    while long_chunks.len() < 40 {
        if let RunEventKind::Chunk { text, .. } = next().await.kind {
            long_chunks.push(number(&text));
        }
    }
    worker.complete(&second_action, "{}").await;
    let finished = loop {
        if let RunEvent { kind: RunEventKind::RunFinished, run, .. } = next().await {
            break run;
        }
    };
    // A busy real engine may send a chunk later than the client's reorder timeout.
    short_chunks.sort_unstable();
    long_chunks.sort_unstable();
    assert_eq!((short_chunks, long_chunks, finished), ((0..10).collect(), (0..40).collect(), long));
    worker.close().await;
}

#[tokio::test]
async fn metadata_subscription_outlives_cancelled_run() {
    let target = Target::start().await;
    let workflow = target.workflow("cancelled").await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut events = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut events, &value).await;
    let mut open = probes.runs.len();
    probes.cancel(&target).await;
    while open > 0 {
        let event = events.message().await;
        assert!(!event.hangup, "{event:?}");
        if event.resource_type() == ResourceType::WorkflowRun {
            assert_eq!(event.event_type(), Event::Cancelled);
            open -= 1;
        }
    }
    // No run is open; events of a later run still arrive.
    let run = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    assert!(!end_of(&mut events, &run).await.hangup);
    worker.close().await;
}

#[tokio::test]
async fn chunk_without_index_is_forwarded() {
    let target = Target::start().await;
    let workflow = target.workflow("no-index").await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut events = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut events, &value).await;
    let run = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    let action = worker.next_start().await;
    for text in ["one", "", "three"] {
        chunk(&target, &run, text, None).await.unwrap();
        let event = loop {
            let event = next_of(&mut events, &run).await;
            if event.event_type() != Event::Started {
                break event;
            }
        };
        assert_eq!((event.event_type(), event.event_payload.as_str()), (Event::Stream, text));
        assert_eq!(event.event_index, None);
    }
    worker.complete(&action, "{}").await;
    probes.cancel(&target).await;
    worker.close().await;
}

#[tokio::test]
async fn failed_attempt_event_has_its_error() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("attempts", |task| task.retries = 1).await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut events = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut events, &value).await;
    let run = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    for attempt in 0..2 {
        let action = worker.next_start().await;
        worker.fail(&action, &format!("attempt {attempt}")).await;
        let event = loop {
            let event = next_of(&mut events, &run).await;
            let is_run_event = event.resource_type() == ResourceType::WorkflowRun;
            if is_run_event && target.deviates(Deviation::StreamEndsWithRun) {
                panic!("a retry is no end: {event:?}");
            }
            if !is_run_event && event.event_type() != Event::Started {
                break event;
            }
        };
        assert_eq!((event.event_type(), event.retry_count), (Event::Failed, Some(attempt)));
        assert_eq!(event.event_payload, format!("attempt {attempt}"));
    }
    let event = next_of(&mut events, &run).await;
    assert_eq!((event.resource_type(), event.event_type()), (ResourceType::WorkflowRun, Event::Failed));
    probes.cancel(&target).await;
    worker.close().await;
}

#[tokio::test]
async fn late_subscriber_leaves_other_subscriptions_open() {
    let target = Target::start().await;
    // On a real engine no subscription receives an event in that case.
    if target.lacks(Deviation::LateSubscriberGetsEnd) {
        return;
    }
    let workflow = target.workflow("disturbs").await;
    let value = target.name("value");
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.try_trigger(marked(&workflow, &value)).await.unwrap();
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    target.done(&run).await;

    let mut events = by_metadata(&target, &value);
    let probes = Probes::until_seen(&target, &mut events, &value).await;
    let request = SubscribeToWorkflowEventsRequest { workflow_run_id: Some(run.clone()), ..Default::default() };
    let mut late = subscribe(&target, request);
    while let Some(event) = late.next().await {
        event.unwrap();
    }
    // The other subscription receives no further event of the finished run, and stays open.
    let next = target.try_trigger(marked(&probes.workflow, &value)).await.unwrap();
    loop {
        let event = events.message().await;
        assert_ne!(event.workflow_run_id, run, "{event:?}");
        if event.workflow_run_id == next {
            break;
        }
    }
    target.cancel(&[&next]).await;
    probes.cancel(&target).await;
    worker.close().await;
}
