//! Retries of failed tasks.

use std::time::{Duration, Instant};

use hatchet_quickstart::hatchet::wire::proto::{
    StepActionEvent, StepActionEventType as Kind,
    v1::{CreateTaskOpts, RunStatus},
};
use serde_json::json;

use super::deviations::Deviation;
use crate::support::{ControlWorker, RawWorker, Target, only_task};

#[tokio::test]
async fn task_without_retries_fails_immediately() {
    let target = Target::for_failures().await;
    let workflow = target.workflow("once").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.fail(&action, "no").await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Failed);
    let task = only_task(&details);
    assert_eq!((task.status(), task.error.as_deref()), (RunStatus::Failed, Some("no")));
    worker.close().await;
}

#[tokio::test]
async fn retry_increments_count_and_keeps_ids() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("counted", |task| task.retries = 2).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({"a": 1})).await;
    for attempt in 0..3 {
        let action = worker.next_start().await;
        assert_eq!((action.retry_count, &action.workflow_run_id), (attempt, &run));
        assert_eq!((&action.task_run_external_id, action.priority), (&run, 1));
        let payload: serde_json::Value = serde_json::from_str(&action.action_payload).unwrap();
        assert_eq!(payload["input"], json!({"a": 1}));
        worker.fail(&action, &format!("attempt {attempt}")).await;
    }
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Failed);
    assert_eq!(only_task(&details).error.as_deref(), Some("attempt 2"));
    worker.close().await;
}

#[tokio::test]
async fn delay_of_a_worker_replaces_the_backoff() {
    let target = Target::for_failures().await;
    let change = |task: &mut CreateTaskOpts| {
        (task.retries, task.backoff_factor, task.backoff_max_seconds) = (2, Some(100.0), Some(3600));
    };
    if target.lacks(Deviation::WorkerChoosesRetryDelay) {
        return;
    }
    let workflow = target.workflow_with("chosen", change).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut control = ControlWorker::start(&target).await;
    let run = target.trigger(&workflow, json!({})).await;
    // The first delay ends immediately, a negative one too; the backoff would take 100 s.
    for (attempt, delay) in [(0, 0), (1, -5), (2, 3_600_000)] {
        let action = worker.next_start().await;
        assert_eq!(action.retry_count, attempt);
        let event = worker.event(&action, Kind::StepEventTypeFailed, "later");
        worker.send(StepActionEvent { retry_after_ms: Some(delay), ..event }).await.unwrap();
    }
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Failed, "the retries are used up");
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let event = worker.event(&action, Kind::StepEventTypeFailed, "later");
    worker.send(StepActionEvent { retry_after_ms: Some(3_600_000), ..event }).await.unwrap();
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none(), "the retry waits for an hour");
    assert_eq!(target.details(&run).await.unwrap().status(), RunStatus::Queued);
    target.cancel(&[&run]).await;
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn successful_retry_completes_run() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("recovers", |task| task.retries = 1).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.fail(&action, "first").await;
    let action = worker.next_start().await;
    worker.complete(&action, r#"{"ok":1}"#).await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Completed);
    let task = only_task(&details);
    assert_eq!(task.output.as_deref(), Some(&br#"{"ok":1}"#[..]));
    assert_eq!(task.error.as_deref().unwrap_or_default(), "");
    worker.close().await;
}

#[tokio::test]
async fn events_of_another_attempt_are_ignored() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("stale", |task| task.retries = 1).await;
    let mut worker = RawWorker::start(&target, &workflow, 2).await;
    let mut control = ControlWorker::start(&target).await;
    let run = target.trigger(&workflow, json!({})).await;
    let stale = worker.next_start().await;
    worker.fail(&stale, "first").await;
    let current = worker.next_start().await;
    assert_eq!(current.retry_count, 1);

    worker.complete(&stale, r#"{"from":"the past"}"#).await;
    let event = StepActionEvent { retry_count: Some(7), ..worker.event(&stale, Kind::StepEventTypeFailed, "ahead") };
    worker.send(event).await.unwrap();
    control.complete_runs(&target).await;
    let details = target.details(&run).await.unwrap();
    assert_eq!((details.status(), details.done), (RunStatus::Running, false));

    worker.complete(&current, r#"{"from":"now"}"#).await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Completed);
    assert_eq!(only_task(&details).output.as_deref(), Some(&br#"{"from":"now"}"#[..]));
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn event_without_retry_count_applies_to_current_attempt() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("uncounted", |task| task.retries = 1).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.fail(&action, "no").await;
    let action = worker.next_start().await;
    assert_eq!((&action.workflow_run_id, action.retry_count), (&run, 1));
    let event = StepActionEvent { retry_count: None, ..worker.event(&action, Kind::StepEventTypeCompleted, "{}") };
    worker.send(event).await.unwrap();
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    worker.close().await;
}

#[tokio::test]
async fn non_retryable_failure_is_not_retried() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("fatal", |task| task.retries = 5).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let event =
        StepActionEvent { should_not_retry: Some(true), ..worker.event(&action, Kind::StepEventTypeFailed, "fatal") };
    worker.send(event).await.unwrap();
    let details = target.done(&run).await;
    assert_eq!((details.status(), only_task(&details).error.as_deref()), (RunStatus::Failed, Some("fatal")));
    // The next assignment of the worker is another run.
    let next = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!((&action.workflow_run_id, action.retry_count), (&next, 0));
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn invalid_output_is_retried_like_other_failures() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("bad-output", |task| task.retries = 1).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{").await;
    let retry = worker.next_start().await;
    assert_eq!((&retry.workflow_run_id, retry.retry_count), (&run, 1));
    worker.complete(&retry, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    worker.close().await;
}

#[tokio::test]
async fn retry_waits_for_backoff() {
    let target = Target::for_failures().await;
    let workflow = target
        .workflow_with("backoff", |task| {
            task.retries = 1;
            task.backoff_factor = Some(2.0);
            task.backoff_max_seconds = Some(10);
        })
        .await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let failed = Instant::now();
    worker.fail(&action, "no").await;
    let details =
        target.details_until(&run, "the run is queued", |details| details.status() == RunStatus::Queued).await;
    assert!(!details.done);

    // The slot is free during the backoff.
    let other = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, other);
    worker.complete(&action, "{}").await;

    let retry = worker.next_start().await;
    assert_eq!((&retry.workflow_run_id, retry.retry_count), (&run, 1));
    // At least 2^1 s, minus the tolerance between two clocks. There is no upper limit.
    assert!(failed.elapsed() > Duration::from_millis(1900), "after {:?}", failed.elapsed());
    worker.complete(&retry, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    worker.close().await;
}
