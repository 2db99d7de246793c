//! Outcomes that a worker reports, and their effect on the run.

use hatchet_quickstart::hatchet::wire::proto::{
    StepActionEvent, StepActionEventType as Kind,
    v1::{GetRunDetailsResponse, RunStatus},
};
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use super::deviations::Deviation;
use crate::support::{ControlWorker, RawWorker, Target, assert_refused, only_task};

fn output(details: &GetRunDetailsResponse) -> &str {
    std::str::from_utf8(only_task(details).output.as_deref().unwrap_or_default()).unwrap()
}

#[tokio::test]
async fn completed_event_without_started_completes_run() {
    let target = Target::start().await;
    let workflow = target.workflow("bare").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let event = StepActionEvent {
        task_run_external_id: action.task_run_external_id.clone(),
        event_type: Kind::StepEventTypeCompleted.into(),
        event_payload: r#"{"ok":true}"#.to_owned(),
        ..Default::default()
    };
    worker.send(event).await.unwrap();
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Completed);
    let task = only_task(&details);
    assert_eq!(
        (task.status(), task.external_id.as_str(), task.readable_id.as_str()),
        (RunStatus::Completed, run.as_str(), workflow.name.as_str())
    );
    assert_eq!((output(&details), task.error.as_deref().unwrap_or_default()), (r#"{"ok":true}"#, ""));
    assert!(details.task_runs.contains_key(&workflow.name), "the map's keys are the tasks' names");
    worker.close().await;
}

#[tokio::test]
async fn started_event_may_be_repeated_late_or_missing() {
    let target = Target::start().await;
    let workflow = target.workflow("started").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.started(&action).await;
    worker.started(&action).await;
    worker.report(&action, Kind::StepEventTypeAcknowledged, "").await;
    assert_eq!(target.details(&run).await.unwrap().status(), RunStatus::Running);
    worker.complete(&action, r#"{"n":1}"#).await;
    worker.started(&action).await;
    let details = target.done(&run).await;
    worker.started(&action).await;
    assert_eq!((details.status(), output(&details)), (RunStatus::Completed, r#"{"n":1}"#));
    assert_eq!(target.details(&run).await.unwrap(), details);
    worker.close().await;
}

#[tokio::test]
async fn output_is_returned_byte_for_byte() {
    let target = Target::start().await;
    let workflow = target.workflow("bytes").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let outputs = [
        r#"{ "z" : 9007199254740993,  "a":1.0, "a":2, "u":"é<>&\u00e9" }"#,
        "[1, 2]",
        r#""text""#,
        "12.50",
        "null",
        "true",
    ];
    for sent in outputs {
        let run = target.trigger(&workflow, json!({})).await;
        let action = worker.next_start().await;
        worker.complete(&action, sent).await;
        let details = target.done(&run).await;
        assert_eq!((details.status(), output(&details)), (RunStatus::Completed, sent));
    }
    worker.close().await;
}

#[tokio::test]
async fn empty_output_completes_run() {
    let target = Target::start().await;
    let workflow = target.workflow("empty").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "").await;
    let details = target.done(&run).await;
    assert_eq!((details.status(), output(&details)), (RunStatus::Completed, ""));
    worker.close().await;
}

#[tokio::test]
async fn output_with_nul_or_invalid_json_fails_task() {
    let target = Target::for_failures().await;
    let workflow = target.workflow("bad-output").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let faults = [
        ("{", "invalid json in field `taskOutput`"),
        ("hello", "invalid json in field `taskOutput`"),
        (r#"{"a":"\u0000"}"#, r"encoded jsonb contains invalid null character \u0000 in field `taskOutput`"),
    ];
    for (sent, error) in faults {
        let run = target.trigger(&workflow, json!({})).await;
        let action = worker.next_start().await;
        worker.complete(&action, sent).await;
        let details = target.done(&run).await;
        assert_eq!(details.status(), RunStatus::Failed);
        assert_eq!(only_task(&details).error.as_deref(), Some(error));
        assert_eq!(output(&details), "");
    }

    // An escaped backslash followed by `u0000`, which is not a NUL.
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let sent = r#"{"a":"\\u0000"}"#;
    worker.complete(&action, sent).await;
    let details = target.done(&run).await;
    assert_eq!((details.status(), output(&details)), (RunStatus::Completed, sent));
    worker.close().await;
}

#[tokio::test]
async fn error_text_is_returned_unchanged() {
    let target = Target::for_failures().await;
    let workflow = target.workflow("error").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let error = "Type: it broke \\\n  at \"line\" 1 é 😀\n\n{\"k\":1}";
    worker.fail(&action, error).await;
    let details = target.done(&run).await;
    assert_eq!((details.status(), details.done), (RunStatus::Failed, true));
    assert_eq!(only_task(&details).error.as_deref(), Some(error));
    assert_eq!(output(&details), "");
    worker.close().await;
}

#[tokio::test]
async fn json_error_text_with_nul_is_replaced() {
    let target = Target::for_failures().await;
    let workflow = target.workflow("error-nul").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.fail(&action, r#"{"message":"\u0000"}"#).await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Failed);
    let error = only_task(&details).error.as_deref().unwrap_or_default();
    assert!(error.starts_with(r"error message contains invalid null character \u0000."), "{error}");
    worker.close().await;
}

#[tokio::test]
async fn event_without_run_is_invalid() {
    let target = Target::start().await;
    let mut worker = RawWorker::register(&target, "worker", &[], &[("default", 1)]).await;
    let event = |id: &str, kind: Kind| StepActionEvent {
        task_run_external_id: id.to_owned(),
        event_type: kind.into(),
        ..Default::default()
    };
    for kind in [Kind::StepEventTypeStarted, Kind::StepEventTypeCompleted, Kind::StepEventTypeFailed] {
        let text = "invalid task external run id zz";
        assert_refused(worker.send(event("zz", kind)).await, Code::InvalidArgument, text);
        let id = Uuid::new_v4().to_string();
        let text = format!("invalid task external run id {id}");
        assert_refused(worker.send(event(&id, kind)).await, Code::InvalidArgument, &text);
    }
    worker.close().await;
}

#[tokio::test]
async fn event_without_type_is_invalid() {
    let target = Target::start().await;
    let workflow = target.workflow("no-type").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let event = worker.event(&action, Kind::StepEventTypeUnknown, "");
    assert_refused(worker.send(event).await, Code::InvalidArgument, &format!("invalid task external run id {run}"));
    let event = StepActionEvent { event_type: 99, ..worker.event(&action, Kind::StepEventTypeUnknown, "") };
    assert_refused(worker.send(event).await, Code::InvalidArgument, &format!("invalid task external run id {run}"));
    worker.complete(&action, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    worker.close().await;
}

#[tokio::test]
async fn event_without_worker_id_is_accepted() {
    let target = Target::start().await;
    let workflow = target.workflow("no-worker-id").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    for worker_id in [String::new(), "other".to_owned(), Uuid::new_v4().to_string()] {
        let run = target.trigger(&workflow, json!({})).await;
        let action = worker.next_start().await;
        let event = StepActionEvent {
            worker_id: worker_id.clone(),
            event_timestamp: None,
            ..worker.event(&action, Kind::StepEventTypeCompleted, "{}")
        };
        let response = target.dispatcher().send_step_action_event(event).await.unwrap().into_inner();
        assert_eq!((response.tenant_id, response.worker_id), (target.tenant.clone(), worker_id));
        assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    }
    worker.close().await;
}

#[tokio::test]
async fn worker_can_cancel_its_task() {
    let target = Target::start().await;
    let workflow = target.workflow_with("cancels", |task| task.retries = 2).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    let event = worker.event(&action, Kind::StepEventTypeCancelled, "why");
    if let Err(status) = worker.send(event).await {
        assert!(!target.deviates(Deviation::WorkerCanCancel), "{status:?}");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        worker.complete(&action, "{}").await;
        worker.close().await;
        return;
    }
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Cancelled);
    assert_eq!(only_task(&details).error.as_deref().unwrap_or_default(), "");
    let cancel = worker.next_cancel().await;
    assert_eq!((cancel.task_run_external_id, cancel.retry_count), (run, 0));
    worker.close().await;
}

#[tokio::test]
async fn second_outcome_of_attempt_is_accepted_without_effect() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("second", |task| task.retries = 1).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut control = ControlWorker::start(&target).await;

    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, r#"{"n":1}"#).await;
    target.done(&run).await;
    worker.complete(&action, r#"{"n":2}"#).await;
    let first_is_final = target.deviates(Deviation::FinishedAttemptStaysFinished);
    if first_is_final {
        // A real engine has been observed to start a retry if this event arrives right after the end.
        worker.fail(&action, "late").await;
    }
    control.complete_runs(&target).await;
    let details = target.details(&run).await.unwrap();
    assert_eq!((details.status(), details.done), (RunStatus::Completed, true));
    let allowed: &[&str] = if first_is_final { &[r#"{"n":1}"#] } else { &[r#"{"n":1}"#, r#"{"n":2}"#] };
    assert!(allowed.contains(&output(&details)), "{}", output(&details));
    assert!(worker.waiting_action().is_none(), "a finished attempt was retried");
    worker.close().await;
    control.close().await;
}
