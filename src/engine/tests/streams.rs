//! Streams of assignments, results and events, from trigger to result.

use super::*;

#[tokio::test]
async fn run_is_triggered_assigned_and_reported_on_all_streams() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    client.declare("Smoke", |_| ()).await.unwrap();
    let (worker_id, mut work) = client.worker("smoke").await;

    let (requests, received) = tokio::sync::mpsc::channel(4);
    let received = tokio_stream::wrappers::ReceiverStream::new(received);
    let mut results = client.dispatcher.subscribe_to_workflow_runs(received).await.unwrap().into_inner();

    let run = client.trigger("Smoke", r#"{"b":1.0,"a":9007199254740993}"#).await.unwrap();
    let request = |id: &str| proto::SubscribeToWorkflowRunsRequest { workflow_run_id: id.to_owned() };
    for id in ["no id", &run, &run] {
        requests.send(request(id)).await.unwrap();
    }
    let watch = proto::SubscribeToWorkflowEventsRequest { workflow_run_id: Some(run.clone()), ..Default::default() };
    let mut events = client.dispatcher.subscribe_to_workflow_events(watch.clone()).await.unwrap().into_inner();

    let action = next(&mut work).await.unwrap();
    assert_eq!(action.task_run_external_id, run);
    assert_eq!((action.action_id.as_str(), action.retry_count), ("smoke:smoke", 0));
    assert!(action.action_payload.starts_with(r#"{"input":{"b":1.0,"a":9007199254740993},"#));
    assert_eq!(client.details(&run).await.unwrap().status(), v1::RunStatus::Running);

    let chunk = proto::PutStreamEventRequest {
        task_run_external_id: run.clone(),
        message: b"hello".to_vec(),
        event_index: Some(0),
        ..Default::default()
    };
    client.events.put_stream_event(chunk).await.unwrap();
    client.report(&run, 0, StepActionEventType::StepEventTypeStarted, "").await;
    client.report(&run, 0, StepActionEventType::StepEventTypeCompleted, r#"{"ok": 1}"#).await;

    let result = next(&mut results).await.unwrap();
    assert_eq!(result.results[0].output.as_deref(), Some(r#"{"ok": 1}"#));
    let details = client.details(&run).await.unwrap();
    assert!(details.done && details.task_runs["smoke"].output.as_deref() == Some(br#"{"ok": 1}"#));

    let mut seen = Vec::new();
    while let Some(event) = next(&mut events).await {
        seen.push((event.event_type(), event.event_payload, event.hangup));
    }
    use proto::ResourceEventType::{Completed, Stream};
    let end = [(Completed, r#"{"ok": 1}"#.to_owned(), false), (Completed, String::new(), true)];
    assert_eq!(seen[0], (Stream, "hello".to_owned(), false));
    assert_eq!(seen[1..], end);
    let mut late = client.dispatcher.subscribe_to_workflow_events(watch).await.unwrap().into_inner();
    assert_eq!(next(&mut late).await.unwrap().event_payload, r#"{"ok": 1}"#);
    assert!(next(&mut late).await.unwrap().hangup && next(&mut late).await.is_none());

    requests.send(request(&run)).await.unwrap();
    assert_eq!(next(&mut results).await.unwrap().workflow_run_id, run, "a second request for the same run");
    drop(requests);
    assert!(next(&mut results).await.is_none(), "the client has closed its side");

    let stopping = tokio::spawn(engine.stop());
    assert!(next(&mut work).await.is_none(), "closed by the engine");
    stopping.await.unwrap();
    assert!(client.heartbeat(&worker_id).await.is_err());
}

/// Requests the events of all runs whose metadata has `"n":"5"`.
fn pair_filter() -> proto::SubscribeToWorkflowEventsRequest {
    let (key, value) = (Some("n".into()), Some("5".into()));
    proto::SubscribeToWorkflowEventsRequest {
        additional_meta_key: key,
        additional_meta_value: value,
        ..Default::default()
    }
}

#[tokio::test]
async fn event_stream_by_metadata_has_every_attempt() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    client.declare("t", |w| w.tasks[0].retries = 1).await.unwrap();
    let (_, mut work) = client.worker("t").await;
    let mut events = client.dispatcher.subscribe_to_workflow_events(pair_filter()).await.unwrap().into_inner();
    let run = client.trigger_with("t", "{}", r#"{"n":"5"}"#).await.unwrap();
    client.report(&run, 0, StepActionEventType::StepEventTypeFailed, "once").await;
    client.report(&run, 1, StepActionEventType::StepEventTypeFailed, "twice").await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = next(&mut events).await.unwrap();
        seen.push((event.event_type(), event.retry_count, event.event_payload, event.hangup));
    }
    use proto::ResourceEventType::{Failed, Started};
    let expected = [
        (Started, Some(0), String::new(), false),
        (Failed, Some(0), "once".into(), false),
        (Failed, Some(1), "twice".into(), false),
        (Failed, None, String::new(), false),
    ];
    assert_eq!(seen, expected);
    assert_eq!((next(&mut work).await.unwrap().retry_count, next(&mut work).await.unwrap().retry_count), (0, 1));
    engine.stop().await;
}

#[tokio::test]
async fn event_stream_by_metadata_ends_with_its_last_run() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    client.declare("t", |_| ()).await.unwrap();
    let (_, _work) = client.worker("t").await;
    let mut events = client.dispatcher.subscribe_to_workflow_events(pair_filter()).await.unwrap().into_inner();
    let mut runs = Vec::new();
    for metadata in [r#"{"n":"5"}"#, r#"{"n":"5"}"#, r#"{"n":5}"#] {
        runs.push(client.trigger_with("t", "{}", metadata).await.unwrap());
    }
    for run in &runs {
        client.report(run, 0, StepActionEventType::StepEventTypeCompleted, "{}").await;
    }
    let mut seen = Vec::new();
    while let Some(event) = next(&mut events).await {
        let index = runs.iter().position(|run| *run == event.workflow_run_id).unwrap();
        seen.push((index, event.event_type(), event.resource_type(), event.hangup));
    }
    use proto::{
        ResourceEventType::{Completed, Started},
        ResourceType::{StepRun, WorkflowRun},
    };
    let expected = [
        (0, Started, StepRun, false),
        (1, Started, StepRun, false),
        (0, Completed, StepRun, false),
        (0, Completed, WorkflowRun, false),
        (1, Completed, StepRun, false),
        (1, Completed, WorkflowRun, true),
    ];
    assert_eq!(seen, expected, "the third run has the number, not the string");
    engine.stop().await;
}

#[tokio::test]
async fn timed_out_and_cancelled_attempts_are_stopped() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    client
        .declare("t", |w| {
            w.tasks[0].timeout = "50ms".into();
            w.tasks[0].retries = 1;
        })
        .await
        .unwrap();
    let (_, mut work) = client.worker("t").await;
    let run = client.trigger("t", "[]").await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let action = next(&mut work).await.unwrap();
        seen.push((action.action_type(), action.retry_count, action.action_payload.is_empty()));
    }
    use proto::ActionType::{CancelStepRun, StartStepRun};
    let expected =
        [(StartStepRun, 0, false), (CancelStepRun, 0, true), (StartStepRun, 1, false), (CancelStepRun, 1, true)];
    assert_eq!(seen, expected);
    let details = client.details(&run).await.unwrap();
    assert_eq!(details.input, b"null", "an array is not an input");
    assert_eq!(details.task_runs["t"].error.as_deref(), Some("Task exceeded timeout of 50ms"));

    client.declare("t", |_| ()).await.unwrap();
    let run = client.trigger("t", "{}").await.unwrap();
    assert_eq!(next(&mut work).await.unwrap().task_run_external_id, run);
    let cancel = v1::CancelTasksRequest { external_ids: vec![run.clone()], filter: None };
    client.admin.cancel_tasks(cancel).await.unwrap();
    assert_eq!(next(&mut work).await.unwrap().action_type(), CancelStepRun);
    let details = client.details(&run).await.unwrap();
    assert_eq!((details.status(), details.done), (v1::RunStatus::Cancelled, true));
    assert_eq!(details.task_runs["t"].error.as_deref(), Some(""));
    let replay =
        v1::ReplayTasksRequest { external_ids: vec![run.clone(), uuid::Uuid::nil().to_string()], filter: None };
    let replayed = client.admin.replay_tasks(replay).await.unwrap().into_inner().replayed_tasks;
    assert_eq!(replayed, [run]);
    assert_eq!(next(&mut work).await.unwrap().retry_count, 1);
    engine.stop().await;
}

#[tokio::test]
async fn worker_receives_tasks_on_a_new_stream() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    client.declare("t", |_| ()).await.unwrap();
    let (worker, work) = client.worker("t").await;
    drop(work);
    // The engine detects the end of the stream after some time; a heartbeat then fails.
    let refused = async {
        loop {
            match client.heartbeat(&worker).await {
                Ok(()) => tokio::task::yield_now().await,
                Err(status) => return status,
            }
        }
    };
    let status = tokio::time::timeout(TEST_TIMEOUT, refused).await.unwrap();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let run = client.trigger("t", "{}").await.unwrap();
    assert_eq!(client.details(&run).await.unwrap().status(), v1::RunStatus::Queued);
    let listen = proto::WorkerListenRequest { worker_id: worker };
    let mut work = client.dispatcher.listen_v2(listen).await.unwrap().into_inner();
    assert_eq!(next(&mut work).await.unwrap().task_run_external_id, run, "the same worker, on a new stream");
    engine.stop().await;
}
