//! Event streams that a client does not read.

use hatchet_quickstart::hatchet::wire::{
    proto::{
        PutStreamEventRequest, ResourceEventType, SubscribeToWorkflowEventsRequest, dispatcher_client::DispatcherClient,
    },
    timestamp_now,
};
use serde_json::json;
use tonic::Code;

use crate::support::{Embedded, RawWorker, Target};

#[tokio::test(flavor = "multi_thread")]
async fn unread_stream_is_closed_without_affecting_others() {
    const CHUNKS: i64 = 100;
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("streams").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let request = SubscribeToWorkflowEventsRequest { workflow_run_id: Some(run.clone()), ..Default::default() };
    // Each stream has its own connection, since streams of one connection share its flow-control window.
    let mut subscriptions = Vec::new();
    for _ in 0..4 {
        let channel = target.endpoint().connect().await.unwrap();
        let mut dispatcher = DispatcherClient::new(target.channel_over(channel));
        subscriptions.push(dispatcher.subscribe_to_workflow_events(request.clone()).await.unwrap().into_inner());
    }
    let mut reader = subscriptions.pop().unwrap();
    let reading = tokio::spawn(async move {
        let mut indexes = Vec::new();
        while let Some(event) = reader.message().await.unwrap() {
            if event.event_type() == ResourceEventType::Stream {
                indexes.push(event.event_index.unwrap());
            }
        }
        indexes
    });
    let message = vec![b'x'; 1 << 20];
    for index in 0..CHUNKS {
        let chunk = PutStreamEventRequest {
            task_run_external_id: run.clone(),
            created_at: Some(timestamp_now()),
            message: message.clone(),
            event_index: Some(index),
            ..Default::default()
        };
        target.events().put_stream_event(chunk).await.unwrap();
    }
    worker.complete(&action, "{}").await;
    assert_eq!(reading.await.unwrap(), (0..CHUNKS).collect::<Vec<_>>(), "chunks of the stream that is read");
    for mut unread in subscriptions {
        let end = loop {
            match unread.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("all chunks were delivered: the queue is not bounded"),
                Err(status) => break status,
            }
        };
        assert_eq!(end.code(), Code::ResourceExhausted, "{end:?}");
    }
    worker.close().await;
}
