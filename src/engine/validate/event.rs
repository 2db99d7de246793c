//! Validates pushed events.

use super::{error::Invalid, field, json};
use crate::{engine::state::PushedEvent, hatchet::wire::proto::PushEventRequest};

/// Largest number of events in one `BulkPush`, as in a real engine.
const MAX_EVENTS: usize = 1000;

/// Validates a pushed event.
pub(crate) fn validate_event(event: &PushEventRequest, max_message: usize) -> Result<PushedEvent, Invalid> {
    let metadata = event.additional_metadata.as_deref();
    validate_event_parts(&event.key, &event.payload, metadata, event.priority, event.scope.clone(), max_message)
}

/// Validates the parts of a pushed event. `payload` and `metadata` are JSON texts.
pub(crate) fn validate_event_parts(
    key: &str,
    payload: &str,
    metadata: Option<&str>,
    priority: Option<i32>,
    scope: Option<String>,
    max_message: usize,
) -> Result<PushedEvent, Invalid> {
    let input = json::validate_input(payload, max_message)?;
    let metadata = json::validate_metadata(metadata, max_message.saturating_sub(input.len()))?;
    Ok(PushedEvent { key: key.into(), input, metadata, priority: field::validate_priority(priority)?, scope })
}

/// Validates a bulk push. One invalid event fails the whole push.
pub(crate) fn validate_events(events: &[PushEventRequest], max_message: usize) -> Result<Vec<PushedEvent>, Invalid> {
    if events.is_empty() {
        return Err(Invalid::new("No events to ingest"));
    }
    if events.len() > MAX_EVENTS {
        let message = format!("too many events - {} is over maximum ({MAX_EVENTS})", events.len());
        return Err(Invalid::request(&message));
    }
    if events.iter().any(|event| event.key.is_empty()) {
        return Err(Invalid::request("an event has no key"));
    }
    events.iter().map(|request| validate_event(request, max_message)).collect()
}
