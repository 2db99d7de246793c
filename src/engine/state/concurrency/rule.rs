//! Declared concurrency rules, and their evaluation for a run.

use std::sync::Arc;

use crate::engine::state::expression::{TaskExpression, Variables};

/// The treatment of members beyond the limit of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitStrategy {
    /// They wait.
    GroupRoundRobin,
    /// Newer members replace older ones, which are cancelled.
    CancelInProgress,
    /// They are cancelled.
    CancelNewest,
    /// Only the newest of them waits; the others are cancelled.
    CancelQueuedExceptNewest,
    /// Only the oldest of them waits; the others are cancelled.
    CancelQueuedExceptOldest,
}

/// A rule that limits how many tasks or runs with an equal key run at a time.
#[derive(Debug, Clone)]
pub(crate) struct ConcurrencyRule {
    pub(crate) key: TaskExpression,
    /// The limit; no member runs if it is not positive, as in a real engine.
    pub(crate) max_runs: i32,
    /// The limit by the run; takes precedence over `max_runs`.
    pub(crate) max_runs_expression: Option<TaskExpression>,
    pub(crate) strategy: LimitStrategy,
    /// The name of a rule that workflows share.
    pub(crate) tenant_name: Option<Arc<str>>,
}

/// A concurrency group that a task or run has to enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupDemand {
    /// The value of the key expression.
    pub(crate) key: Arc<str>,
    /// The limit of the group as long as this member is the newest.
    pub(crate) max_runs: i32,
}

impl ConcurrencyRule {
    /// Whether the id of the run affects the key or the limit.
    pub(crate) fn uses_run_id(&self) -> bool {
        self.key.uses_run_id() || self.max_runs_expression.as_ref().is_some_and(TaskExpression::uses_run_id)
    }

    /// Evaluates the rule for a run.
    pub(crate) fn demand(&self, variables: &Variables) -> Result<GroupDemand, String> {
        let max_runs = match &self.max_runs_expression {
            None => self.max_runs,
            Some(expression) => {
                let number = expression.number(variables, "concurrency max runs")?;
                i32::try_from(number).unwrap_or(if number < 0 { 0 } else { i32::MAX })
            }
        };
        Ok(GroupDemand { key: self.key.text(variables, "concurrency key")?.into(), max_runs })
    }
}
