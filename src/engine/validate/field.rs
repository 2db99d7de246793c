//! Validates ids, names and priorities.

use super::error::Invalid;
use crate::hatchet::wire::{RunId, WorkerId, excerpt};

/// Whether a text can name a workflow, a task or a worker: letters, digits and `.`, `-`, `_`.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// Returns the error text for a text that is not a name, with the rule of [`is_name`].
pub(super) fn not_a_name(text: &str) -> String {
    format!("`{}` is not a name: use letters, digits and . - _", excerpt(text))
}

/// Validates a priority: 1 to 3, or none.
pub(super) fn validate_priority(given: Option<i32>) -> Result<Option<i32>, Invalid> {
    match given {
        Some(n) if !(1..=3).contains(&n) => {
            Err(Invalid::request(&format!("priority must be between 1 and 3, got {n}")))
        }
        valid => Ok(valid),
    }
}

/// Parses the id of a worker.
pub(crate) fn parse_worker_id(text: &str) -> Result<WorkerId, Invalid> {
    text.parse().map_err(|_| Invalid::new(format!("invalid worker ID format: {}", excerpt(text))))
}

/// Parses the id of the worker that a trigger desires.
pub(super) fn parse_desired_worker_id(text: &str) -> Result<WorkerId, Invalid> {
    text.parse()
        .map_err(|_| Invalid::request(&format!("desiredWorkerId must be a valid UUID, got `{}`", excerpt(text))))
}

/// Parses the id of a task run in a step event.
pub(crate) fn parse_reported_task_id(text: &str) -> Result<RunId, Invalid> {
    text.parse().map_err(|_| Invalid::new(format!("invalid task external run id {}: it is not a UUID", excerpt(text))))
}

/// Parses the id of a task run in all calls except step events.
pub(crate) fn parse_task_id(text: &str) -> Result<RunId, Invalid> {
    text.parse().map_err(|_| Invalid::new("task external run id is not a valid uuid"))
}

/// Parses the id of a run or task in calls that act on both.
pub(crate) fn parse_external_id(text: &str) -> Result<RunId, Invalid> {
    text.parse().map_err(|_| Invalid::new("invalid external id"))
}

/// Parses the run id in a subscription to events.
pub(crate) fn parse_workflow_run_id(text: &str) -> Result<RunId, Invalid> {
    text.parse().map_err(|_| Invalid::new(format!("invalid workflow run id {}", excerpt(text))))
}
