//! Validates log lines of tasks.

use super::{error::Invalid, field, json};
use crate::{
    engine::state::Timestamp,
    hatchet::wire::{RunId, proto::PutLogRequest},
};

/// Largest number of characters of a message, as in a real engine.
const MAX_CHARS: usize = 10_000;

/// A validated log line that has not been added to its task yet.
pub(crate) struct NewLogLine {
    pub(crate) task: RunId,
    pub(crate) message: String,
    pub(crate) level: &'static str,
    /// A JSON object.
    pub(crate) metadata: String,
    pub(crate) attempt: Option<i32>,
    /// `None` means the time of receipt.
    pub(crate) at: Option<Timestamp>,
}

/// Validates a log line.
pub(crate) fn validate_log_line(line: PutLogRequest, max_message: usize) -> Result<NewLogLine, Invalid> {
    let task = field::parse_task_id(&line.task_run_external_id)?;
    let length = line.message.chars().take(MAX_CHARS + 1).count();
    if length == 0 || length > MAX_CHARS {
        return Err(Invalid::request(&format!("a log message must have 1 to {MAX_CHARS} characters")));
    }
    let level = match line.level.as_deref() {
        None | Some("INFO") => "INFO",
        Some("DEBUG") => "DEBUG",
        Some("WARN") => "WARN",
        Some("ERROR") => "ERROR",
        Some(_) => return Err(Invalid::request("the level must be DEBUG, INFO, WARN or ERROR")),
    };
    let metadata = json::validate_metadata(Some(&line.metadata), max_message)?;
    if !line.metadata.trim_start().starts_with('{') && !line.metadata.is_empty() {
        return Err(Invalid::request("the metadata of a log line must be a JSON object"));
    }
    Ok(NewLogLine {
        task,
        message: line.message,
        level,
        metadata: metadata.to_string(),
        attempt: line.task_retry_count,
        at: line.created_at.as_ref().map(Timestamp::from_wire),
    })
}
