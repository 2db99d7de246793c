//! Workers that stop sending heartbeats.

use hatchet_quickstart::hatchet::wire::proto::v1::RunStatus;
use serde_json::json;

use crate::support::{ControlWorker, Embedded, RawWorker, Target, only_task};

/// A target that detects a lost worker within the duration of a test, or `None`.
async fn target() -> Option<Target> {
    if std::env::var("HATCHET_TEST_TARGET").as_deref() == Ok("real") {
        if std::env::var("HATCHET_TEST_SLOW").as_deref() != Ok("1") {
            println!("skipped: it takes a real engine 30 s to give a worker up; HATCHET_TEST_SLOW=1 runs it");
            return None;
        }
        return Some(Target::start().await);
    }
    Some(Target::embedded(Embedded::with_short_lease().await))
}

#[tokio::test]
async fn task_of_lost_worker_is_reassigned() {
    let Some(target) = target().await else { return };
    let workflow = target.workflow("dies").await;
    let mut dead = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let lost = dead.next_start().await;
    assert_eq!(lost.retry_count, 0);
    dead.stop_heartbeats();

    // It is no retry of the task, which has none.
    let mut heir = RawWorker::start(&target, &workflow, 1).await;
    let action = heir.next_start().await;
    assert_eq!((&action.workflow_run_id, action.retry_count), (&run, 1));
    // The lost worker may still execute the task; its events are ignored.
    dead.complete(&lost, r#"{"by":"the dead"}"#).await;
    heir.complete(&action, r#"{"by":"the heir"}"#).await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Completed);
    assert_eq!(only_task(&details).output.as_deref(), Some(&br#"{"by":"the heir"}"#[..]));
    heir.close().await;
    dead.close().await;
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

    // Its stream has stayed open, so heartbeats suffice.
    worker.resume_heartbeats();
    let action = worker.next_start().await;
    assert_eq!((&action.workflow_run_id, action.retry_count), (&waiting, 0));
    worker.complete(&action, "{}").await;
    worker.close().await;
    control.close().await;
}
