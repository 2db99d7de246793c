//! The workflow and payload of a run.

use std::sync::Arc;

/// The validated workflow and payload of a run, or of the runs that a schedule or cron triggers.
#[derive(Debug, Clone)]
pub(crate) struct RunTemplate {
    pub(crate) workflow: Arc<str>,
    /// A JSON object or `null`.
    pub(crate) input: Arc<str>,
    /// A JSON object; in a schedule or cron also [`NO_METADATA`](crate::engine::state::metadata::NO_METADATA).
    pub(crate) metadata: Arc<str>,
    /// 1 (low) to 3 (high); the workflow's default if absent.
    pub(crate) priority: Option<i32>,
}
