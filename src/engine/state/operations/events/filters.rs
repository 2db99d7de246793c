//! Adds, changes and evaluates event filters.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;
use uuid::Uuid;

use crate::engine::state::{
    machine::State,
    predicate::{FilterRule, object},
    runs::TriggeringFilter,
    time::ClockReading,
    triggers::{EventFilter, PushedEvent},
    workflows::Definition,
};

/// The reason for refusing a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterError {
    UnknownWorkflow,
    UnknownFilter,
    /// The workflow has a filter with this scope, expression and payload.
    Duplicate,
}

impl State {
    /// Adds a filter to a workflow.
    pub(crate) fn add_filter(
        &mut self,
        workflow: Uuid,
        rule: FilterRule,
        now: ClockReading,
    ) -> Result<Uuid, FilterError> {
        if self.workflows.by_id(workflow).is_none() {
            return Err(FilterError::UnknownWorkflow);
        }
        if self.filters.has_equal(workflow, &rule, None) {
            return Err(FilterError::Duplicate);
        }
        let id = self.new_id();
        let (created, updated) = (now.display, now.display);
        self.filters.insert(id, EventFilter { workflow, rule, declared: false, created, updated });
        Ok(id)
    }

    /// Changes the rule of a filter.
    pub(crate) fn update_filter(&mut self, id: Uuid, rule: FilterRule, now: ClockReading) -> Result<(), FilterError> {
        let Some(before) = self.filters.get(id).cloned() else { return Err(FilterError::UnknownFilter) };
        if self.filters.has_equal(before.workflow, &rule, Some(id)) {
            return Err(FilterError::Duplicate);
        }
        self.filters.insert(id, EventFilter { rule, updated: now.display, ..(*before).clone() });
        Ok(())
    }

    /// Removes a filter and returns it.
    pub(crate) fn remove_filter(&mut self, id: Uuid) -> Option<Arc<EventFilter>> {
        self.filters.remove(id)
    }

    pub(crate) fn filter(&self, id: Uuid) -> Option<&Arc<EventFilter>> {
        self.filters.get(id)
    }

    /// All filters, the greatest id first.
    pub(crate) fn filters(&self) -> impl Iterator<Item = (Uuid, &Arc<EventFilter>)> {
        self.filters.iter()
    }

    /// Replaces the declared filters of a workflow. As in a real engine, a definition without filters leaves them. A
    /// declared filter replaces one with the same rule.
    pub(in crate::engine::state) fn replace_declared_filters(
        &mut self,
        workflow: Uuid,
        definition: &Definition,
        now: ClockReading,
    ) {
        if definition.filters.is_empty() {
            return;
        }
        let declared: HashSet<_> = definition.filters.iter().map(FilterRule::unique_key).collect();
        self.filters
            .remove_from_workflow(workflow, |filter| filter.declared || declared.contains(&filter.rule.unique_key()));
        for rule in &definition.filters {
            let id = self.new_id();
            let (created, updated) = (now.display, now.display);
            self.filters.insert(id, EventFilter { workflow, rule: rule.clone(), declared: true, created, updated });
        }
    }
}

/// The filters of the workflows that an event may trigger, with the result of each that was evaluated.
#[derive(Debug, Default)]
pub(crate) struct FilterResults(HashMap<Uuid, (Arc<EventFilter>, bool)>);

impl FilterResults {
    /// Evaluates filters for an event. An expression with an error does not hold.
    pub(super) fn evaluate(&mut self, filters: Vec<(Uuid, Arc<EventFilter>)>, event: &PushedEvent, event_id: Uuid) {
        if filters.is_empty() {
            return;
        }
        let (input, metadata) = (object(&event.input), object(&event.metadata));
        let (key, event_id) = (Value::from(&*event.key), Value::from(event_id.to_string()));
        for (id, filter) in filters {
            let payload = object(&filter.rule.payload);
            let holds = filter.rule.predicate.holds(&[
                ("input", &input),
                ("additional_metadata", &metadata),
                ("payload", &payload),
                ("event_key", &key),
                ("event_id", &event_id),
            ]);
            let holds = holds.unwrap_or_else(|error| {
                tracing::warn!("filter {id} does not match event {event_id}: {error}");
                false
            });
            self.0.insert(id, (filter, holds));
        }
    }

    /// Returns the runs that an event triggers in a workflow: one run if the workflow has no filters, else one for each
    /// filter that matches. Filters that were changed since [`evaluate`](Self::evaluate) are evaluated here.
    pub(super) fn runs(
        &mut self,
        filters: Option<Vec<(Uuid, Arc<EventFilter>)>>,
        event: &PushedEvent,
        event_id: Uuid,
    ) -> Vec<Option<Arc<TriggeringFilter>>> {
        let Some(filters) = filters else { return vec![None] };
        let is_current = |id: &Uuid, filter: &Arc<EventFilter>| {
            self.0.get(id).is_some_and(|(evaluated, _)| Arc::ptr_eq(evaluated, filter))
        };
        let missing = filters.iter().filter(|(id, filter)| !is_current(id, filter)).cloned().collect();
        self.evaluate(missing, event, event_id);
        let holds = |id: &Uuid| self.0.get(id).is_some_and(|(_, holds)| *holds);
        let matching = filters.into_iter().filter(|(id, _)| holds(id));
        matching
            .map(|(id, filter)| Some(Arc::new(TriggeringFilter { id, payload: filter.rule.payload.clone() })))
            .collect()
    }
}
