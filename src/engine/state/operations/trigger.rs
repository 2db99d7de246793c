//! Making runs.

use std::sync::Arc;

use crate::engine::state::{
    Claim, ClockReading, State,
    model::{ChildKey, Lease, Origin, Parent, Phase, Run, Task, Version},
    runs::history::Trail,
    timers::Alarm,
};
use crate::{engine::state::triggers::metadata, hatchet::wire::RunId};

/// A run that is wanted, checked at the door.
#[derive(Debug)]
pub(crate) struct TriggerItem {
    pub(crate) workflow: String,
    /// A JSON object or `null`.
    pub(crate) input: Arc<str>,
    /// A JSON object.
    pub(crate) metadata: Arc<str>,
    pub(crate) priority: Option<i32>,
    pub(crate) parent: Option<ParentRef>,
    pub(crate) claim: Option<ClaimRequest>,
    pub(crate) origin: Origin,
}

/// The parts of a run that is made.
struct NewRun {
    version: Arc<Version>,
    input: Arc<str>,
    metadata: Arc<str>,
    priority: Option<i32>,
    parent: Option<Parent>,
    origin: Origin,
    claim: Option<Arc<str>>,
}

/// The task that triggers a child.
#[derive(Debug)]
pub(crate) struct ParentRef {
    pub(crate) task: RunId,
    pub(crate) index: Option<i32>,
    pub(crate) key: Option<String>,
}

/// The idempotency key a run is to hold.
#[derive(Debug)]
pub(crate) struct ClaimRequest {
    pub(crate) key: String,
    pub(crate) lease: Lease,
}

/// What became of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Triggered {
    /// A new run.
    New(RunId),
    /// The child that this parent has already made with the same key or index.
    Existing(RunId),
    /// No run, because its idempotency key is taken by another.
    Collision { existing: RunId, colliding: RunId },
}

/// Why nothing was triggered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TriggerError {
    /// No workflow of this name was declared.
    UnknownWorkflow(String),
    /// There is no such parent task.
    UnknownParent,
}

impl State {
    /// What a workflow of this name is at present.
    pub(crate) fn version_of(&self, name: &str) -> Option<&Arc<Version>> {
        self.workflows.get(name).map(|w| &w.version)
    }

    /// Makes runs in the order given; if one of them cannot be, none is made.
    pub(crate) fn trigger(
        &mut self,
        items: Vec<TriggerItem>,
        now: ClockReading,
    ) -> Result<Vec<Triggered>, TriggerError> {
        for item in &items {
            if !self.workflows.contains_key(item.workflow.as_str()) {
                return Err(TriggerError::UnknownWorkflow(item.workflow.clone()));
            }
            if item.parent.as_ref().is_some_and(|p| !self.tasks.contains_key(&p.task)) {
                return Err(TriggerError::UnknownParent);
            }
        }
        items.into_iter().map(|item| self.trigger_one(item, now)).collect()
    }

    /// Makes a run that no one waits for. None is made if its workflow has gone, or if its idempotency key cannot be
    /// had: there is no one to tell but the log. The expression is evaluated here, which its cost limit allows.
    pub(crate) fn start_unasked(&mut self, mut item: TriggerItem, now: ClockReading) -> Option<RunId> {
        if let Some(rule) = &self.version_of(&item.workflow)?.idempotency {
            match rule.expression.key(&item.input, &item.metadata) {
                Ok(key) => item.claim = Some(ClaimRequest { key, lease: rule.lease }),
                Err(why) => {
                    tracing::warn!("no run of workflow `{}` was started by {}: {why}", item.workflow, item.origin);
                    return None;
                }
            }
        }
        match self.trigger_one(item, now).ok()? {
            Triggered::New(id) | Triggered::Existing(id) => Some(id),
            Triggered::Collision { .. } => None,
        }
    }

    fn trigger_one(&mut self, item: TriggerItem, now: ClockReading) -> Result<Triggered, TriggerError> {
        let Some(version) = self.version_of(&item.workflow).cloned() else {
            return Err(TriggerError::UnknownWorkflow(item.workflow));
        };
        let parent = item.parent.map(|p| Parent { task: p.task, index: p.index, key: p.key.map(Arc::from) });
        let child = parent.as_ref().and_then(|p| {
            let key = p.key.clone().map(ChildKey::Key).or(p.index.map(ChildKey::Index))?;
            Some((p.task, key))
        });
        if let Some(existing) = child.as_ref().and_then(|child| self.children.get(child)) {
            return Ok(Triggered::Existing(*existing));
        }
        let id = RunId::from(self.new_id());
        let claim = match item.claim {
            Some(claim) => match self.claim(claim, id, now) {
                Ok(key) => Some(key),
                Err(existing) => return Ok(Triggered::Collision { existing, colliding: id }),
            },
            None => None,
        };
        let mut metadata = item.metadata.clone();
        if let Some(parent) = &parent {
            let run = self.tasks.get(&parent.task).map_or(parent.task, |t| t.run);
            metadata = metadata::of_child(&metadata, run, parent.task);
        }
        if let Some((parent, key)) = child {
            if let Some(task) = self.tasks.passing(&parent) {
                task.children.push(key.clone());
            }
            self.children.insert((parent, key), id);
        }
        let TriggerItem { input, priority, origin, .. } = item;
        self.make_run(id, NewRun { version, input, metadata, priority, parent, origin, claim }, now);
        self.distribute(now);
        Ok(Triggered::New(id))
    }

    fn make_run(&mut self, id: RunId, new: NewRun, now: ClockReading) {
        let NewRun { version, input, metadata, priority, parent, origin, claim } = new;
        // A workflow of one task has one id for the run and the task.
        let tasks: Vec<RunId> = match version.tasks.len() {
            1 => vec![id],
            n => (0..n).map(|_| self.new_id().into()).collect(),
        };
        let priority = priority.unwrap_or(version.default_priority);
        self.made += 1;
        self.by_age.insert(self.made, id);
        let run = Run {
            seq: self.made,
            version,
            input,
            metadata,
            priority,
            parent,
            origin,
            created: now.display,
            tasks: tasks.clone(),
            open: tasks.len(),
            finished: None,
            claim,
        };
        self.runs.insert(id, run);
        for (spec, task) in tasks.iter().enumerate() {
            self.tasks_made += 1;
            let made = Task {
                run: id,
                seq: self.tasks_made,
                spec,
                phase: Phase::Waiting(0),
                attempt: 0,
                failures: 0,
                reassignments: 0,
                assigned: 0,
                alarm: None,
                started: None,
                finished: None,
                end: 0,
                chunks: None,
                history: Trail::default(),
                children: Vec::new(),
            };
            self.tasks.insert(*task, made);
        }
        self.arm(id, &tasks, now);
    }

    /// Takes a key for a run, or names the run that has it. Keys are one space for all workflows, as with a real
    /// engine.
    fn claim(&mut self, claim: ClaimRequest, run: RunId, now: ClockReading) -> Result<Arc<str>, RunId> {
        if let Some(taken) = self.claims.get(claim.key.as_str()) {
            return Err(taken.run);
        }
        let key: Arc<str> = claim.key.into();
        let alarm = self.clock.set(now.plus(claim.lease.ttl), Alarm::Claim(key.clone()));
        self.claims.insert(key.clone(), Claim { run, lease: claim.lease, alarm });
        Ok(key)
    }

    /// A key's time is over.
    pub(crate) fn end_claim(&mut self, key: &Arc<str>, alarm: crate::engine::state::AlarmKey) {
        if self.claims.get(key).is_some_and(|claim| claim.alarm == alarm) {
            self.claims.remove(key);
        }
    }

    /// A run has ended: its key is free, if it was for the run's time only.
    pub(crate) fn release_claim(&mut self, key: &Arc<str>, run: RunId) {
        if self.claims.get(key).is_some_and(|claim| claim.run == run && claim.lease.until_end)
            && let Some(claim) = self.claims.remove(key)
        {
            self.clock.take_back(Some(claim.alarm));
        }
    }
}
