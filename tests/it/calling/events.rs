//! Events that start runs.

use hatchet_quickstart::{
    hatchet::{
        client::{ErrorKind, EventFilter, NewEvent},
        wire::proto::v1::CreateWorkflowVersionRequest,
    },
    prelude::*,
};
use serde_json::{Value, json};

use super::{Json, Library, json_object, within};
use crate::support::{RawWorker, eventually};

/// Registers a workflow that an event starts, with a worker on gRPC stubs.
async fn listening_workflow(library: &Library, key: &str) -> RawWorker {
    let definition = library.target.definition("on-event");
    let definition = CreateWorkflowVersionRequest { event_triggers: vec![key.to_owned()], ..definition };
    let workflow = library.target.put(&definition).await;
    RawWorker::start(&library.target, &workflow, 100).await
}

#[tokio::test]
async fn pushed_event_starts_run_with_its_options() {
    let library = Library::start().await;
    let key = library.target.name("order:created");
    let mut worker = listening_workflow(&library, &key).await;
    let payload = json_object(json!({ "n": 1 }));
    let push = library.client.push_event(&key, &payload).scope("eu").metadata("team", "a").priority(Priority::High);
    let event = within("the event is accepted", push).await.unwrap();
    let action = worker.next_start().await;
    assert_eq!(action.triggering_event_external_id, Some(event.id.to_string()));
    assert_eq!(action.priority, 3);
    let metadata: Value = serde_json::from_str(action.additional_metadata.as_deref().unwrap()).unwrap();
    assert_eq!(metadata["team"], "a");
    let input: Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!(input["input"], json!({ "n": 1 }));
    worker.complete(&action, "{}").await;

    let rest = library.client.rest().unwrap();
    let stored = eventually("the event is listed with its run", async || match rest.event(event.id).await {
        Ok(stored) => (!stored.triggered_runs.is_empty()).then_some(stored),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    })
    .await;
    assert_eq!((stored.key.as_str(), stored.scope.as_deref()), (key.as_str(), Some("eu")));
    assert_eq!(stored.payload, payload);
    assert_eq!(stored.triggered_runs[0].workflow_run_id, action.workflow_run_id);
    let listed = rest.events(&EventFilter::default().key(&key).scope("eu").metadata("team", "a")).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(rest.events(&EventFilter::default().key(&key).scope("us")).await.unwrap().is_empty());
    worker.close().await;
}

#[tokio::test]
async fn many_events_are_pushed_in_chunks() {
    let library = Library::start().await;
    let key = library.target.name("order:many");
    let event = |n: usize| NewEvent::new(&key, &json_object(json!({ "n": n })));
    // No workflow listens, so the events start no runs.
    let mut events: Vec<NewEvent> = (0..1_200).map(event).collect();
    events.insert(7, NewEvent::new("", &Json::new()));
    let pushed = within("the events are accepted", library.client.push_events(events)).await;
    assert_eq!(pushed.len(), 1_201);
    let error = pushed[7].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("event key")), (ErrorKind::Invalid, true), "{error}");
    let ids: std::collections::HashSet<_> = pushed.iter().flatten().map(|event| event.id).collect();
    let failed = pushed.iter().filter_map(|event| event.as_ref().err()).nth(1);
    assert_eq!(ids.len(), 1_200, "{failed:?}");
}

#[tokio::test]
async fn invalid_event_is_refused_with_the_field() {
    let library = Library::start().await;
    let client = &library.client;
    let object = Json::new();
    for (call, field) in [
        (client.push_event("", &object), "invalid event key"),
        (client.push_event("k", &object).scope(""), "invalid event scope"),
        (client.push_event("k", &object).metadata("m", "\0"), "invalid metadata"),
    ] {
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(field), "{error}");
    }
    for payload in [json!([1]), json!("text"), json!({ "k": "\0" })] {
        let error = client.push_event("k", &payload).await.unwrap_err();
        assert!(error.to_string().contains("invalid payload of event k"), "{error}");
    }
}
