//! Workflows of several tasks.

use std::collections::BTreeMap;

use hatchet_quickstart::hatchet::wire::proto::{
    AssignedAction, SubscribeToWorkflowRunsRequest,
    v1::{CreateTaskOpts, CreateWorkflowVersionRequest, GetRunDetailsResponse, RunStatus},
};
use serde_json::{Value, json};
use tonic::Code;

use super::deviations::Deviation;
use crate::support::{RawWorker, StreamReader, Target, Workflow, assert_refused};

/// A workflow of tasks with parents, and with an on-failure task if its name is given.
pub(super) fn dag(
    target: &Target,
    base: &str,
    tasks: &[(&str, &[&str])],
    on_failure: Option<&str>,
) -> CreateWorkflowVersionRequest {
    let mut definition = target.definition(base);
    let plain = definition.tasks[0].clone();
    let task = |name: &str, parents: &[&str]| CreateTaskOpts {
        readable_id: name.to_owned(),
        action: format!("{}:{name}", definition.name),
        parents: parents.iter().map(|p| (*p).to_owned()).collect(),
        ..plain.clone()
    };
    let all = tasks.iter().map(|(name, parents)| task(name, parents)).collect();
    let on_failure_task = on_failure.map(|name| task(name, &[]));
    definition.tasks = all;
    definition.on_failure_task = on_failure_task;
    definition
}

/// A worker with all tasks of a workflow.
pub(super) async fn worker(target: &Target, definition: &CreateWorkflowVersionRequest) -> (Workflow, RawWorker) {
    let workflow = target.put(definition).await;
    let actions: Vec<&str> =
        definition.tasks.iter().chain(&definition.on_failure_task).map(|task| task.action.as_str()).collect();
    let mut worker = RawWorker::register(target, "worker", &actions, &[("default", 10)]).await;
    worker.listen();
    (workflow, worker)
}

/// The parsed payload of an assignment.
pub(super) fn payload(action: &AssignedAction) -> Value {
    serde_json::from_str(&action.action_payload).unwrap()
}

/// The status of each task, by name.
pub(super) fn states(details: &GetRunDetailsResponse) -> BTreeMap<&str, RunStatus> {
    details.task_runs.iter().map(|(name, task)| (name.as_str(), task.status())).collect()
}

/// The next two assignments, by task name.
pub(super) async fn next_two(worker: &mut RawWorker) -> BTreeMap<String, AssignedAction> {
    let mut all = BTreeMap::new();
    for _ in 0..2 {
        let action = worker.next_start().await;
        all.insert(action.task_name.clone(), action);
    }
    all
}

#[tokio::test]
async fn task_starts_after_its_parents_with_their_outputs() {
    let target = Target::start().await;
    let definition = dag(&target, "joined", &[("a", &[]), ("b", &[]), ("c", &["a", "b"])], None);
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({"n": 1})).await;
    let roots = next_two(&mut worker).await;
    assert!(roots.values().all(|action| action.workflow_run_id == run && action.task_run_external_id != run));
    worker.complete(&roots["a"], r#"{"v":1}"#).await;
    worker.complete(&roots["b"], r#"{"v":2}"#).await;
    let child = worker.next_start().await;
    assert_eq!((child.task_name.as_str(), &child.workflow_run_id), ("c", &run));
    let sent = payload(&child);
    assert_eq!((&sent["input"], &sent["parents"]), (&json!({"n": 1}), &json!({"a": {"v": 1}, "b": {"v": 2}})));
    worker.complete(&child, r#"{"v":3}"#).await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Completed);
    assert_eq!(details.task_runs["c"].output.as_deref(), Some(&br#"{"v":3}"#[..]));

    let single = target.details(&child.task_run_external_id).await.unwrap();
    assert_eq!(states(&single), [("c", RunStatus::Completed)].into());
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    let mut dispatcher = target.dispatcher();
    let stream = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut events =
        StreamReader::open("the end of the run", async move { dispatcher.subscribe_to_workflow_runs(stream).await });
    sender.send(SubscribeToWorkflowRunsRequest { workflow_run_id: run.clone() }).await.unwrap();
    let event = events.message().await;
    let mut results: Vec<(&str, Option<&str>)> =
        event.results.iter().map(|result| (result.task_name.as_str(), result.output.as_deref())).collect();
    results.sort_unstable();
    assert_eq!(results, [("a", Some(r#"{"v":1}"#)), ("b", Some(r#"{"v":2}"#)), ("c", Some(r#"{"v":3}"#))]);
    worker.close().await;
}

#[tokio::test]
async fn assignment_has_the_outputs_of_all_completed_tasks() {
    let target = Target::for_failures().await;
    let tasks: &[(&str, &[&str])] = &[("a", &[]), ("other", &[]), ("b", &["a"]), ("c", &["b"])];
    let mut definition = dag(&target, "all-outputs", tasks, None);
    definition.tasks[1].retries = 1;
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({})).await;
    let roots = next_two(&mut worker).await;
    assert_eq!((&payload(&roots["a"])["parents"], &payload(&roots["other"])["parents"]), (&json!({}), &json!({})));
    worker.complete(&roots["a"], r#"{"v":1}"#).await;
    let second = worker.next_start().await;
    assert_eq!((second.task_name.as_str(), &payload(&second)["parents"]), ("b", &json!({"a": {"v": 1}})));
    worker.fail(&roots["other"], "no").await;
    let retried = worker.next_start().await;
    assert_eq!((retried.task_name.as_str(), retried.retry_count), ("other", 1));
    assert_eq!(payload(&retried)["parents"], json!({"a": {"v": 1}}), "also of a task without parents");
    worker.complete(&retried, r#"{"v":2}"#).await;
    let path = format!("/api/v1/stable/tasks/{}", retried.task_run_external_id);
    target.rest.get_until(&path, "the task has completed", |task| task["status"] == "COMPLETED").await;
    worker.complete(&second, r#"{"v":3}"#).await;
    let third = worker.next_start().await;
    let all = json!({"a": {"v": 1}, "b": {"v": 3}, "other": {"v": 2}});
    assert_eq!((third.task_name.as_str(), &payload(&third)["parents"]), ("c", &all));
    worker.complete(&third, "{}").await;
    target.done(&run).await;
    let path = format!("/api/v1/stable/workflow-runs/{run}");
    let shown = target.rest.get_until(&path, "REST shows the end", |b| b["run"]["status"] == "COMPLETED").await;
    let shown = shown["tasks"].as_array().unwrap().iter().find(|task| task["actionId"] == json!(third.action_id));
    assert_eq!(shown.unwrap()["input"]["parents"], json!({"b": {"v": 3}}), "REST shows the parents only");
    worker.close().await;
}

#[tokio::test]
async fn completed_task_of_open_run_is_listed() {
    let target = Target::start().await;
    let definition = dag(&target, "half-done", &[("a", &[]), ("b", &["a"])], None);
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    let details = target.details(&run).await.unwrap();
    assert_eq!(states(&details), [("a", RunStatus::Running)].into(), "a task that waits for its parents is not listed");
    worker.complete(&first, "{}").await;
    let second = worker.next_start().await;
    let details = target.details(&run).await.unwrap();
    let shown = if target.deviates(Deviation::OpenRunShowsItsTasks) { RunStatus::Completed } else { RunStatus::Queued };
    assert_eq!((details.status(), details.done), (RunStatus::Running, false));
    assert_eq!(states(&details)["a"], shown);
    let single = target.details(&first.task_run_external_id).await.unwrap();
    assert_eq!(states(&single)["a"], RunStatus::Completed);
    worker.complete(&second, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn failed_task_cancels_children_and_triggers_on_failure_task() {
    let target = Target::start().await;
    let tasks: &[(&str, &[&str])] = &[("boom", &[]), ("fine", &[]), ("child", &["boom"])];
    let definition = dag(&target, "failing", tasks, Some("rescue"));
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({})).await;
    let roots = next_two(&mut worker).await;
    worker.complete(&roots["fine"], r#"{"ok":1}"#).await;
    worker.fail(&roots["boom"], "no").await;
    let rescue = worker.next_start().await;
    assert_eq!(rescue.task_name, "rescue");
    assert_eq!(payload(&rescue)["step_run_errors"], json!({"boom": "no"}));
    worker.complete(&rescue, "{}").await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Failed);
    let expected = [
        ("boom", RunStatus::Failed),
        ("child", RunStatus::Cancelled),
        ("fine", RunStatus::Completed),
        ("rescue", RunStatus::Completed),
    ];
    assert_eq!(states(&details), expected.into());
    assert_eq!(details.task_runs["child"].error.as_deref(), Some(""));
    worker.close().await;
}

#[tokio::test]
async fn on_failure_task_of_successful_run_is_skipped() {
    let target = Target::start().await;
    let definition = dag(&target, "unfailing", &[("a", &[])], Some("rescue"));
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Completed);
    let output: Value = serde_json::from_slice(details.task_runs["rescue"].output.as_deref().unwrap()).unwrap();
    assert_eq!(output, json!({"skipped": true}));
    worker.close().await;
}

#[tokio::test]
async fn cancelled_run_cancels_all_its_tasks() {
    let target = Target::start().await;
    let definition = dag(&target, "cancelled", &[("a", &[]), ("b", &["a"])], None);
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    target.details_until(&run, "the run exists", |_| true).await;
    target.cancel(&[&run]).await;
    assert_eq!(worker.next_cancel().await.task_run_external_id, action.task_run_external_id);
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Cancelled);
    assert!(states(&details).values().all(|status| *status == RunStatus::Cancelled), "{details:?}");
    worker.close().await;
}

#[tokio::test]
async fn replayed_run_executes_all_its_tasks() {
    let target = Target::start().await;
    let definition = dag(&target, "replayed", &[("a", &[]), ("b", &["a"])], None);
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({})).await;
    for attempt in 0..2 {
        for name in ["a", "b"] {
            let action = worker.next_start().await;
            assert_eq!((action.task_name.as_str(), action.retry_count), (name, attempt));
            worker.complete(&action, &format!("{{\"n\":{attempt}}}")).await;
        }
        target.done(&run).await;
        if attempt == 0 {
            target.replay(&[&run]).await;
        }
    }
    worker.close().await;
}

#[tokio::test]
async fn invalid_parents_are_refused() {
    let target = Target::start().await;
    let definition = dag(&target, "unknown-parent", &[("t", &["nope"])], None);
    let text = "dag parent not found: parent step 'nope' not found for step 't'";
    assert_refused(target.try_put(&definition).await, Code::InvalidArgument, text);
    let code =
        if target.deviates(Deviation::MalformedDefinitionIsInvalid) { Code::InvalidArgument } else { Code::Internal };
    for tasks in [&[("a", &["b"][..]), ("b", &["a"])][..], &[("t", &[]), ("t", &[])]] {
        assert_refused(target.try_put(&dag(&target, "broken", tasks, None)).await, code, "");
    }
}
