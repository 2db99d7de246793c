//! Validates reports of workers about their tasks.

use std::time::Duration;

use super::{error::Invalid, json};
use crate::{
    engine::state::AttemptReport,
    hatchet::wire::{
        excerpt,
        proto::{StepActionEvent, StepActionEventType},
    },
};

/// Validates the report in a step event.
pub(crate) fn validate_report(event: &StepActionEvent, max_message: usize) -> Result<AttemptReport, Invalid> {
    let text = event.event_payload.as_str();
    match StepActionEventType::try_from(event.event_type) {
        Ok(StepActionEventType::StepEventTypeStarted | StepActionEventType::StepEventTypeAcknowledged) => {
            Ok(AttemptReport::Acknowledged)
        }
        Ok(StepActionEventType::StepEventTypeCompleted) => Ok(match json::validate_output(text, max_message) {
            Ok(output) => AttemptReport::Completed(output),
            // As in a real engine, an output that cannot be stored fails the attempt, which may be retried.
            Err(error) => AttemptReport::Failed { error: error.into(), may_retry: true, retry_after: None },
        }),
        Ok(StepActionEventType::StepEventTypeFailed) => Ok(AttemptReport::Failed {
            error: json::sendable_error_text(text, max_message),
            may_retry: !event.should_not_retry.unwrap_or(false),
            // A negative delay is none, as in the SDKs.
            retry_after: event.retry_after_ms.map(|ms| Duration::from_millis(ms.try_into().unwrap_or(0))),
        }),
        Ok(StepActionEventType::StepEventTypeCancelled) => Ok(AttemptReport::Cancelled),
        Ok(StepActionEventType::StepEventTypeUnknown) | Err(_) => Err(Invalid::new(format!(
            "invalid task external run id {}: unknown event type {}",
            excerpt(&event.task_run_external_id),
            event.event_type
        ))),
    }
}
