//! Triggering: the checks of one run, and making several at once.

use std::{collections::HashMap, sync::Arc};

use tonic::Status;

use super::payload as check;
use crate::{
    engine::{
        driver::Driver,
        grpc::{collision, not_here},
        state::{
            Capacity, ClaimRequest, ParentRef, TriggerError, TriggerItem, Triggered,
            model::{Origin, Version},
        },
    },
    hatchet::wire::{
        RunId,
        proto::v1::{BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError, TriggerWorkflowRequest},
    },
};

/// Versions that one call has looked up.
#[derive(Default)]
pub(in crate::engine) struct Seen(HashMap<String, Option<Arc<Version>>>);

impl Seen {
    fn version(&mut self, driver: &Driver, name: &str) -> Option<Arc<Version>> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let version = driver.apply(|state, _| state.version_of(name).cloned());
        self.0.insert(name.to_owned(), version.clone());
        version
    }
}

/// Checks one run.
pub(in crate::engine) fn item(
    driver: &Driver,
    seen: &mut Seen,
    from: TriggerWorkflowRequest,
) -> Result<TriggerItem, Status> {
    if !from.desired_worker_labels.is_empty() {
        return Err(Status::invalid_argument(not_here("worker affinity (desired_worker_labels)").message()));
    }
    if let Some(id) = &from.desired_worker_id {
        // It matters with sticky workflows alone, which cannot be declared here.
        check::worker_id(id)?;
    }
    let priority = check::priority(from.priority)?;
    let input = check::input(&from.input, driver.max_message)?;
    let metadata =
        check::metadata(from.additional_metadata.as_deref(), driver.max_message.saturating_sub(input.len()))?;
    let parent = match from.parent_task_run_external_id {
        None => None,
        Some(id) => {
            let task = id.parse().map_err(|_| {
                let id = check::brief(&id);
                Status::invalid_argument(format!(
                    "could not create trigger opt: parentStepRunId must be a valid UUID, got `{id}`: leave it unset \
                     without a parent"
                ))
            })?;
            Some(ParentRef { task, index: from.child_index, key: from.child_key })
        }
    };
    let version = seen.version(driver, &from.name);
    let claim = match version.as_ref().and_then(|version| version.idempotency.as_ref()) {
        None => None,
        Some(rule) => {
            let key = rule.expression.key(&input, &metadata).map_err(Status::invalid_argument)?;
            Some(ClaimRequest { key, lease: rule.lease })
        }
    };
    Ok(TriggerItem { workflow: from.name, input, metadata, priority, parent, claim, origin: Origin::Call })
}

/// Makes one run.
pub(in crate::engine) async fn one(driver: &Driver, from: TriggerWorkflowRequest) -> Result<RunId, Status> {
    let item = item(driver, &mut Seen::default(), from)?;
    let made = driver.add(Capacity::Runs, |state, now| state.trigger(vec![item], now)).await?.map_err(refused)?;
    match made[..] {
        [Triggered::New(id) | Triggered::Existing(id)] => Ok(id),
        [Triggered::Collision { existing, .. }] => Err(collision::single(&IdempotencyCollisionError {
            existing_run_external_id: existing.to_string(),
            colliding_run_external_id: String::new(),
        })),
        _ => Err(Status::internal("one run was asked for, and not one was answered")),
    }
}

/// Makes runs in the order given; an invalid one refuses all, a colliding one only itself.
pub(in crate::engine) async fn many(driver: &Driver, all: Vec<TriggerWorkflowRequest>) -> Result<Vec<String>, Status> {
    let mut seen = Seen::default();
    let mut items = Vec::with_capacity(all.len());
    for from in all {
        items.push(item(driver, &mut seen, from)?);
        // An idempotency expression may take milliseconds: other calls have their turn between two of them.
        tokio::task::yield_now().await;
    }
    let made = driver.add(Capacity::Runs, |state, now| state.trigger(items, now)).await?.map_err(refused)?;
    let (mut ids, mut collisions) = (Vec::with_capacity(made.len()), Vec::new());
    for one in made {
        match one {
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
    Err(collision::bulk(&BulkTriggerIdempotencyCollisionError {
        successful_workflow_run_external_ids: ids,
        collisions,
    }))
}

fn refused(refusal: TriggerError) -> Status {
    match refusal {
        TriggerError::UnknownWorkflow(name) => {
            Status::invalid_argument(format!("workflow names not found: {}", check::brief(&name)))
        }
        TriggerError::UnknownParent => Status::not_found("not found"),
    }
}
