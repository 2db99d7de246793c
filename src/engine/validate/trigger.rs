//! Validates triggers of single runs.

use std::sync::Arc;

use super::{definition::validate_desired_labels, error::Invalid, field, template::validate_template};
use crate::{
    engine::state::{
        Desired, Origin, Parent, RunTemplate, TriggerItem, Version, claim_for, limits::EvaluatedLimits, metadata,
    },
    hatchet::wire::{RunId, excerpt, proto::v1::TriggerWorkflowRequest},
};

/// The run of a parent task, for the metadata of a child.
#[derive(Debug, Clone)]
pub(crate) struct ParentRun {
    pub(crate) id: RunId,
    pub(crate) metadata: Arc<str>,
}

/// Validates a run that a gRPC call triggers. `version` is as in [`validate_item`]. `parent_run` is the run of the
/// request's parent task; `None` if there is no such task, which the state machine refuses.
pub(crate) fn validate_trigger(
    from: &TriggerWorkflowRequest,
    version: Option<&Version>,
    parent_run: Option<&ParentRun>,
    max_message: usize,
) -> Result<TriggerItem, Invalid> {
    let worker = from.desired_worker_id.as_deref().filter(|id| !id.is_empty());
    let refuse = |field: &str, reason: &str| Invalid::new(format!("invalid DesiredWorkerLabels{field}: {reason}"));
    let desired = Desired {
        worker: worker.map(field::parse_desired_worker_id).transpose()?,
        labels: validate_desired_labels(&from.desired_worker_labels, refuse)?,
    };
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
    Ok(TriggerItem { desired, ..validate_item(template, parent, version)? })
}

/// Validates a run that is to be triggered. `version` is the newest version of the workflow, or `None` if the workflow
/// is unknown, which the state machine refuses. Evaluates the version's expressions for idempotency and limits, which
/// can take some milliseconds.
pub(crate) fn validate_item(
    template: RunTemplate,
    parent: Option<Parent>,
    version: Option<&Version>,
) -> Result<TriggerItem, Invalid> {
    let claim = version.map(|version| claim_for(version, &template.input, &template.metadata));
    let claim = claim.transpose().map_err(Invalid::new)?.flatten();
    let limits = version.and_then(|version| EvaluatedLimits::early(version, &template.input, &template.metadata));
    Ok(TriggerItem { template, parent, claim, desired: Desired::default(), limits, origin: Origin::Call })
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
