//! The stream of assignments to a worker, and its heartbeats.

use std::collections::BTreeSet;

use hatchet_quickstart::hatchet::wire::proto::{
    HeartbeatRequest, WorkerListenRequest, WorkerUnsubscribeRequest, v1::RunStatus,
};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use super::deviations::{Deviation, missing};
use crate::support::{ControlWorker, RawWorker, StreamReader, Target, assert_refused, eventually};

async fn listen(target: &Target, worker_id: &str) -> Result<(), Status> {
    let mut dispatcher = target.dispatcher();
    let request = WorkerListenRequest { worker_id: worker_id.to_owned() };
    let mut actions = StreamReader::open("a response", async move { dispatcher.listen_v2(request).await });
    actions.next().await.transpose().map(|_| ())
}

async fn heartbeat(target: &Target, worker_id: &str) -> Result<(), Status> {
    let request = HeartbeatRequest { worker_id: worker_id.to_owned(), heartbeat_at: None };
    target.dispatcher().heartbeat(request).await.map(|_| ())
}

async fn unsubscribe(target: &Target, worker_id: &str) -> Result<(), Status> {
    let request = WorkerUnsubscribeRequest { worker_id: worker_id.to_owned() };
    target.dispatcher().unsubscribe(request).await.map(|_| ())
}

#[tokio::test]
async fn unknown_worker_is_not_found() {
    let target = Target::start().await;
    let id = Uuid::new_v4().to_string();
    missing(&target, listen(&target, &id).await, "not found");
    assert_refused(heartbeat(&target, &id).await, Code::NotFound, &format!("worker not found: {id}"));
    missing(&target, unsubscribe(&target, &id).await, "not found");
}

#[tokio::test]
async fn malformed_worker_id_is_invalid() {
    let target = Target::start().await;
    for id in ["nope", ""] {
        let text = format!("invalid worker ID format: {id}");
        assert_refused(listen(&target, id).await, Code::InvalidArgument, &text);
        assert_refused(heartbeat(&target, id).await, Code::InvalidArgument, &text);
        assert_refused(unsubscribe(&target, id).await, Code::InvalidArgument, "");
    }
}

#[tokio::test]
async fn heartbeat_before_first_stream_is_accepted() {
    let target = Target::start().await;
    let mut worker = RawWorker::register(&target, "worker", &[], &[("default", 1)]).await;
    worker.heartbeat().await.unwrap();
    worker.close().await;
}

#[tokio::test]
async fn heartbeat_after_stream_closed_is_refused() {
    let target = Target::start().await;
    let workflow = target.workflow("dropped").await;
    let mut worker = RawWorker::register(&target, "worker", &[&workflow.action], &[("default", 1)]).await;
    let tries = if target.deviates(Deviation::ClosedStreamMakesInactive) { 1 } else { 20 };
    for _ in 0..tries {
        worker.listen();
        target.trigger(&workflow, json!({})).await;
        let action = worker.next_start().await;
        worker.complete(&action, "{}").await;
        worker.stop_listening();
        for _ in 0..40 {
            if let Err(status) = worker.heartbeat().await {
                let text = format!("Heartbeat rejected: worker stream is not active: {}", worker.id);
                return assert_refused(Err::<(), _>(status), Code::FailedPrecondition, &text);
            }
        }
    }
    panic!("a heartbeat without a stream was accepted");
}

#[tokio::test]
async fn reconnected_worker_gets_queued_runs() {
    let target = Target::start().await;
    let workflow = target.workflow("reconnected").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let first = target.trigger(&workflow, json!({})).await;
    let running = worker.next_start().await;
    assert_eq!(running.workflow_run_id, first);
    let second = target.trigger(&workflow, json!({})).await;

    worker.stop_listening();
    // Running attempts survive the closed stream, and their events need no stream.
    worker.complete(&running, r#"{"n":1}"#).await;
    assert_eq!(target.done(&first).await.status(), RunStatus::Completed);

    worker.listen();
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, second);
    if target.deviates(Deviation::ClosedStreamMakesInactive) {
        // The engine did not try to send it on the closed stream.
        assert_eq!(action.retry_count, 0);
    }
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn unacknowledged_assignment_is_resent_or_times_out() {
    let target = Target::start().await;
    let workflow = target.workflow("unacknowledged").await;
    let mut worker = RawWorker::start(&target, &workflow, 3).await;
    let (acknowledged, unacknowledged) =
        (target.trigger(&workflow, json!({})).await, target.trigger(&workflow, json!({})).await);
    let actions = [worker.next_start().await, worker.next_start().await];
    for action in actions.iter().filter(|action| action.workflow_run_id == acknowledged) {
        worker.started(action).await;
    }
    worker.listen();
    let third = target.trigger(&workflow, json!({})).await;
    let mut next = worker.next_start().await;
    if target.deviates(Deviation::UnacknowledgedIsResent) {
        assert_eq!((next.workflow_run_id.as_str(), next.retry_count), (unacknowledged.as_str(), 0));
        next = worker.next_start().await;
    }
    assert_eq!(next.workflow_run_id, third);
    for action in actions.iter().chain([&next]) {
        worker.complete(action, "{}").await;
    }
    for run in [&acknowledged, &unacknowledged, &third] {
        assert_eq!(target.done(run).await.status(), RunStatus::Completed);
    }
    worker.close().await;
}

#[tokio::test]
async fn two_streams_of_one_worker_share_its_assignments() {
    let target = Target::start().await;
    let workflow = target.workflow("streams").await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let first = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, first);
    worker.started(&action).await;

    let (mut dispatcher, request) = (target.dispatcher(), WorkerListenRequest { worker_id: worker.id.clone() });
    let mut second = StreamReader::open("an action", async move { dispatcher.listen_v2(request).await });
    let mut runs = BTreeSet::new();
    for _ in 0..4 {
        runs.insert(target.trigger(&workflow, json!({})).await);
    }
    // Each action is sent on exactly one of the streams; which one is unspecified.
    let mut received = Vec::new();
    eventually("all assignments have arrived", async || {
        received.extend(worker.waiting_action().map(|action| action.workflow_run_id));
        received.extend(second.waiting().map(|action| action.unwrap().workflow_run_id));
        (received.iter().cloned().collect::<BTreeSet<_>>() == runs).then_some(())
    })
    .await;
    // Unacknowledged assignments from before the second stream are resent on it.
    assert!(received.len() == runs.len() || target.deviates(Deviation::UnacknowledgedIsResent), "{received:?}");
    target.cancel(&runs.iter().chain([&first]).map(String::as_str).collect::<Vec<_>>()).await;
    worker.close().await;
}

#[tokio::test]
async fn unsubscribed_worker_gets_no_run() {
    let target = Target::start().await;
    let workflow = target.workflow("unsubscribed").await;
    let mut unsubscribed = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = unsubscribed.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    unsubscribed.unsubscribe().await.unwrap();
    unsubscribed.stop_listening();

    let mut other = RawWorker::start(&target, &workflow, 1).await;
    let next = target.trigger(&workflow, json!({})).await;
    let assigned = other.next_start().await;
    assert_eq!(assigned.workflow_run_id, next);
    other.complete(&assigned, "{}").await;
    // Attempts that were running when it unsubscribed still belong to it.
    unsubscribed.complete(&action, r#"{"late":true}"#).await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    other.close().await;
}

#[tokio::test]
async fn paused_worker_gets_no_run_until_resumed() {
    let target = Target::start().await;
    let workflow = target.workflow("paused").await;
    let mut paused = RawWorker::start(&target, &workflow, 10).await;
    let mut control = ControlWorker::start(&target).await;
    let first = target.trigger(&workflow, json!({})).await;
    let action = paused.next_start().await;
    assert_eq!(action.workflow_run_id, first);
    paused.complete(&action, "{}").await;

    let path = format!("/api/v1/workers/{}", paused.id);
    let (status, body) = target.rest.patch(&path, json!({"isPaused": true})).await;
    assert_eq!(status, 200, "{body}");
    target.rest.get_until(&path, "the worker is paused", |worker| worker["status"] == "PAUSED").await;
    // A scheduler may use outdated worker data briefly: a run that it still assigns is completed as well.
    let waiting = loop {
        let run = target.trigger(&workflow, json!({})).await;
        control.complete_runs(&target).await;
        match paused.waiting_action() {
            Some(action) => paused.complete(&action, "{}").await,
            None => break run,
        }
    };
    control.complete_runs(&target).await;
    assert_eq!(target.details(&waiting).await.unwrap().status(), RunStatus::Queued);

    let (status, body) = target.rest.patch(&path, json!({"isPaused": false})).await;
    assert_eq!(status, 200, "{body}");
    let action = paused.next_start().await;
    assert_eq!(action.workflow_run_id, waiting);
    paused.complete(&action, "{}").await;
    paused.close().await;
    control.close().await;
}
