//! Workers that stop sending heartbeats.

use hatchet_quickstart::hatchet::wire::proto::v1::RunStatus;
use serde_json::json;

use crate::support::{ControlWorker, Embedded, RawWorker, Target, only_task};

/// A target that detects a lost worker within the duration of a test, or `None`.
async fn target() -> Option<Target> {
    if std::env::var("HATCHET_TEST_TARGET").as_deref() == Ok("real") {
        if std::env::var("HATCHET_TEST_SLOW").as_deref() != Ok("1") {
            println!("skipped: a real engine detects a lost worker after 30 s; HATCHET_TEST_SLOW=1 runs it");
            return None;
        }
        return Some(Target::start().await);
    }
    Some(Target::embedded(Embedded::with_short_lease().await))
}

#[tokio::test]
async fn task_of_lost_worker_is_reassigned() {
    let Some(target) = target().await else { return };
    let workflow = target.workflow("lost").await;
    let mut lost_worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = lost_worker.next_start().await;
    assert_eq!(first.retry_count, 0);
    lost_worker.stop_heartbeats();

    // Not a retry: the task has no retries.
    let mut other = RawWorker::start(&target, &workflow, 1).await;
    let action = other.next_start().await;
    assert_eq!((&action.workflow_run_id, action.retry_count), (&run, 1));
    // The lost worker may still execute the task; its events are ignored.
    lost_worker.complete(&first, r#"{"by":"the lost worker"}"#).await;
    other.complete(&action, r#"{"by":"the other worker"}"#).await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Completed);
    assert_eq!(only_task(&details).output.as_deref(), Some(&br#"{"by":"the other worker"}"#[..]));
    other.close().await;
    lost_worker.close().await;
}

#[tokio::test]
async fn worker_without_recent_heartbeat_gets_no_run() {
    let target = Target::start().await;
    let workflow = target.workflow("silent").await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let mut control = ControlWorker::start(&target).await;
    target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;

    worker.stop_heartbeats();
    let path = format!("/api/v1/workers/{}", worker.id);
    target.rest.get_until(&path, "the worker is inactive", |worker| worker["status"] == "INACTIVE").await;
    // A scheduler may use outdated worker data briefly: a run that it still assigns is completed as well.
    let waiting = loop {
        let run = target.trigger(&workflow, json!({})).await;
        control.complete_runs(&target).await;
        match worker.waiting_action() {
            Some(action) => worker.complete(&action, "{}").await,
            None => break run,
        }
    };
    control.complete_runs(&target).await;
    assert_eq!(target.details(&waiting).await.unwrap().status(), RunStatus::Queued);

    // The stream has stayed open, so heartbeats suffice.
    worker.resume_heartbeats();
    let action = worker.next_start().await;
    assert_eq!((&action.workflow_run_id, action.retry_count), (&waiting, 0));
    worker.complete(&action, "{}").await;
    worker.close().await;
    control.close().await;
}
