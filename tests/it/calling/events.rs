//! Events that start runs.

use std::time::Duration;

use hatchet_quickstart::{
    hatchet::{
        client::{ErrorKind, EventFilter, NewEvent},
        task::{DefaultFilter, event},
        wire::proto::v1::CreateWorkflowVersionRequest,
    },
    prelude::*,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_gets_the_payload_of_the_filter_in_each_attempt() {
    let mut library = Library::for_failures().await;
    let (stub, key) = (library.stub("filtered"), library.target.name("order:created"));
    let (seen, mut payloads) = mpsc::unbounded_channel();
    let task = stub.task(move |input: Json, ctx: Context| {
        let seen = seen.clone();
        async move {
            seen.send((ctx.filter_payload().clone(), ctx.attempt_number(), ctx.max_attempts())).unwrap();
            if ctx.attempt_number() < ctx.max_attempts() { Err(TaskError::new("again")) } else { Ok(input) }
        }
    });
    let payload = json_object(json!({ "minimum": 100, "note": "large" }));
    let filter = DefaultFilter::new("input.total > payload.minimum", "eu").payload(&payload);
    library.work([task.retries(1).on_event(key.clone()).default_filter(filter)]).await;
    let order = json_object(json!({ "total": 200 }));
    within("the event is accepted", library.client.push_event(&key, &order).scope("eu")).await.unwrap();
    for attempt in 1..=2 {
        let first = within("the event starts a run", payloads.recv()).await.unwrap();
        assert_eq!(first, (payload.clone(), attempt, 2));
    }
    // A run without a filter.
    within("the run ends", library.client.run(&stub, &order)).await.unwrap();
    assert_eq!(payloads.recv().await.unwrap(), (Json::new(), 1, 2));
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespace_prefixes_the_keys_of_events_triggers_and_conditions() {
    let library = Library::start().await;
    let namespace = library.target.name("Team");
    let (inside, outside) = (library.target.client_in(&namespace), &library.client);
    let prefix = inside.config().namespace.clone();
    assert_eq!(prefix, format!("{}_", namespace.to_lowercase()));
    let stub = Stub::<Json, Json>::new("flow").output_of("second");
    let (seen, mut inputs) = mpsc::unbounded_channel();
    let flow = stub.workflow(|flow| {
        let first = flow.task("first", move |input: Json, _| {
            let _ = seen.send(input["n"].clone());
            async { Ok(input) }
        });
        flow.parents(&first).task("second", |_, first, _| async move { Ok(first) }).wait_for(event("go"))
    });
    let worker = Worker::new(&inside).name("worker").grace(Duration::ZERO).register(flow.on_event("start:*"));
    let mut worker = worker.start().unwrap();
    within("the worker listens", worker.listening()).await.unwrap();

    let payload = |n: u32| json_object(json!({ "n": n }));
    // A key without the prefix starts nothing.
    within("the event is accepted", outside.push_event("start:1", &payload(1))).await.unwrap();
    let with_prefix = within("the event is accepted", inside.push_event("start:2", &payload(2))).await.unwrap();
    assert_eq!(within("a run starts", inputs.recv()).await, Some(json!(2)));
    within("the event is accepted", outside.push_event(&format!("{prefix}start:3"), &payload(3))).await.unwrap();
    assert_eq!(within("a run starts", inputs.recv()).await, Some(json!(3)));

    let rest = inside.rest().unwrap();
    let stored = eventually("the event is listed with its run", async || {
        let stored = rest.event(with_prefix.id).await.ok()?;
        (!stored.triggered_runs.is_empty()).then_some(stored)
    });
    let stored = stored.await;
    assert_eq!(stored.key, format!("{prefix}start:2"));
    let run: RunRef<Json> = inside.run_ref(stored.triggered_runs[0].workflow_run_id.parse().unwrap());
    for _ in 0..3 {
        outside.push_event("go", &payload(0)).await.unwrap();
    }
    eventually("the event meets the condition", async || {
        inside.push_event("go", &payload(4)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        run.details().await.unwrap().done.then_some(())
    })
    .await;
    within("the worker stops", worker.stop()).await.unwrap();
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
    let rest = library.client.rest().unwrap();
    // Each result is that of the event at its position, in both calls.
    for (index, n) in [(0, 0), (8, 7), (999, 998), (1_000, 999), (1_001, 1_000), (1_200, 1_199)] {
        let id = pushed[index].as_ref().unwrap().id;
        // A real engine lists an event up to about a second after its push.
        let stored = eventually("the event is stored", async || rest.event(id).await.ok()).await;
        assert_eq!(stored.payload["n"], n, "event {index}");
    }
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
