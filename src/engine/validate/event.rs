//! Pushed events.

use super::{error::Invalid, field, json};
use crate::{engine::state::PushedEvent, hatchet::wire::proto::PushEventRequest};

/// Largest number of events in one `BulkPush`, as in a real engine.
const MAX_EVENTS: usize = 1000;

/// Validates a pushed event.
pub(crate) fn validate_event(event: &PushEventRequest, max_message: usize) -> Result<PushedEvent, Invalid> {
    let input = json::validate_input(&event.payload, max_message)?;
    let metadata =
        json::validate_metadata(event.additional_metadata.as_deref(), max_message.saturating_sub(input.len()))?;
    Ok(PushedEvent {
        key: event.key.as_str().into(),
        input,
        metadata,
        priority: field::validate_priority(event.priority)?,
        scope: event.scope.clone(),
    })
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
