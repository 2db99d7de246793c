//! Pushed events, with the filters and the conditions of tasks that they meet.
//!
//! A push has three steps, as the idempotency expressions of the triggered workflows and the predicates of waiting
//! tasks may take milliseconds:
//!
//! 1. [`State::begin_event`] finds the expressions.
//! 2. [`EventPush::evaluate`] evaluates them without access to the state, so that other calls can proceed.
//! 3. [`State::finish_event`] creates all runs. The caller can finish several events in one step of the state machine,
//!    so that either all or none of them are accepted.

mod conditions;
mod filters;

pub(crate) use self::filters::FilterError;

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use uuid::Uuid;

use self::{conditions::event_predicate_holds, filters::FilterResults};
use super::trigger::claim_for;
use crate::engine::state::{
    idempotency::ClaimRequest,
    limits::EvaluatedLimits,
    machine::State,
    metadata,
    predicate::{Predicate, object},
    runs::Origin,
    time::ClockReading,
    triggers::{Event, EventFilter, PushedEvent, RunTemplate},
    workflows::Version,
};

/// An event without its runs, between the steps of a push.
#[derive(Debug)]
pub(crate) struct EventPush {
    id: Uuid,
    event: PushedEvent,
    run_metadata: Arc<str>,
    /// Versions with an idempotency expression to evaluate.
    versions: Vec<Arc<Version>>,
    /// The evaluated keys, by the id of the version.
    claims: HashMap<Uuid, Result<Option<ClaimRequest>, String>>,
    /// The evaluated limits, by the id of the version.
    limits: HashMap<Uuid, EvaluatedLimits>,
    /// The filters to evaluate.
    filters: Vec<(Uuid, Arc<EventFilter>)>,
    filter_results: FilterResults,
    /// The predicates of waiting tasks to evaluate.
    predicates: Vec<Predicate>,
    /// The evaluated predicates, by their text.
    results: HashMap<Arc<str>, bool>,
}

impl EventPush {
    /// Evaluates the expressions for the event. Each takes at most a few milliseconds. Returns whether there were any.
    pub(crate) fn evaluate(&mut self) -> bool {
        if self.versions.is_empty() && self.filters.is_empty() && self.predicates.is_empty() {
            return false;
        }
        for version in std::mem::take(&mut self.versions) {
            let claim = claim_for(&version, &self.event.input, &self.run_metadata);
            self.claims.insert(version.id, claim);
            let limits = EvaluatedLimits::early(&version, &self.event.input, &self.run_metadata);
            self.limits.extend(limits.map(|limits| (version.id, limits)));
        }
        self.filter_results.evaluate(std::mem::take(&mut self.filters), &self.event, self.id);
        let predicates = std::mem::take(&mut self.predicates);
        let input = if predicates.is_empty() { Value::Null } else { object(&self.event.input) };
        for predicate in predicates {
            self.results.insert(predicate.text().clone(), event_predicate_holds(&predicate, &input));
        }
        true
    }
}

impl State {
    /// Finds the workflows of the event with an idempotency expression. Does not change the state.
    pub(crate) fn begin_event(&mut self, event: PushedEvent) -> EventPush {
        let id = self.new_id();
        let versions = self.workflows.triggered_by(&event.key).into_iter();
        let versions: Vec<Arc<Version>> = versions.filter_map(|workflow| self.version_of(&workflow).cloned()).collect();
        let scope = event.scope.as_deref();
        let filters = versions.iter().filter_map(|version| self.filters.matching(version.workflow_id, scope));
        EventPush {
            id,
            run_metadata: metadata::for_event(&event.metadata, id, &event.key),
            filters: filters.flatten().collect(),
            filter_results: FilterResults::default(),
            predicates: self.conditions.predicates(&event.key),
            results: HashMap::new(),
            event,
            versions: versions
                .into_iter()
                .filter(|version| version.definition.idempotency.is_some() || version.definition.has_limits())
                .collect(),
            claims: HashMap::new(),
            limits: HashMap::new(),
        }
    }

    /// Creates the event and its runs: each workflow that its key triggers gets a run, or one for each matching filter. A
    /// workflow that was declared again since [`begin_event`](Self::begin_event) has
    /// its expression evaluated here.
    pub(crate) fn finish_event(&mut self, push: EventPush, now: ClockReading) -> Uuid {
        let EventPush { id, event, run_metadata, mut claims, mut limits, mut filter_results, results, .. } = push;
        // Runs that the event triggers do not wait for the same event.
        self.meet_event_conditions(&event.key, &event.input, results, now);
        let mut runs = Vec::new();
        for workflow in self.workflows.triggered_by(&event.key) {
            let Some(version) = self.version_of(&workflow) else { continue };
            let filters = self.filters.matching(version.workflow_id, event.scope.as_deref());
            let (mut evaluated, mut limits) = (claims.remove(&version.id), limits.remove(&version.id));
            for filter in filter_results.runs(filters, &event, id) {
                let (input, metadata) = (event.input.clone(), run_metadata.clone());
                let template = RunTemplate { workflow: workflow.clone(), input, metadata, priority: event.priority };
                let origin = Origin::Event { id, key: event.key.clone(), filter };
                runs.extend(self.trigger_unattended(template, origin, evaluated.take(), limits.take(), now));
            }
        }
        let PushedEvent { key, input, metadata, scope, .. } = event;
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
