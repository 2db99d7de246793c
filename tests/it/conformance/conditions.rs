//! Conditions of tasks: sleeps, events and parents' outputs that start, skip or cancel a task.

use std::time::Duration;

use hatchet_quickstart::hatchet::wire::proto::{
    AssignedAction, PushEventRequest,
    v1::{
        Action, BaseMatchCondition, CreateWorkflowVersionRequest, ParentOverrideMatchCondition, RunStatus,
        SleepMatchCondition, TaskConditions, UserEventMatchCondition,
    },
};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use super::{
    deviations::Deviation,
    multi_task::{dag, payload, states, worker},
};
use crate::support::{ControlWorker, Target, assert_refused, eventually};

const SKIPPED: &[u8] = br#"{"skipped":true}"#;

fn base(key: &str, action: Action, expression: &str) -> BaseMatchCondition {
    BaseMatchCondition {
        readable_data_key: key.to_owned(),
        action: action.into(),
        or_group_id: Uuid::new_v4().to_string(),
        expression: expression.to_owned(),
    }
}

fn sleep(action: Action, time: &str) -> SleepMatchCondition {
    SleepMatchCondition { base: Some(base("slept", action, "")), sleep_for: time.to_owned() }
}

fn event(action: Action, key: &str, expression: &str) -> UserEventMatchCondition {
    UserEventMatchCondition {
        base: Some(base("happened", action, expression)),
        user_event_key: key.to_owned(),
        ..Default::default()
    }
}

fn parent(action: Action, name: &str, expression: &str) -> ParentOverrideMatchCondition {
    ParentOverrideMatchCondition { base: Some(base(name, action, expression)), parent_readable_id: name.to_owned() }
}

/// Sets the conditions of a task.
fn set(definition: &mut CreateWorkflowVersionRequest, name: &str, conditions: TaskConditions) {
    let task = definition.tasks.iter_mut().find(|task| task.readable_id == name).unwrap();
    task.conditions = Some(conditions);
}

/// A workflow in which `b` follows `a` with these conditions, `c` follows `b`, and `rescue` is the on-failure task.
fn chain(target: &Target, base: &str, conditions: TaskConditions) -> CreateWorkflowVersionRequest {
    let mut definition = dag(target, base, &[("a", &[]), ("b", &["a"]), ("c", &["b"])], Some("rescue"));
    set(&mut definition, "b", conditions);
    definition
}

async fn push(target: &Target, key: &str, payload: Value) {
    let event = PushEventRequest { key: key.to_owned(), payload: payload.to_string(), ..Default::default() };
    target.events().push(event).await.unwrap();
}

/// Pushes an event repeatedly until the worker gets an assignment: a real engine registers the conditions of a task
/// some time after the end of its parents.
async fn push_until_start(
    target: &Target,
    worker: &mut crate::support::RawWorker,
    key: &str,
    payload: Value,
) -> AssignedAction {
    eventually("the event starts the task", async || {
        push(target, key, payload.clone()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        worker.waiting_action()
    })
    .await
}

#[tokio::test]
async fn task_starts_after_sleep_with_duration_in_payload() {
    let target = Target::start().await;
    let conditions = TaskConditions { sleep_conditions: vec![sleep(Action::Queue, "1s")], ..Default::default() };
    let (workflow, mut worker) = worker(&target, &chain(&target, "slept", conditions)).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    let started = std::time::Instant::now();
    worker.complete(&first, r#"{"v":1}"#).await;
    let second = worker.next_start().await;
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    let sent = payload(&second);
    assert_eq!((second.task_name.as_str(), &sent["parents"]), ("b", &json!({"a": {"v": 1}})));
    assert_eq!(sent["triggers"], json!({"filter_payload": null, "slept": {"sleep_duration": "1s"}}));
    worker.complete(&second, "{}").await;
    let third = worker.next_start().await;
    assert_eq!(payload(&third)["triggers"], json!({"filter_payload": null}), "only the task itself has the data");
    worker.complete(&third, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    worker.close().await;
}

#[tokio::test]
async fn task_starts_after_event_whose_expression_holds() {
    let target = Target::start().await;
    let key = target.name("go");
    let conditions = TaskConditions {
        user_event_conditions: vec![event(Action::Queue, &key, "input.n > 1 && output == {}")],
        ..Default::default()
    };
    let (workflow, mut worker) = worker(&target, &chain(&target, "by-event", conditions)).await;
    let mut control = ControlWorker::start(&target).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    push(&target, &key, json!({"n": 7})).await;
    control.complete_runs(&target).await;
    worker.complete(&first, "{}").await;
    push(&target, &key, json!({"n": 1})).await;
    push(&target, &key, json!({"other": 1})).await;
    push(&target, &target.name("going"), json!({"n": 7})).await;
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none(), "earlier events and events that do not match do not count");
    let second = push_until_start(&target, &mut worker, &key, json!({"n": 2, "x": "y"})).await;
    let sent = payload(&second);
    assert_eq!(sent["triggers"], json!({"filter_payload": null, "happened": {"n": 2, "x": "y"}}));
    worker.complete(&second, "{}").await;
    let third = worker.next_start().await;
    worker.complete(&third, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    control.close().await;
    worker.close().await;
}

#[tokio::test]
async fn skipped_task_completes_and_skips_children_without_other_parents() {
    let target = Target::start().await;
    let tasks: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a", "b"])];
    let mut definition = dag(&target, "skipped", tasks, Some("rescue"));
    let skip = vec![parent(Action::Skip, "a", "output.v > 1")];
    set(&mut definition, "b", TaskConditions { parent_override_conditions: skip, ..Default::default() });
    let (workflow, mut worker) = worker(&target, &definition).await;
    for (output, skips) in [(r#"{"v":2}"#, true), (r#"{"v":1}"#, false), (r#"{"w":2}"#, false)] {
        let run = target.trigger(&workflow, json!({})).await;
        let first = worker.next_start().await;
        worker.complete(&first, output).await;
        if !skips {
            let second = worker.next_start().await;
            assert_eq!(second.task_name, "b");
            worker.complete(&second, "{}").await;
            for _ in 0..2 {
                let action = worker.next_start().await;
                worker.complete(&action, "{}").await;
            }
            assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
            continue;
        }
        let last = worker.next_start().await;
        let parents = &payload(&last)["parents"];
        assert_eq!((last.task_name.as_str(), &parents["a"]), ("d", &json!({"v": 2})));
        assert_eq!(parents["b"], json!({"skipped": true}));
        worker.complete(&last, "{}").await;
        let details = target.done(&run).await;
        assert_eq!(details.status(), RunStatus::Completed);
        assert!(states(&details).values().all(|status| *status == RunStatus::Completed), "{details:?}");
        for name in ["b", "c", "rescue"] {
            assert_eq!(details.task_runs[name].output.as_deref(), Some(SKIPPED), "{name}");
        }
        let path = format!("/api/v1/stable/workflow-runs/{run}");
        let shown = target.rest.get_until(&path, "REST shows the end", |b| b["run"]["status"] == "COMPLETED").await;
        let b =
            shown["tasks"].as_array().unwrap().iter().find(|task| task["actionId"].as_str().unwrap().ends_with(":b"));
        assert_eq!(b.unwrap()["status"], "COMPLETED", "{shown}");
    }
    worker.close().await;
}

#[tokio::test]
async fn output_of_skipped_form_skips_children() {
    let target = Target::start().await;
    let definition = dag(&target, "says-skipped", &[("a", &[]), ("b", &["a"])], None);
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    worker.complete(&first, r#"{"skipped":true}"#).await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Completed);
    assert_eq!(details.task_runs["b"].output.as_deref(), Some(SKIPPED));
    worker.close().await;
}

#[tokio::test]
async fn cancelled_task_cancels_children_and_run() {
    let target = Target::start().await;
    let cancel = vec![parent(Action::Cancel, "a", "output.v > 1")];
    let conditions = TaskConditions { parent_override_conditions: cancel, ..Default::default() };
    let (workflow, mut worker) = worker(&target, &chain(&target, "cancels", conditions)).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    worker.complete(&first, r#"{"v":2}"#).await;
    let details = target.done(&run).await;
    assert_eq!(details.status(), RunStatus::Cancelled);
    let expected = [
        ("a", RunStatus::Completed),
        ("b", RunStatus::Cancelled),
        ("c", RunStatus::Cancelled),
        ("rescue", RunStatus::Completed),
    ];
    assert_eq!(states(&details), expected.into());
    assert_eq!(details.task_runs["rescue"].output.as_deref(), Some(SKIPPED));
    worker.close().await;
}

#[tokio::test]
async fn event_skips_or_cancels_task_that_sleeps() {
    let target = Target::start().await;
    for (action, status) in [(Action::Skip, RunStatus::Completed), (Action::Cancel, RunStatus::Cancelled)] {
        let name = format!("stopped-{}", action.as_str_name().to_lowercase());
        let key = target.name(&name);
        let conditions = TaskConditions {
            sleep_conditions: vec![sleep(Action::Queue, "1h")],
            user_event_conditions: vec![event(action, &key, "")],
            ..Default::default()
        };
        let (workflow, mut worker) = worker(&target, &chain(&target, &name, conditions)).await;
        let run = target.trigger(&workflow, json!({})).await;
        let first = worker.next_start().await;
        worker.complete(&first, "{}").await;
        let details = eventually("the event ends the run", async || {
            push(&target, &key, json!({})).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            target.details(&run).await.ok().filter(|details| details.done)
        })
        .await;
        assert_eq!((details.status(), details.task_runs["b"].status()), (status, status), "{action:?}");
        worker.close().await;
    }
}

#[tokio::test]
async fn one_condition_of_each_group_starts_task() {
    let target = Target::start().await;
    let key = target.name("either");
    let group = Uuid::new_v4().to_string();
    let in_group = |mut base: BaseMatchCondition| {
        base.or_group_id = group.clone();
        Some(base)
    };
    let conditions = TaskConditions {
        sleep_conditions: vec![
            SleepMatchCondition { base: in_group(base("hour", Action::Queue, "")), sleep_for: "1h".to_owned() },
            SleepMatchCondition { base: Some(base("second", Action::Queue, "")), sleep_for: "1s".to_owned() },
        ],
        user_event_conditions: vec![UserEventMatchCondition {
            base: in_group(base("event", Action::Queue, "")),
            user_event_key: key.clone(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let (workflow, mut worker) = worker(&target, &chain(&target, "groups", conditions)).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    worker.complete(&first, "{}").await;
    let second = push_until_start(&target, &mut worker, &key, json!({"n": 1})).await;
    let triggers = &payload(&second)["triggers"];
    assert_eq!((&triggers["event"], &triggers["second"]), (&json!({"n": 1}), &json!({"sleep_duration": "1s"})));
    assert_eq!(triggers.get("hour"), None);
    worker.complete(&second, "{}").await;
    let third = worker.next_start().await;
    worker.complete(&third, "{}").await;
    target.done(&run).await;
    worker.close().await;
}

#[tokio::test]
async fn task_without_parents_waits_for_its_event() {
    let target = Target::start().await;
    let key = target.name("root");
    let mut definition = dag(&target, "roots", &[("a", &[]), ("b", &[])], None);
    let events = vec![event(Action::Queue, &key, "input.n == 2")];
    set(&mut definition, "a", TaskConditions { user_event_conditions: events, ..Default::default() });
    let (workflow, mut worker) = worker(&target, &definition).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    assert_eq!(first.task_name, "b");
    worker.complete(&first, "{}").await;
    let second = push_until_start(&target, &mut worker, &key, json!({"n": 2})).await;
    assert_eq!(payload(&second)["triggers"], json!({"filter_payload": null}), "a task without parents has no data");
    worker.complete(&second, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    worker.close().await;
}

#[tokio::test]
async fn waiting_run_can_be_cancelled() {
    let target = Target::start().await;
    let conditions = TaskConditions { sleep_conditions: vec![sleep(Action::Queue, "1h")], ..Default::default() };
    let (workflow, mut worker) = worker(&target, &chain(&target, "cancelled-wait", conditions)).await;
    let run = target.trigger(&workflow, json!({})).await;
    let first = worker.next_start().await;
    if target.deviates(Deviation::WaitingTaskIsCancelled) {
        worker.complete(&first, "{}").await;
        target.cancel(&[&run]).await;
        let details = target.done(&run).await;
        let expected = [
            ("a", RunStatus::Completed),
            ("b", RunStatus::Cancelled),
            ("c", RunStatus::Cancelled),
            ("rescue", RunStatus::Cancelled),
        ];
        assert_eq!((details.status(), states(&details)), (RunStatus::Cancelled, expected.into()));
    } else {
        target.details_until(&run, "the run exists", |_| true).await;
        target.cancel(&[&run]).await;
        worker.next_cancel().await;
        assert_eq!(target.done(&run).await.status(), RunStatus::Cancelled);
    }
    worker.close().await;
}

#[tokio::test]
async fn replayed_task_waits_again() {
    let target = Target::start().await;
    let conditions = TaskConditions { sleep_conditions: vec![sleep(Action::Queue, "1s")], ..Default::default() };
    let (workflow, mut worker) = worker(&target, &chain(&target, "replayed-wait", conditions)).await;
    let run = target.trigger(&workflow, json!({})).await;
    for attempt in 0..2 {
        let mut completed = std::time::Instant::now();
        for name in ["a", "b", "c"] {
            let action = worker.next_start().await;
            assert_eq!((action.task_name.as_str(), action.retry_count), (name, attempt));
            assert!(name != "b" || completed.elapsed() >= Duration::from_millis(900), "{:?}", completed.elapsed());
            completed = std::time::Instant::now();
            worker.complete(&action, "{}").await;
        }
        target.done(&run).await;
        if attempt == 0 {
            target.replay(&[&run]).await;
        }
    }
    worker.close().await;
}

/// SDKs generate the ids of groups and the data keys of parents at every start.
#[tokio::test]
async fn generated_ids_keep_the_version() {
    let target = Target::start().await;
    let definition = || {
        let mut skip = parent(Action::Skip, "a", "output.v > 1");
        skip.base.as_mut().unwrap().readable_data_key = format!("a:{}", Uuid::new_v4());
        let conditions = TaskConditions {
            sleep_conditions: vec![sleep(Action::Queue, "1s")],
            parent_override_conditions: vec![skip],
            ..Default::default()
        };
        chain(&target, "generated", conditions)
    };
    let first = target.try_put(&definition()).await.unwrap();
    let again = target.try_put(&definition()).await.unwrap();
    assert_eq!((first.id, first.workflow_id), (again.id, again.workflow_id));
}

#[tokio::test]
async fn invalid_conditions_are_refused() {
    let target = Target::start().await;
    let refused = async |field: &str, conditions: TaskConditions| {
        let result = target.try_put(&chain(&target, "invalid", conditions)).await;
        assert_refused(result, Code::InvalidArgument, &format!("Tasks[1].TriggerConditions[0].{field}"));
    };
    let with_sleep =
        |sleep: SleepMatchCondition| TaskConditions { sleep_conditions: vec![sleep], ..Default::default() };
    refused("SleepDuration", with_sleep(sleep(Action::Queue, "1d"))).await;
    refused("SleepDuration", with_sleep(sleep(Action::Queue, ""))).await;
    refused("Action", with_sleep(sleep(Action::Create, "1s"))).await;
    let unnamed = SleepMatchCondition { base: Some(base("", Action::Queue, "")), sleep_for: "1s".to_owned() };
    refused("ReadableDataKey", with_sleep(unnamed)).await;
    // A real engine accepts these definitions, and their conditions are never met.
    if target.deviates(Deviation::ImpossibleConditionIsRefused) {
        let with_event = |event: UserEventMatchCondition| TaskConditions {
            user_event_conditions: vec![event],
            ..Default::default()
        };
        refused("EventKey", with_event(event(Action::Queue, "", ""))).await;
        refused("Expression", with_event(event(Action::Queue, "k", "input.n >"))).await;
        let parents = vec![parent(Action::Queue, "other", "")];
        refused("ParentReadableId", TaskConditions { parent_override_conditions: parents, ..Default::default() }).await;
    }
}

/// A real engine waits for both conditions of a group with a sleep and a parent, and never starts the task if the
/// parent's output does not match.
#[tokio::test]
async fn group_of_parent_and_sleep_needs_one_of_them() {
    let target = Target::start().await;
    if target.lacks(Deviation::GroupOfParentAndSleepNeedsOne) {
        return;
    }
    for (name, expression, time, key) in
        [("parent-of-two", "output.v == 1", "1h", None), ("sleep-of-two", "output.v == 2", "1s", Some("slept"))]
    {
        let group = Uuid::new_v4().to_string();
        let mut sleep = sleep(Action::Queue, time);
        let mut parent = parent(Action::Queue, "a", expression);
        for base in [&mut sleep.base, &mut parent.base] {
            base.as_mut().unwrap().or_group_id = group.clone();
        }
        let conditions = TaskConditions {
            sleep_conditions: vec![sleep],
            parent_override_conditions: vec![parent],
            ..Default::default()
        };
        let (workflow, mut worker) = worker(&target, &chain(&target, name, conditions)).await;
        target.trigger(&workflow, json!({})).await;
        let first = worker.next_start().await;
        worker.complete(&first, r#"{"v":1}"#).await;
        let second = worker.next_start().await;
        assert_eq!(second.task_name, "b");
        let triggers = payload(&second)["triggers"].as_object().unwrap().clone();
        assert_eq!(key.is_some(), triggers.contains_key("slept"), "{triggers:?}");
        worker.close().await;
    }
}

/// The run of a workflow whose only task has conditions never exists on a real engine.
#[tokio::test]
async fn only_task_of_workflow_waits_for_its_conditions() {
    let target = Target::start().await;
    if target.lacks(Deviation::OnlyTaskMayHaveConditions) {
        return;
    }
    let conditions = TaskConditions { sleep_conditions: vec![sleep(Action::Queue, "300ms")], ..Default::default() };
    let workflow = target.workflow_with("only", |task| task.conditions = Some(conditions)).await;
    let mut worker = crate::support::RawWorker::start(&target, &workflow, 1).await;
    let started = std::time::Instant::now();
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
    worker.complete(&action, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    worker.close().await;
}
