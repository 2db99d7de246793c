//! Concurrency groups of tasks and of workflows.

use hatchet_quickstart::hatchet::wire::proto::v1::{
    Concurrency, ConcurrencyLimitStrategy as Strategy, CreateTaskOpts, RunStatus, TriggerWorkflowRequest,
};
use serde_json::{Value, json};
use tonic::Code;

use super::deviations::Deviation;
use crate::support::{ControlWorker, RawWorker, Target, Workflow, assert_refused, only_task};

fn rule(expression: &str, max_runs: i32, strategy: Strategy) -> Concurrency {
    Concurrency {
        expression: expression.to_owned(),
        max_runs: Some(max_runs),
        limit_strategy: Some(strategy.into()),
        ..Default::default()
    }
}

/// Registers a workflow of one task with these rules on the task.
async fn grouped(target: &Target, base: &str, rules: Vec<Concurrency>) -> Workflow {
    target.workflow_with(base, |task| task.concurrency = rules).await
}

/// Triggers a run of the group `key`.
async fn trigger(target: &Target, workflow: &Workflow, key: &str) -> String {
    target.trigger(workflow, json!({ "k": key })).await
}

async fn status_is(target: &Target, run: &str, status: RunStatus) {
    target.details_until(run, status.as_str_name(), |details| details.status() == status).await;
}

/// Receives the assignment of a run, which must be the next, and completes its task.
async fn complete_next(worker: &mut RawWorker, run: &str) {
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    worker.complete(&action, "{}").await;
}

/// The type and the message of each event of a task, oldest first, once an event of this type is there.
async fn events(target: &Target, task: &str, last: &str) -> Vec<(String, String, String)> {
    let path = format!("/api/v1/stable/tasks/{task}/task-events?limit=50&offset=0");
    let has_last =
        |body: &Value| body["rows"].as_array().is_some_and(|rows| rows.iter().any(|row| row["eventType"] == last));
    let body = target.rest.get_until(&path, last, has_last).await;
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let rows = body["rows"].as_array().unwrap().iter().rev();
    rows.map(|row| (text(row, "eventType"), text(row, "message"), text(row, "errorMessage"))).collect()
}

#[tokio::test]
async fn round_robin_delays_runs_beyond_the_limit_of_their_key() {
    let target = Target::start().await;
    let workflow = grouped(&target, "robin", vec![rule("input.k", 1, Strategy::GroupRoundRobin)]).await;
    let mut control = ControlWorker::start(&target).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let first = trigger(&target, &workflow, "x").await;
    let running = worker.next_start().await;
    assert_eq!(running.workflow_run_id, first);
    let second = trigger(&target, &workflow, "x").await;
    let other = trigger(&target, &workflow, "y").await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, other, "another key has a place of its own");
    worker.complete(&action, "{}").await;
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none(), "more runs than the limit");
    status_is(&target, &second, RunStatus::Queued).await;
    let queued = events(&target, &second, "QUEUED").await;
    assert_eq!(queued[0].1, "concurrency keys evaluated as: x");
    worker.complete(&running, "{}").await;
    complete_next(&mut worker, &second).await;
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn cancel_in_progress_replaces_the_running_run() {
    let target = Target::start().await;
    // No strategy is CANCEL_IN_PROGRESS, and no limit is 1.
    let declared = Concurrency { expression: "input.k".to_owned(), ..Default::default() };
    let workflow = grouped(&target, "replace", vec![declared]).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let first = trigger(&target, &workflow, "x").await;
    let running = worker.next_start().await;
    assert_eq!(running.workflow_run_id, first);
    let second = trigger(&target, &workflow, "x").await;
    let mut both = [worker.next_action().await, worker.next_action().await];
    both.sort_by_key(|action| action.action_type);
    let [start, cancel] = both;
    assert_eq!((&start.workflow_run_id, &cancel.workflow_run_id), (&second, &first));
    let details = target.done(&first).await;
    assert_eq!((details.status(), only_task(&details).error.as_deref()), (RunStatus::Cancelled, Some("")));
    let history = events(&target, &first, "CANCELLED").await;
    let cancelled = history.iter().find(|event| event.0 == "CANCELLED").unwrap();
    assert_eq!(cancelled.1, "Cancelled due to concurrency strategy");
    worker.complete(&start, "{}").await;
    assert_eq!(target.done(&second).await.status(), RunStatus::Completed);
    worker.close().await;
}

#[tokio::test]
async fn cancel_newest_refuses_runs_beyond_the_limit() {
    let target = Target::start().await;
    let workflow = grouped(&target, "refuse", vec![rule("input.k", 1, Strategy::CancelNewest)]).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let first = trigger(&target, &workflow, "x").await;
    let running = worker.next_start().await;
    let second = trigger(&target, &workflow, "x").await;
    let details = target.done(&second).await;
    assert_eq!(details.status(), RunStatus::Cancelled);
    let history = events(&target, &second, "CANCELLED").await;
    let kinds: Vec<&str> = history.iter().map(|event| event.0.as_str()).collect();
    assert_eq!(kinds, ["QUEUED", "CANCELLED"]);
    worker.complete(&running, "{}").await;
    assert_eq!(target.done(&first).await.status(), RunStatus::Completed);
    let third = trigger(&target, &workflow, "x").await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, third, "the place is free again");
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn queue_depth_strategies_keep_a_single_waiting_run() {
    for (base, strategy, survivor) in
        [("keep-newest", Strategy::CancelQueuedExceptNewest, 2), ("keep-oldest", Strategy::CancelQueuedExceptOldest, 1)]
    {
        let target = Target::start().await;
        let rules = vec![rule("input.k", 1, strategy)];
        if !target.deviates(Deviation::HasNewerConcurrencyRules) {
            let mut definition = target.definition(base);
            definition.tasks[0].concurrency = rules;
            assert_refused(target.try_put(&definition).await, Code::InvalidArgument, "LimitStrategy");
            continue;
        }
        let workflow = grouped(&target, base, rules).await;
        let mut worker = RawWorker::start(&target, &workflow, 10).await;
        let first = trigger(&target, &workflow, "x").await;
        let running = worker.next_start().await;
        assert_eq!(running.workflow_run_id, first);
        let waiting = [trigger(&target, &workflow, "x").await, trigger(&target, &workflow, "x").await];
        let lost = target.done(&waiting[2 - survivor]).await;
        assert_eq!(lost.status(), RunStatus::Cancelled);
        worker.complete(&running, "{}").await;
        let action = worker.next_start().await;
        assert_eq!(action.workflow_run_id, waiting[survivor - 1]);
        worker.complete(&action, "{}").await;
        worker.close().await;
    }
}

#[tokio::test]
async fn tenant_scoped_rule_limits_several_workflows() {
    let target = Target::start().await;
    if target.lacks(Deviation::HasNewerConcurrencyRules) {
        return;
    }
    let name = target.name("shared");
    let shared = || Concurrency {
        name: Some(name.clone()),
        is_tenant_scoped: Some(true),
        max_runs_expression: Some("input.k == 'two' ? 2 : 1".to_owned()),
        ..rule("input.k", 1, Strategy::GroupRoundRobin)
    };
    let a = grouped(&target, "shared-a", vec![shared()]).await;
    let b = grouped(&target, "shared-b", vec![shared()]).await;
    let mut control = ControlWorker::start(&target).await;
    let mut worker = RawWorker::register(&target, "worker", &[&a.action, &b.action], &[("default", 10)]).await;
    worker.listen();
    trigger(&target, &a, "one").await;
    let running = worker.next_start().await;
    let waiting = trigger(&target, &b, "one").await;
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none(), "both workflows share one limit");
    worker.complete(&running, "{}").await;
    complete_next(&mut worker, &waiting).await;
    trigger(&target, &a, "two").await;
    trigger(&target, &b, "two").await;
    for _ in 0..2 {
        let action = worker.next_start().await;
        worker.complete(&action, "{}").await;
    }
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn failing_key_fails_the_task_at_once() {
    let target = Target::start().await;
    let workflow = grouped(&target, "failing", vec![rule("input.k", 1, Strategy::GroupRoundRobin)]).await;
    let text = |cause: &str| format!("failed to parse step expression (input.k): {cause}");
    for (input, cause) in [
        (json!({}), "no such key: k"),
        (json!({"k": 5}), "expected string output for concurrency key, got int"),
        (json!({"k": true}), "output must evaluate to a string or integer: got bool"),
    ] {
        let run = target.trigger(&workflow, input).await;
        let details = target.done(&run).await;
        assert_eq!(details.status(), RunStatus::Failed);
        assert_eq!(only_task(&details).error.as_deref(), Some(&*text(cause)));
        let failed = ("FAILED".to_owned(), String::new(), text(cause));
        assert_eq!(events(&target, &run, "FAILED").await, [failed], "the task was never queued");
    }
}

#[tokio::test]
async fn task_enters_the_groups_of_its_rules_in_turn() {
    let target = Target::start().await;
    let rules = vec![
        rule("input.k", 1, Strategy::GroupRoundRobin),
        rule("additional_metadata.tier", 1, Strategy::GroupRoundRobin),
    ];
    let workflow = grouped(&target, "chain", rules).await;
    let request = |key: &str, tier: &str| TriggerWorkflowRequest {
        additional_metadata: Some(json!({ "tier": tier }).to_string()),
        ..workflow.request(json!({ "k": key }))
    };
    let mut control = ControlWorker::start(&target).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let first = target.try_trigger(request("x", "a")).await.unwrap();
    let running = worker.next_start().await;
    assert_eq!(running.workflow_run_id, first);
    // It holds its place in the first group while it waits in the second.
    let second = target.try_trigger(request("y", "a")).await.unwrap();
    control.complete_runs(&target).await;
    let third = target.try_trigger(request("y", "b")).await.unwrap();
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none());
    let queued = events(&target, &third, "QUEUED").await;
    assert_eq!(queued[0].1, "concurrency keys evaluated as: y b");
    worker.complete(&running, "{}").await;
    complete_next(&mut worker, &second).await;
    complete_next(&mut worker, &third).await;
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn higher_priority_enters_its_group_first() {
    let target = Target::start().await;
    let workflow = grouped(&target, "priority", vec![rule("input.k", 1, Strategy::GroupRoundRobin)]).await;
    let request = |priority| TriggerWorkflowRequest { priority: Some(priority), ..workflow.request(json!({"k": "x"})) };
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    target.try_trigger(request(1)).await.unwrap();
    let running = worker.next_start().await;
    let low = target.try_trigger(request(1)).await.unwrap();
    status_is(&target, &low, RunStatus::Queued).await;
    let high = target.try_trigger(request(3)).await.unwrap();
    status_is(&target, &high, RunStatus::Queued).await;
    events(&target, &high, "QUEUED").await;
    worker.complete(&running, "{}").await;
    for expected in [high, low] {
        complete_next(&mut worker, &expected).await;
    }
    worker.close().await;
}

#[tokio::test]
async fn retried_task_stays_in_its_group() {
    let target = Target::for_failures().await;
    let workflow = target
        .workflow_with("retry", |task| {
            task.retries = 1;
            task.concurrency = vec![rule("input.k", 1, Strategy::GroupRoundRobin)];
        })
        .await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let first = trigger(&target, &workflow, "x").await;
    let failing = worker.next_start().await;
    let second = trigger(&target, &workflow, "x").await;
    events(&target, &second, "QUEUED").await;
    worker.fail(&failing, "boom").await;
    let retry = worker.next_start().await;
    assert_eq!((&retry.workflow_run_id, retry.retry_count), (&first, 1));
    worker.complete(&retry, "{}").await;
    complete_next(&mut worker, &second).await;
    worker.close().await;
}

/// Registers a workflow of two tasks, the second a child of the first, with a rule on the workflow.
async fn pair(target: &Target, base: &str, strategy: Strategy) -> (Workflow, String) {
    let mut definition = target.definition(base);
    let first = definition.tasks[0].clone();
    let readable_id = format!("{}-b", first.readable_id);
    definition.tasks.push(CreateTaskOpts {
        action: format!("{}-b", first.action),
        parents: vec![first.readable_id],
        readable_id,
        ..definition.tasks[0].clone()
    });
    definition.concurrency = Some(rule("input.k", 1, strategy));
    (target.put(&definition).await, definition.tasks[1].action.clone())
}

#[tokio::test]
async fn run_stays_in_group_until_all_tasks_finish() {
    let target = Target::start().await;
    let (workflow, second_action) = pair(&target, "pair", Strategy::GroupRoundRobin).await;
    let mut worker =
        RawWorker::register(&target, "worker", &[&workflow.action, &second_action], &[("default", 10)]).await;
    worker.listen();
    let mut control = ControlWorker::start(&target).await;
    let runs = [trigger(&target, &workflow, "x").await, trigger(&target, &workflow, "x").await];
    for (index, run) in runs.iter().enumerate() {
        for expected in [&workflow.action, &second_action] {
            let action = worker.next_start().await;
            assert_eq!((&action.workflow_run_id, &action.action_id), (run, expected));
            control.complete_runs(&target).await;
            assert!(worker.waiting_action().is_none(), "run {index} shares its place");
            worker.complete(&action, "{}").await;
        }
        assert_eq!(target.done(run).await.status(), RunStatus::Completed);
    }
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn replaced_run_of_several_tasks_is_cancelled() {
    let target = Target::start().await;
    let (workflow, second_action) = pair(&target, "pair-replace", Strategy::CancelInProgress).await;
    let mut worker =
        RawWorker::register(&target, "worker", &[&workflow.action, &second_action], &[("default", 10)]).await;
    worker.listen();
    let first = trigger(&target, &workflow, "x").await;
    let running = worker.next_start().await;
    assert_eq!(running.workflow_run_id, first);
    let second = trigger(&target, &workflow, "x").await;
    let mut both = [worker.next_action().await, worker.next_action().await];
    both.sort_by_key(|action| action.action_type);
    let [start, cancel] = both;
    assert_eq!((&start.workflow_run_id, &cancel.workflow_run_id), (&second, &first));
    let details = target.done(&first).await;
    assert_eq!(details.status(), RunStatus::Cancelled);
    assert!(details.task_runs.values().all(|task| task.status() == RunStatus::Cancelled), "{details:?}");
    worker.complete(&start, "{}").await;
    let last = worker.next_start().await;
    worker.complete(&last, "{}").await;
    assert_eq!(target.done(&second).await.status(), RunStatus::Completed);
    worker.close().await;
}

#[tokio::test]
async fn invalid_rule_is_rejected_with_its_field() {
    let target = Target::start().await;
    let mut definition = target.definition("invalid");
    let field = "CreateWorkflowVersionOpts.Tasks[0].Concurrency[0]";
    for (declared, text) in [
        (rule("", 1, Strategy::CancelNewest), "CEL expression is required for concurrency (step ".to_owned()),
        (rule("input.", 1, Strategy::CancelNewest), format!("{field}.Expression': Invalid CEL expression")),
        (rule("nope", 1, Strategy::CancelNewest), format!("{field}.Expression': Invalid CEL expression")),
        (rule("parents.a.b", 1, Strategy::CancelNewest), format!("{field}.Expression': Invalid CEL expression")),
        (rule("'a'", 1, Strategy::DropNewest), format!("{field}.LimitStrategy'")),
        (rule("'a'", 1, Strategy::QueueNewest), format!("{field}.LimitStrategy'")),
    ] {
        definition.tasks[0].concurrency = vec![declared];
        assert_refused(target.try_put(&definition).await, Code::InvalidArgument, &text);
    }
    definition.tasks[0].concurrency.clear();
    definition.concurrency = Some(rule("nope", 1, Strategy::CancelNewest));
    let text = "CreateWorkflowVersionOpts.Concurrency[0].Expression";
    assert_refused(target.try_put(&definition).await, Code::InvalidArgument, text);
}
