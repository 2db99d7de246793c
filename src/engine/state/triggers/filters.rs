//! Event filters, which decide whether an event of a scope triggers a run of a workflow.
//!
//! A workflow without filters is triggered by every event of its keys. A workflow with filters is triggered once for
//! each filter that has the scope of the event and whose expression is true.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use uuid::Uuid;

use crate::engine::{
    persistence::{
        row::RowKey,
        tracked::{ENTRY_BYTES, Stored, Tracked},
    },
    state::{predicate::FilterRule, time::Timestamp},
};

/// A filter of a workflow.
#[derive(Debug, Clone)]
pub(crate) struct EventFilter {
    pub(crate) workflow: Uuid,
    pub(crate) rule: FilterRule,
    /// Whether the workflow's definition declares the filter.
    pub(crate) declared: bool,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

/// All filters, ordered by their ids, as in a real engine.
#[derive(Debug, Default)]
pub(crate) struct EventFilters {
    pub(in crate::engine::state) filters: Tracked<BTreeMap<Uuid, Arc<EventFilter>>>,
    by_workflow: HashMap<Uuid, BTreeSet<Uuid>>,
}

impl EventFilters {
    pub(crate) fn get(&self, id: Uuid) -> Option<&Arc<EventFilter>> {
        self.filters.get(&id)
    }

    /// All filters, the greatest id first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Uuid, &Arc<EventFilter>)> {
        self.filters.iter().rev().map(|(id, filter)| (*id, filter))
    }

    /// The filters of a workflow with this scope; `None` if the workflow has no filters.
    pub(crate) fn matching(&self, workflow: Uuid, scope: Option<&str>) -> Option<Vec<(Uuid, Arc<EventFilter>)>> {
        let ids = self.by_workflow.get(&workflow)?;
        let filters = ids.iter().rev().filter_map(|id| Some((*id, self.filters.get(id)?)));
        let matching = filters.filter(|(_, filter)| scope.is_some_and(|scope| *filter.rule.scope == *scope));
        Some(matching.map(|(id, filter)| (id, filter.clone())).collect())
    }

    /// Whether another filter of the workflow has the same rule.
    pub(crate) fn has_equal(&self, workflow: Uuid, rule: &FilterRule, except: Option<Uuid>) -> bool {
        let ids = self.by_workflow.get(&workflow).into_iter().flatten();
        let key = rule.unique_key();
        ids.filter(|id| Some(**id) != except)
            .filter_map(|id| self.filters.get(id))
            .any(|filter| filter.rule.unique_key() == key)
    }

    pub(crate) fn insert(&mut self, id: Uuid, filter: EventFilter) {
        self.by_workflow.entry(filter.workflow).or_default().insert(id);
        self.filters.insert(id, Arc::new(filter));
    }

    /// Restores a stored filter.
    pub(crate) fn restore(&mut self, id: Uuid, filter: EventFilter) {
        self.by_workflow.entry(filter.workflow).or_default().insert(id);
        self.filters.restore(id, Arc::new(filter));
    }

    pub(crate) fn remove(&mut self, id: Uuid) -> Option<Arc<EventFilter>> {
        let filter = self.filters.remove(&id)?;
        if let Some(ids) = self.by_workflow.get_mut(&filter.workflow) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_workflow.remove(&filter.workflow);
            }
        }
        Some(filter)
    }

    /// Removes the filters of a workflow that `should_remove` selects.
    pub(crate) fn remove_from_workflow(&mut self, workflow: Uuid, should_remove: impl Fn(&EventFilter) -> bool) {
        let ids = self.by_workflow.get(&workflow).into_iter().flatten();
        let removed: Vec<Uuid> =
            ids.filter(|id| self.filters.get(id).is_some_and(|filter| should_remove(filter))).copied().collect();
        removed.into_iter().for_each(|id| drop(self.remove(id)));
    }
}

impl Stored<Uuid> for Arc<EventFilter> {
    fn row_key(&self, id: &Uuid) -> RowKey {
        RowKey::Bytes(id.into_bytes().to_vec())
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.rule.bytes()
    }
}
