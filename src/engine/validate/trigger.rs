//! Triggers of single runs.

use std::sync::Arc;

use super::{error::Invalid, field, template::validate_template};
use crate::{
    engine::state::{Origin, Parent, RunTemplate, TriggerItem, Version, claim_for, metadata},
    hatchet::wire::{RunId, excerpt, proto::v1::TriggerWorkflowRequest},
};

/// The run of a parent task, for the metadata of a child.
#[derive(Debug, Clone)]
pub(crate) struct ParentRun {
    pub(crate) id: RunId,
    pub(crate) metadata: Arc<str>,
}

/// Validates a run that a gRPC call triggers. `version` is as in [`validate_item`]. `parent_run` is that of the
/// request's parent task, or `None` if there is no such task, which the state machine refuses.
pub(crate) fn validate_trigger(
    from: &TriggerWorkflowRequest,
    version: Option<&Version>,
    parent_run: Option<&ParentRun>,
    max_message: usize,
) -> Result<TriggerItem, Invalid> {
    if !from.desired_worker_labels.is_empty() {
        return Err(Invalid::unsupported("worker affinity (desired_worker_labels)"));
    }
    if let Some(id) = &from.desired_worker_id {
        // Only its form matters: it has an effect on sticky workflows alone, which definitions cannot declare here.
        field::parse_worker_id(id)?;
    }
    let metadata = from.additional_metadata.as_deref();
    let mut template = validate_template(&from.name, &from.input, metadata, from.priority, max_message)?;
    let parent = match &from.parent_task_run_external_id {
        None => None,
        Some(id) => {
            let key = from.child_key.as_deref().map(Into::into);
            Some(Parent { task: parse_parent_id(id)?, index: from.child_index, key })
        }
    };
    if let (Some(parent), Some(run)) = (&parent, parent_run) {
        template.metadata = metadata::for_child(&template.metadata, &run.metadata, run.id, parent.task);
    }
    validate_item(template, parent, version)
}

/// Adds the claim of its idempotency key to a run. `version` is the newest version of the workflow, or `None` if the
/// workflow is unknown, which the state machine refuses. Evaluates the version's idempotency expression, which can take
/// some milliseconds.
pub(crate) fn validate_item(
    template: RunTemplate,
    parent: Option<Parent>,
    version: Option<&Version>,
) -> Result<TriggerItem, Invalid> {
    let claim = version.map(|version| claim_for(version, &template.input, &template.metadata));
    let claim = claim.transpose().map_err(Invalid::new)?.flatten();
    Ok(TriggerItem { template, parent, claim, origin: Origin::Call })
}

fn parse_parent_id(text: &str) -> Result<RunId, Invalid> {
    text.parse().map_err(|_| {
        Invalid::new(format!(
            "could not create trigger opt: parentStepRunId must be a valid UUID, got `{}`: leave it unset without a \
             parent",
            excerpt(text)
        ))
    })
}
