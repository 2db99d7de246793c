//! Sticky workflows: the tasks of a run on one worker, and children on a desired worker.

use hatchet_quickstart::hatchet::wire::proto::v1::{CreateTaskOpts, RunStatus, StickyStrategy, TriggerWorkflowRequest};
use serde_json::json;

use crate::support::{ControlWorker, RawWorker, Target, Workflow, eventually};

/// Registers a sticky workflow of two tasks, the second a child of the first. Returns it and the second action.
async fn pair(target: &Target, base: &str, strategy: StickyStrategy) -> (Workflow, String) {
    let mut definition = target.definition(base);
    let first = definition.tasks[0].clone();
    definition.tasks.push(CreateTaskOpts {
        readable_id: format!("{}-b", first.readable_id),
        action: format!("{}-b", first.action),
        parents: vec![first.readable_id.clone()],
        ..first
    });
    definition.sticky = Some(strategy.into());
    (target.put(&definition).await, definition.tasks[1].action.clone())
}

async fn worker(target: &Target, base: &str, actions: &[&str], slots: i32) -> RawWorker {
    let mut worker = RawWorker::register(target, base, actions, &[("default", slots)]).await;
    worker.listen();
    worker
}

#[tokio::test]
async fn tasks_of_a_run_follow_the_first_to_its_worker() {
    for (base, strategy) in [("soft", StickyStrategy::Soft), ("hard", StickyStrategy::Hard)] {
        let target = Target::start().await;
        let (workflow, second) = pair(&target, base, strategy).await;
        let actions = [workflow.action.as_str(), second.as_str()];
        let mut workers =
            [worker(&target, "worker-a", &actions, 20).await, worker(&target, "worker-b", &actions, 20).await];
        let mut runs = Vec::new();
        for _ in 0..4 {
            runs.push(target.trigger(&workflow, json!({})).await);
        }
        // A soft strategy moves to another worker only if there is no free slot.
        // The run and the worker of each task, in the order of assignment.
        let mut assigned: Vec<(String, usize)> = Vec::new();
        eventually("all tasks are assigned", async || {
            for (index, worker) in workers.iter_mut().enumerate() {
                if let Some(action) = worker.waiting_action() {
                    worker.complete(&action, "{}").await;
                    assigned.push((action.workflow_run_id, index));
                }
            }
            (assigned.len() == 2 * runs.len()).then_some(())
        })
        .await;
        for run in &runs {
            let on: Vec<usize> = assigned.iter().filter(|(id, _)| id == run).map(|(_, index)| *index).collect();
            assert_eq!((on.len(), on[0]), (2, on[1]), "{base}: {assigned:?}");
            assert_eq!(target.done(run).await.status(), RunStatus::Completed);
        }
        for worker in workers {
            worker.close().await;
        }
    }
}

#[tokio::test]
async fn desired_worker_of_a_sticky_child_is_used() {
    let target = Target::start().await;
    let parent = target.workflow("parent").await;
    let mut definition = target.definition("child");
    definition.sticky = Some(StickyStrategy::Hard.into());
    let child = target.put(&definition).await;
    let plain = target.workflow("plain").await;
    let actions = [parent.action.as_str(), child.action.as_str(), plain.action.as_str()];
    let mut first = worker(&target, "worker-a", &actions, 2).await;
    let run = target.trigger(&parent, json!({})).await;
    let running = first.next_start().await;
    let mut second = worker(&target, "worker-b", &actions, 9).await;
    let mut control = ControlWorker::start(&target).await;
    let trigger = async |workflow: &Workflow, index: i32| {
        let request = TriggerWorkflowRequest {
            parent_id: Some(run.clone()),
            parent_task_run_external_id: Some(running.task_run_external_id.clone()),
            child_index: Some(index),
            desired_worker_id: Some(first.id.clone()),
            ..workflow.request(json!({}))
        };
        target.try_trigger(request).await.unwrap()
    };
    let children = [trigger(&child, 0).await, trigger(&child, 1).await];
    let action = first.next_start().await;
    assert!(children.contains(&action.workflow_run_id));
    // The other child waits for the same worker, which is full.
    control.complete_runs(&target).await;
    assert!(second.waiting_action().is_none() && first.waiting_action().is_none());
    // A workflow that is not sticky ignores the desired worker.
    let ignored = {
        let request = TriggerWorkflowRequest { desired_worker_id: Some(first.id.clone()), ..plain.request(json!({})) };
        target.try_trigger(request).await.unwrap()
    };
    let elsewhere = second.next_start().await;
    assert_eq!(elsewhere.workflow_run_id, ignored);
    second.complete(&elsewhere, "{}").await;
    first.complete(&action, "{}").await;
    let action = first.next_start().await;
    assert!(children.contains(&action.workflow_run_id));
    first.complete(&action, "{}").await;
    first.complete(&running, "{}").await;
    for worker in [first, second] {
        worker.close().await;
    }
    control.close().await;
}
