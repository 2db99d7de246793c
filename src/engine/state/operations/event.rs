//! Pushed events.
//!
//! A push has three steps, as the expressions of the triggered workflows for idempotency and limits may take
//! milliseconds:
//!
//! 1. [`State::begin_event`] finds the expressions.
//! 2. [`EventPush::evaluate`] evaluates them without access to the state, so that other calls can proceed.
//! 3. [`State::finish_event`] creates all runs. The caller can finish several events in one step of the state machine, so
//!    that either all or none of them are accepted.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::trigger::claim_for;
use crate::engine::state::{
    idempotency::ClaimRequest,
    limits::EvaluatedLimits,
    machine::State,
    metadata,
    runs::Origin,
    time::ClockReading,
    triggers::{Event, PushedEvent, RunTemplate},
    workflows::Version,
};

/// An event without its runs, between the steps of a push.
#[derive(Debug)]
pub(crate) struct EventPush {
    id: Uuid,
    event: PushedEvent,
    run_metadata: Arc<str>,
    /// Versions with expressions to evaluate.
    versions: Vec<Arc<Version>>,
    /// The evaluated keys, by the id of the version.
    claims: HashMap<Uuid, Result<Option<ClaimRequest>, String>>,
    /// The evaluated limits, by the id of the version.
    limits: HashMap<Uuid, EvaluatedLimits>,
}

impl EventPush {
    /// Evaluates the expressions for the event. Each takes at most a few milliseconds.
    pub(crate) fn evaluate(&mut self) {
        for version in std::mem::take(&mut self.versions) {
            let claim = claim_for(&version, &self.event.input, &self.run_metadata);
            self.claims.insert(version.id, claim);
            let limits = EvaluatedLimits::early(&version, &self.event.input, &self.run_metadata);
            self.limits.extend(limits.map(|limits| (version.id, limits)));
        }
    }
}

impl State {
    /// Pushes an event: each workflow that its key triggers gets a run. Returns the event's id.
    pub(crate) fn push_event(&mut self, event: PushedEvent, now: ClockReading) -> Uuid {
        let mut push = self.begin_event(event);
        push.evaluate();
        self.finish_event(push, now)
    }

    /// Finds the workflows of the event with expressions. Does not change the state.
    pub(crate) fn begin_event(&mut self, event: PushedEvent) -> EventPush {
        let id = self.new_id();
        let versions = self.workflows.triggered_by(&event.key).into_iter();
        let versions = versions.filter_map(|workflow| self.version_of(&workflow).cloned());
        EventPush {
            id,
            run_metadata: metadata::for_event(&event.metadata, id, &event.key),
            event,
            versions: versions
                .filter(|version| version.definition.idempotency.is_some() || version.definition.has_limits())
                .collect(),
            claims: HashMap::new(),
            limits: HashMap::new(),
        }
    }

    /// Creates the event and its runs. A workflow that was declared again since [`begin_event`](Self::begin_event) has
    /// its expression evaluated here.
    pub(crate) fn finish_event(&mut self, push: EventPush, now: ClockReading) -> Uuid {
        let EventPush { id, event, run_metadata, mut claims, mut limits, .. } = push;
        let PushedEvent { key, input, metadata, priority, scope } = event;
        let mut runs = Vec::new();
        for workflow in self.workflows.triggered_by(&key) {
            let version = self.version_of(&workflow);
            let (evaluated, limits) =
                version.map_or((None, None), |version| (claims.remove(&version.id), limits.remove(&version.id)));
            let template = RunTemplate { workflow, input: input.clone(), metadata: run_metadata.clone(), priority };
            let origin = Origin::Event { id, key: key.clone() };
            runs.extend(self.trigger_unattended(template, origin, evaluated, limits, now));
        }
        let event = Event { id, key, input, metadata, scope, at: now.display, runs };
        self.events.insert(event, self.retention.count);
        id
    }

    /// A retained event.
    pub(crate) fn event(&self, id: Uuid) -> Option<&Event> {
        self.events.get(id)
    }

    /// The retained events, newest first.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Uuid, &Event)> {
        self.events.newest_first()
    }
}
