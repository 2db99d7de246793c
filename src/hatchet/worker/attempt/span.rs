//! The OpenTelemetry span of an attempt, from its assignment to the end of its body.

use super::assignment::Assignment;
use crate::hatchet::{
    task::{AttemptSpan, TRACEPARENT},
    wire::failure_text,
    worker::health::AttemptEnd,
};

/// Starts the span of an attempt. Its parent is the span of the `traceparent` in the run's metadata.
pub(super) fn start(assignment: &Assignment, namespace: &str) -> AttemptSpan {
    let Assignment { info, origin, .. } = assignment;
    let traceparent = info.additional_metadata.get(TRACEPARENT).and_then(|value| value.as_str());
    AttemptSpan::start(
        |attributes| {
            attributes
                .text("hatchet.tenant_id", &origin.tenant_id)
                .text("hatchet.namespace", namespace)
                .text("hatchet.worker_id", &assignment.worker.to_string())
                .text("hatchet.workflow_run_id", &info.workflow_run_id)
                .text("hatchet.step_id", &assignment.task_id)
                .text("hatchet.step_run_id", &info.run_id)
                .number("hatchet.retry_count", Some(info.retry_count.into()))
                .text("hatchet.parent_workflow_run_id", &origin.parent_run_id)
                .number("hatchet.child_workflow_index", origin.child_index.map(i64::from))
                .text("hatchet.child_workflow_key", &origin.child_key)
                .text("hatchet.workflow_name", &origin.workflow_name)
                .text("hatchet.action_name", &assignment.action_id)
                .text("hatchet.step_name", &info.task_name)
                .text("hatchet.workflow_id", &origin.workflow_id)
                .text("hatchet.workflow_version_id", &origin.workflow_version_id)
                .text("hatchet.triggering_event_external_id", &origin.event_id)
                .text("hatchet.triggering_event_key", &origin.event_key)
        },
        traceparent,
    )
}

/// Ends the span. `error` is the error text of a failure.
pub(super) fn end(span: &AttemptSpan, end: AttemptEnd, error: Option<&str>) {
    span.end(|| match (end, error) {
        (AttemptEnd::Completed, _) => None,
        (AttemptEnd::TimedOut, _) => Some(failure_text("TimedOut", "the attempt exceeded its timeout")),
        (AttemptEnd::Cancelled, _) => Some(failure_text("Cancelled", "the engine cancelled the attempt")),
        (AttemptEnd::Failed | AttemptEnd::Fatal | AttemptEnd::Shutdown, Some(error)) => Some(error.to_owned()),
        (AttemptEnd::Failed | AttemptEnd::Fatal, None) => Some(failure_text("Error", "the attempt failed")),
        (AttemptEnd::Shutdown, None) => Some(failure_text("Shutdown", "the worker was stopped")),
    });
}
