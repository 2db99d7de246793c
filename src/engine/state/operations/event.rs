//! Pushing events.
//!
//! An event is pushed in two steps, because the idempotency expressions of the workflows it triggers may take
//! milliseconds: [`State::begin_event`], then [`EventPush::evaluate`], which needs no access to the state, and
//! [`State::finish_event`], which creates all runs. Several events can so be pushed in one step of the state machine,
//! all or none of them, while other calls have their turn during the evaluation.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::trigger::{TriggerItem, claim_for};
use crate::engine::state::{
    idempotency::ClaimRequest,
    machine::State,
    metadata,
    runs::Origin,
    time::ClockReading,
    triggers::{Event, PushedEvent},
    workflows::Version,
};

/// An event whose runs have not been created yet.
#[derive(Debug)]
pub(crate) struct EventPush {
    id: Uuid,
    key: Arc<str>,
    event: PushedEvent,
    run_metadata: Arc<str>,
    /// Versions whose idempotency expressions are to be evaluated.
    versions: Vec<Arc<Version>>,
    /// The evaluated keys, by version.
    claims: HashMap<Uuid, Result<Option<ClaimRequest>, String>>,
}

impl EventPush {
    /// Evaluates the idempotency expressions for the event. Each takes at most a few milliseconds.
    pub(crate) fn evaluate(&mut self) {
        for version in std::mem::take(&mut self.versions) {
            let claim = claim_for(&version, &self.event.input, &self.run_metadata);
            self.claims.insert(version.id, claim);
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

    /// Looks up what the event triggers, without a change of the state.
    pub(crate) fn begin_event(&mut self, event: PushedEvent) -> EventPush {
        let id = self.new_id();
        let versions = self.workflows.triggered_by(&event.key).into_iter();
        let versions = versions.filter_map(|workflow| self.version_of(&workflow).cloned());
        EventPush {
            id,
            key: event.key.as_str().into(),
            run_metadata: metadata::for_event(&event.metadata, id, &event.key),
            event,
            versions: versions.filter(|version| version.definition.idempotency.is_some()).collect(),
            claims: HashMap::new(),
        }
    }

    /// Creates the event and its runs. A workflow that was declared again since [`begin_event`](Self::begin_event) has
    /// its expression evaluated here.
    pub(crate) fn finish_event(&mut self, push: EventPush, now: ClockReading) -> Uuid {
        let EventPush { id, key, event, run_metadata, mut claims, .. } = push;
        let PushedEvent { input, metadata, priority, scope, .. } = event;
        let mut runs = Vec::new();
        for workflow in self.workflows.triggered_by(&key) {
            let version = self.version_of(&workflow);
            let evaluated = version.and_then(|version| claims.remove(&version.id));
            let item = TriggerItem {
                workflow,
                input: input.clone(),
                metadata: run_metadata.clone(),
                priority,
                parent: None,
                claim: None,
                origin: Origin::Event { id, key: key.clone() },
            };
            runs.extend(self.trigger_unattended(item, evaluated, now));
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
