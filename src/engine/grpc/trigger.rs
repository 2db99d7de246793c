//! Triggers one run or several runs.

use std::{collections::HashMap, sync::Arc};

use tonic::Status;

use super::error::collision;
use crate::{
    engine::{
        driver::Driver,
        state::{Capacity, Run, Triggered, Version},
        validate::trigger::{ParentRun, validate_trigger},
    },
    hatchet::wire::{
        RunId,
        proto::v1::{BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError, TriggerWorkflowRequest},
    },
};

fn newest_version(driver: &Driver, name: &str) -> Option<Arc<Version>> {
    driver.apply(|state, _| state.version_of(name).cloned())
}

/// Finds the run of the task that a request names as the parent.
fn parent_run(driver: &Driver, task: &str) -> Option<ParentRun> {
    let task: RunId = task.parse().ok()?;
    let parent = |(id, run): (RunId, &Run)| ParentRun { id, metadata: run.metadata.clone() };
    driver.apply(|state, _| state.run(task).map(parent))
}

pub(super) async fn trigger_one(driver: &Driver, request: TriggerWorkflowRequest) -> Result<RunId, Status> {
    let version = newest_version(driver, &request.name);
    let parent = request.parent_task_run_external_id.as_deref().and_then(|task| parent_run(driver, task));
    let item = validate_trigger(&request, version.as_deref(), parent.as_ref(), driver.max_message)?;
    let outcomes = driver.add(Capacity::Runs, |state, now| state.trigger(vec![item], now)).await??;
    match outcomes[..] {
        [Triggered::New(id) | Triggered::Existing(id)] => Ok(id),
        [Triggered::Collision { existing, .. }] => {
            let (existing_run_external_id, colliding_run_external_id) = (existing.to_string(), String::new());
            let details = IdempotencyCollisionError { existing_run_external_id, colliding_run_external_id };
            Err(collision("IdempotencyCollisionError", &details))
        }
        [] | [_, _, ..] => Err(Status::internal("the trigger of one run had not exactly one outcome")),
    }
}

/// Triggers runs in the given order. An invalid request refuses all of them; a collision affects only its own run.
pub(super) async fn trigger_many(
    driver: &Driver,
    requests: Vec<TriggerWorkflowRequest>,
) -> Result<Vec<String>, Status> {
    let mut versions: HashMap<String, Option<Arc<Version>>> = HashMap::new();
    let mut parents: HashMap<String, Option<ParentRun>> = HashMap::new();
    let mut items = Vec::with_capacity(requests.len());
    for request in requests {
        let version = match versions.get(&request.name) {
            Some(version) => version.clone(),
            None => {
                let version = newest_version(driver, &request.name);
                versions.insert(request.name.clone(), version.clone());
                version
            }
        };
        let parent = request.parent_task_run_external_id.as_ref().and_then(|task| match parents.get(task) {
            Some(parent) => parent.clone(),
            None => parents.entry(task.clone()).or_insert_with(|| parent_run(driver, task)).clone(),
        });
        items.push(validate_trigger(&request, version.as_deref(), parent.as_ref(), driver.max_message)?);
        // Evaluating an idempotency expression can take milliseconds, so other calls run in between.
        tokio::task::yield_now().await;
    }
    let outcomes = driver.add(Capacity::Runs, |state, now| state.trigger(items, now)).await??;
    let (mut ids, mut collisions) = (Vec::with_capacity(outcomes.len()), Vec::new());
    for outcome in outcomes {
        match outcome {
            Triggered::New(id) | Triggered::Existing(id) => ids.push(id.to_string()),
            Triggered::Collision { existing, colliding } => collisions.push(IdempotencyCollisionError {
                existing_run_external_id: existing.to_string(),
                colliding_run_external_id: colliding.to_string(),
            }),
        }
    }
    if collisions.is_empty() {
        return Ok(ids);
    }
    let details = BulkTriggerIdempotencyCollisionError { successful_workflow_run_external_ids: ids, collisions };
    Err(collision("BulkTriggerIdempotencyCollisionError", &details))
}
