//! Declared rules of tasks: the units of rate limits that an attempt takes.

use std::sync::Arc;

use super::{DeclaredLimit, Window};
use crate::engine::state::expression::{TaskExpression, Variables};

/// A value that is declared, or computed from the run.
#[derive(Debug, Clone)]
pub(crate) enum RateTarget<T> {
    Fixed(T),
    Computed(TaskExpression),
}

/// A rule of a task.
#[derive(Debug, Clone)]
pub(crate) struct RateRule {
    pub(crate) key: RateTarget<Arc<str>>,
    pub(crate) units: RateTarget<i64>,
    /// The limit that the rule sets for its key, with the window. A negative limit sets none.
    pub(crate) limit: Option<(TaskExpression, Window)>,
}

/// The units of a key that a task of a run takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RateDemand {
    pub(crate) key: Arc<str>,
    pub(crate) units: i64,
    /// The limit to set when the task is queued.
    pub(crate) limit: Option<DeclaredLimit>,
}

impl RateRule {
    /// The key for which a rate limit must exist before the rule is declared.
    pub(crate) fn required_key(&self) -> Option<&Arc<str>> {
        match &self.key {
            RateTarget::Fixed(key) if self.limit.is_none() => Some(key),
            RateTarget::Fixed(_) | RateTarget::Computed(_) => None,
        }
    }

    /// Whether the id of the run affects a value.
    pub(crate) fn uses_run_id(&self) -> bool {
        let key = matches!(&self.key, RateTarget::Computed(key) if key.uses_run_id());
        let units = matches!(&self.units, RateTarget::Computed(units) if units.uses_run_id());
        key || units || self.limit.as_ref().is_some_and(|(limit, _)| limit.uses_run_id())
    }

    /// Evaluates the rule for a run. A negative number of units counts as none, and a negative limit sets no limit, as in a
    /// real engine: SDKs send -1 for a rule with a fixed key.
    pub(crate) fn demand(&self, variables: &Variables) -> Result<RateDemand, String> {
        let key = match &self.key {
            RateTarget::Fixed(key) => key.clone(),
            RateTarget::Computed(key) => key.text(variables, "dynamic rate limit key")?.into(),
        };
        let units = match &self.units {
            RateTarget::Fixed(units) => *units,
            RateTarget::Computed(units) => units.number(variables, "dynamic rate limit units")?.max(0),
        };
        let limit = match &self.limit {
            None => None,
            Some((limit, window)) => {
                let limit = limit.number(variables, "dynamic rate limit value")?;
                let is_dynamic = matches!(self.key, RateTarget::Computed(_));
                (limit >= 0).then_some(DeclaredLimit { limit, window: *window, is_dynamic })
            }
        };
        Ok(RateDemand { key, units, limit })
    }
}
