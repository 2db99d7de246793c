//! Creates runs, and claims their idempotency keys.

use crate::{
    engine::state::{
        idempotency::ClaimRequest,
        limits::EvaluatedLimits,
        machine::State,
        placement::DesiredLabel,
        runs::{Origin, Parent, Run},
        time::ClockReading,
        triggers::RunTemplate,
        workflows::Version,
    },
    hatchet::wire::{RunId, WorkerId},
};

/// A validated request for a run.
#[derive(Debug)]
pub(crate) struct TriggerItem {
    pub(crate) template: RunTemplate,
    pub(crate) parent: Option<Parent>,
    /// The idempotency key to claim for the run.
    pub(crate) claim: Option<ClaimRequest>,
    /// The worker and the labels of workers that the run desires.
    pub(crate) desired: Desired,
    /// The limits of the run, if they were evaluated before.
    pub(crate) limits: Option<EvaluatedLimits>,
    pub(crate) origin: Origin,
}

/// The worker and the labels of workers that a trigger desires.
#[derive(Debug, Default)]
pub(crate) struct Desired {
    pub(crate) worker: Option<WorkerId>,
    /// Sorted by key.
    pub(crate) labels: Vec<DesiredLabel>,
}

/// The outcome of a request for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Triggered {
    /// A new run.
    New(RunId),
    /// The child run that this parent has triggered before with the same key or index.
    Existing(RunId),
    /// No run, as `existing` has claimed its idempotency key; `colliding` is the id of the refused run.
    Collision { existing: RunId, colliding: RunId },
}

/// The reason for triggering no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TriggerError {
    /// No workflow of this name was declared.
    UnknownWorkflow(String),
    /// The parent task does not exist.
    UnknownParent,
}

/// Evaluates the idempotency key for a run of a version, if the version has an idempotency rule. Takes at most a few
/// milliseconds.
pub(crate) fn claim_for(version: &Version, input: &str, metadata: &str) -> Result<Option<ClaimRequest>, String> {
    let Some(rule) = &version.definition.idempotency else { return Ok(None) };
    Ok(Some(ClaimRequest { key: rule.expression.key(input, metadata)?, lease: rule.lease }))
}

impl State {
    /// Creates runs in the given order, or no run if an item is invalid.
    pub(crate) fn trigger(
        &mut self,
        items: Vec<TriggerItem>,
        now: ClockReading,
    ) -> Result<Vec<Triggered>, TriggerError> {
        for item in &items {
            if self.version_of(&item.template.workflow).is_none() {
                return Err(TriggerError::UnknownWorkflow(item.template.workflow.to_string()));
            }
            if item.parent.as_ref().is_some_and(|parent| self.runs.task(parent.task).is_none()) {
                return Err(TriggerError::UnknownParent);
            }
        }
        items.into_iter().map(|item| self.trigger_one(item, now)).collect()
    }

    /// Creates the run of an event, schedule or cron. Logs an error of the idempotency expression, as no caller can
    /// receive it. Evaluates the expression here unless `evaluated` has its result.
    pub(super) fn trigger_unattended(
        &mut self,
        template: RunTemplate,
        origin: Origin,
        evaluated: Option<Result<Option<ClaimRequest>, String>>,
        limits: Option<EvaluatedLimits>,
        now: ClockReading,
    ) -> Option<RunId> {
        let version = self.version_of(&template.workflow)?;
        let claim = match evaluated.unwrap_or_else(|| claim_for(version, &template.input, &template.metadata)) {
            Ok(claim) => claim,
            Err(error) => {
                tracing::warn!("no run of workflow `{}` was started by {}: {error}", template.workflow, origin);
                return None;
            }
        };
        match self
            .trigger_one(
                TriggerItem { template, parent: None, claim, desired: Desired::default(), limits, origin },
                now,
            )
            .ok()?
        {
            Triggered::New(id) | Triggered::Existing(id) => Some(id),
            Triggered::Collision { .. } => None,
        }
    }

    fn trigger_one(&mut self, item: TriggerItem, now: ClockReading) -> Result<Triggered, TriggerError> {
        let TriggerItem { template, parent, claim, desired, limits, origin } = item;
        let RunTemplate { workflow, input, metadata, priority } = template;
        let Some(version) = self.version_of(&workflow).cloned() else {
            return Err(TriggerError::UnknownWorkflow(workflow.to_string()));
        };
        let child = parent.as_ref().and_then(|parent| Some((parent.task, parent.child_key()?)));
        if let Some(existing) = child.as_ref().and_then(|(task, key)| self.runs.child(*task, key)) {
            return Ok(Triggered::Existing(existing));
        }
        let id = RunId::from(self.new_id());
        let claim = claim.map(|claim| self.idempotency_keys.claim(claim, id, now, &mut self.timers)).transpose();
        let idempotency_key = match claim {
            Ok(key) => key,
            Err(existing) => return Ok(Triggered::Collision { existing, colliding: id }),
        };
        if let Some((parent, key)) = child {
            self.runs.insert_child(parent, key, id);
        }
        // In a workflow of one task, the run and the task have the same id.
        let tasks: Vec<RunId> = match version.len() {
            1 => vec![id],
            n => (0..n).map(|_| self.new_id().into()).collect(),
        };
        let limits = EvaluatedLimits::for_run(limits, &version, &input, &metadata, id);
        let run = Run {
            seq: 0,
            priority: priority.unwrap_or(version.definition.default_priority),
            version,
            input,
            metadata,
            parent,
            origin,
            created: now.display,
            limits,
            admitted_groups: 0,
            is_in_groups: false,
            desired_worker: desired.worker,
            sticky_worker: None,
            desired_labels: desired.labels,
            open: tasks.len(),
            tasks: tasks.clone(),
            finished: None,
            idempotency_key,
        };
        self.runs.insert(id, run);
        self.release_waiting(id, &tasks, now);
        self.dispatch(now);
        Ok(Triggered::New(id))
    }
}
