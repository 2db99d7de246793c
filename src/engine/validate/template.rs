//! Validates run templates: the workflow, payloads and priority of a run.

use super::{error::Invalid, field, json};
use crate::engine::state::RunTemplate;

/// Validates the template of a run. `input` and `metadata` are JSON texts.
pub(crate) fn validate_template(
    workflow: &str,
    input: &str,
    metadata: Option<&str>,
    priority: Option<i32>,
    max_message: usize,
) -> Result<RunTemplate, Invalid> {
    let input = json::validate_input(input, max_message)?;
    let metadata = json::validate_metadata(metadata, max_message.saturating_sub(input.len()))?;
    Ok(RunTemplate { workflow: workflow.into(), input, metadata, priority: field::validate_priority(priority)? })
}
