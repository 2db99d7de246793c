//! Slots: the number of tasks that a worker executes concurrently.

use std::collections::BTreeSet;

use hatchet_quickstart::hatchet::wire::proto::v1::RunStatus;
use serde_json::json;

use crate::support::{ControlWorker, RawWorker, Target, Workflow, eventually};

async fn runs(target: &Target, workflow: &Workflow, count: usize) -> BTreeSet<String> {
    let mut runs = BTreeSet::new();
    for _ in 0..count {
        runs.insert(target.trigger(workflow, json!({})).await);
    }
    runs
}

#[tokio::test]
async fn worker_gets_at_most_its_slots() {
    let target = Target::start().await;
    let workflow = target.workflow("limit").await;
    let mut waiting = runs(&target, &workflow, 5).await;
    let mut control = ControlWorker::start(&target).await;
    let mut worker = RawWorker::start(&target, &workflow, 2).await;
    let mut running = vec![worker.next_start().await, worker.next_start().await];
    while let Some(action) = running.pop() {
        assert!(waiting.remove(&action.workflow_run_id), "assigned twice: {action:?}");
        control.complete_runs(&target).await;
        assert!(worker.waiting_action().is_none(), "more tasks than slots");
        worker.complete(&action, "{}").await;
        if waiting.len() > running.len() {
            running.insert(0, worker.next_start().await);
        }
    }
    assert!(waiting.is_empty());
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn custom_slot_type_is_counted_separately() {
    let target = Target::start().await;
    let cpu = target.workflow_with("cpu", |task| task.slot_requests = [("cpu".to_owned(), 1)].into()).await;
    let plain = target.workflow("plain").await;
    let cpu_runs = runs(&target, &cpu, 3).await;
    let mut worker =
        RawWorker::register(&target, "worker", &[&cpu.action, &plain.action], &[("default", 10), ("cpu", 2)]).await;
    worker.listen();
    let first = worker.next_start().await;
    let second = worker.next_start().await;
    // A slot of the other type is free, so the plain task is assigned before the third.
    let plain_run = target.trigger(&plain, json!({})).await;
    let overtaking = worker.next_start().await;
    assert_eq!(overtaking.workflow_run_id, plain_run);
    worker.complete(&first, "{}").await;
    let third = worker.next_start().await;
    let received: BTreeSet<_> = [&first, &second, &third].map(|action| action.workflow_run_id.clone()).into();
    assert_eq!(received, cpu_runs);
    for action in [second, third, overtaking] {
        worker.complete(&action, "{}").await;
    }
    worker.close().await;
}

#[tokio::test]
async fn task_takes_its_requested_slot_units() {
    let target = Target::start().await;
    let workflow = target.workflow_with("wide", |task| task.slot_requests = [("default".to_owned(), 2)].into()).await;
    let all = runs(&target, &workflow, 2).await;
    let mut control = ControlWorker::start(&target).await;
    let mut worker = RawWorker::start(&target, &workflow, 3).await;
    let first = worker.next_start().await;
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none(), "more units than slots");
    worker.complete(&first, "{}").await;
    let second = worker.next_start().await;
    worker.complete(&second, "{}").await;
    assert_eq!(BTreeSet::from([first.workflow_run_id, second.workflow_run_id]), all);
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn worker_without_slot_type_gets_no_run() {
    let target = Target::start().await;
    let workflow = target.workflow_with("gpu", |task| task.slot_requests = [("gpu".to_owned(), 1)].into()).await;
    let mut without = RawWorker::start(&target, &workflow, 10).await;
    let mut control = ControlWorker::start(&target).await;
    let run = target.trigger(&workflow, json!({})).await;
    control.complete_runs(&target).await;
    assert!(without.waiting_action().is_none());
    assert_eq!(target.details(&run).await.unwrap().status(), RunStatus::Queued);

    let mut with = RawWorker::register(&target, "worker", &[&workflow.action], &[("gpu", 1)]).await;
    with.listen();
    let action = with.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    with.complete(&action, "{}").await;
    with.close().await;
    without.close().await;
    control.close().await;
}

#[tokio::test]
async fn two_workers_share_runs_beyond_one_workers_slots() {
    let target = Target::start().await;
    let workflow = target.workflow("shared").await;
    let mut workers = [RawWorker::start(&target, &workflow, 2).await, RawWorker::start(&target, &workflow, 2).await];
    let all = runs(&target, &workflow, 4).await;
    let mut running: [Vec<_>; 2] = Default::default();
    eventually("both workers use all slots", async || {
        for (worker, actions) in workers.iter_mut().zip(&mut running) {
            actions.extend(worker.waiting_action());
        }
        running.iter().all(|actions| actions.len() == 2).then_some(())
    })
    .await;
    let received: BTreeSet<_> = running.iter().flatten().map(|action| action.workflow_run_id.clone()).collect();
    assert_eq!(received, all);
    for (mut worker, actions) in workers.into_iter().zip(running) {
        for action in actions {
            worker.complete(&action, "{}").await;
        }
        worker.close().await;
    }
}

#[tokio::test]
async fn run_is_assigned_only_to_worker_with_action() {
    let target = Target::start().await;
    let (workflow, other) = (target.workflow("own").await, target.workflow("other").await);
    let mut without_action = RawWorker::start(&target, &other, 10).await;
    let mut with_action = RawWorker::start(&target, &workflow, 10).await;
    let all = runs(&target, &workflow, 5).await;
    let mut received = BTreeSet::new();
    for _ in 0..5 {
        let action = with_action.next_start().await;
        with_action.complete(&action, "{}").await;
        received.insert(action.workflow_run_id);
    }
    assert_eq!(received, all);
    assert!(without_action.waiting_action().is_none());
    with_action.close().await;
    without_action.close().await;
}
