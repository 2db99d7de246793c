//! Workers that fall silent.

use hatchet_quickstart::hatchet::wire::proto::v1::RunStatus;
use serde_json::json;

use crate::support::{Bystander, Embedded, RawWorker, Target, only_task};

/// A target on which a worker's death is noticed in a case's time, or none.
async fn target() -> Option<Target> {
    if std::env::var("HATCHET_TEST_TARGET").as_deref() == Ok("real") {
        if std::env::var("HATCHET_TEST_SLOW").as_deref() != Ok("1") {
            println!("skipped: it takes a real engine 30 s to give a worker up; HATCHET_TEST_SLOW=1 runs it");
            return None;
        }
        return Some(Target::start().await);
    }
    Some(Target::embedded(Embedded::impatient().await))
}

#[tokio::test]
async fn task_of_lost_worker_is_reassigned() {
    let Some(target) = target().await else { return };
    let flow = target.flow("dies").await;
    let mut dead = RawWorker::start(&target, &flow, 1).await;
    let run = target.trigger(&flow, json!({})).await;
    let lost = dead.next_start().await;
    assert_eq!(lost.retry_count, 0);
    dead.stop_heartbeats();

    // Not one of the task's own retries: it has none.
    let mut heir = RawWorker::start(&target, &flow, 1).await;
    let action = heir.next_start().await;
    assert_eq!((&action.workflow_run_id, action.retry_count), (&run, 1));
    // The dead one may still be at work, and its word no longer counts.
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
    let flow = target.flow("silent").await;
    let mut worker = RawWorker::start(&target, &flow, 10).await;
    let mut bystander = Bystander::start(&target).await;
    target.trigger(&flow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;

    worker.stop_heartbeats();
    let path = format!("/api/v1/workers/{}", worker.id);
    target.rest.get_until(&path, "it is taken for inactive", |worker| worker["status"] == "INACTIVE").await;
    // A scheduler may work with what it knew of its workers for a moment: a run it still assigns is taken as well.
    let waiting = loop {
        let run = target.trigger(&flow, json!({})).await;
        bystander.pass(&target).await;
        match worker.waiting_action() {
            Some(action) => worker.complete(&action, "{}").await,
            None => break run,
        }
    };
    bystander.pass(&target).await;
    assert_eq!(target.details(&waiting).await.unwrap().status(), RunStatus::Queued);

    // Its stream was open all the time, so heartbeats are enough.
    worker.resume_heartbeats();
    let action = worker.next_start().await;
    assert_eq!((&action.workflow_run_id, action.retry_count), (&waiting, 0));
    worker.complete(&action, "{}").await;
    worker.close().await;
    bystander.close().await;
}
