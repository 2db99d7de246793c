//! The run that a schedule or a cron starts: its input and options, and their checks.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value};

use super::ClientError;
use crate::hatchet::{
    task::{Context, Priority, TRACEPARENT, current_traceparent},
    transport::ErrorKind,
    wire::{check_object, has_nul},
};

/// The end of the last year that an engine can store, 9999, in seconds since 1970.
const MAX_TIME: Duration = Duration::from_secs(253_402_300_799);

/// The input and options of a run that starts later.
#[derive(Debug, Clone)]
pub(super) struct RunTemplate {
    /// The task's name, without namespace.
    pub(super) task: String,
    /// The input's JSON, or the error of its serialization.
    input: Result<String, String>,
    pub(super) priority: Option<Priority>,
    pub(super) metadata: Map<String, Value>,
}

impl RunTemplate {
    pub(super) fn new(task: &str, input: &impl Serialize) -> Self {
        let input = serde_json::to_string(input).map_err(|e| e.to_string());
        Self { task: task.to_owned(), input, priority: None, metadata: Map::new() }
    }

    /// Returns the input and the metadata as JSON objects.
    pub(super) fn payloads(&self) -> Result<(String, String), ClientError> {
        text("task name", &self.task)?;
        let input = object(&format!("input of {}", self.task), self.input.clone())?;
        Ok((input, metadata_json(self.metadata.clone())?))
    }
}

/// Returns the metadata of a run or event as a JSON object, with the trace context of the call.
pub(super) fn metadata_json(mut metadata: Map<String, Value>) -> Result<String, ClientError> {
    if let Some(trace) = missing_traceparent(&metadata) {
        metadata.insert(TRACEPARENT.to_owned(), trace.into());
    }
    object("metadata", Ok(Value::Object(metadata).to_string()))
}

/// The trace context of the call, unless the caller's metadata has one: the current OpenTelemetry span, or the trace
/// context of the attempt whose body makes the call.
pub(super) fn missing_traceparent(metadata: &Map<String, Value>) -> Option<String> {
    if metadata.contains_key(TRACEPARENT) {
        return None;
    }
    current_traceparent().or_else(|| Context::with_current(|ctx| ctx.traceparent().map(str::to_owned)).flatten())
}

/// Checks the JSON of a field: an engine stores only objects.
pub(super) fn object(field: &str, json: Result<String, String>) -> Result<String, ClientError> {
    let json = json.map_err(|e| invalid(format!("invalid {field}: serialization failed: {e}")))?;
    check_object(&json).map_err(|e| invalid(format!("invalid {field}: {e}")))?;
    Ok(json)
}

/// Checks a text that must not be empty.
pub(super) fn text(field: &str, text: &str) -> Result<(), ClientError> {
    if text.is_empty() || text.contains('\0') || has_nul(text) {
        return Err(invalid(format!("invalid {field} {text:?}: use at least one character, and no NUL")));
    }
    Ok(())
}

pub(super) fn invalid(message: String) -> ClientError {
    ClientError::new(ErrorKind::Invalid, message)
}

/// Checks a time that an engine stores.
pub(super) fn check_time(time: Option<SystemTime>) -> Result<SystemTime, ClientError> {
    let time = time.filter(|time| time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since <= MAX_TIME));
    time.ok_or_else(|| invalid("invalid time: use a time from 1970 to 9999".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_task_name_is_refused() {
        let error = RunTemplate::new("", &Map::new()).payloads().unwrap_err();
        assert!(error.to_string().starts_with("invalid task name \"\""), "{error}");
    }

    #[test]
    fn time_outside_of_the_range_is_refused() {
        let time = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        assert!(check_time(time(0)).is_ok() && check_time(time(MAX_TIME.as_secs())).is_ok());
        for time in [None, time(MAX_TIME.as_secs() + 1), SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(1))] {
            assert!(check_time(time).unwrap_err().to_string().contains("invalid time"));
        }
    }
}
