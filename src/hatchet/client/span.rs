//! OpenTelemetry spans of the calls that start runs.

use serde_json::{Map, Value};

use super::{Client, ClientError};
use crate::hatchet::{
    task::{Attributes, CallSpan, Priority},
    wire::failure_text,
};

/// Makes a call in a span.
pub(super) fn in_span<T>(
    span: CallSpan,
    call: impl Future<Output = Result<T, ClientError>>,
) -> impl Future<Output = Result<T, ClientError>> {
    span.run(call, |result| result.as_ref().err().map(|error| error_text(&error.to_string())))
}

/// Makes a call with several results in a span. The span fails if one of them is an error.
pub(super) fn in_span_of_many<T>(
    span: CallSpan,
    call: impl Future<Output = Vec<Result<T, ClientError>>>,
) -> impl Future<Output = Vec<Result<T, ClientError>>> {
    span.run(call, |results| {
        let mut errors = results.iter().filter_map(|result| result.as_ref().err());
        let first = errors.next()?;
        Some(error_text(&format!("{} of {} failed, the first: {first}", errors.count() + 1, results.len())))
    })
}

/// The attributes of a call that starts runs of one workflow.
pub(super) fn run_attributes(
    attributes: Attributes,
    client: &Client,
    name: &str,
    metadata: &Map<String, Value>,
    priority: Option<Priority>,
) -> Attributes {
    let config = client.config();
    event_attributes(attributes, metadata, priority)
        .text("hatchet.workflow_name", &config.namespaced(name))
        .text("hatchet.namespace", &config.namespace)
}

/// The attributes of the options that runs and events have in common.
pub(super) fn event_attributes(
    attributes: Attributes,
    metadata: &Map<String, Value>,
    priority: Option<Priority>,
) -> Attributes {
    let metadata = if metadata.is_empty() { String::new() } else { Value::from(metadata.clone()).to_string() };
    attributes
        .text("hatchet.additional_metadata", &metadata)
        .number("hatchet.priority", priority.map(|priority| priority.number().into()))
}

fn error_text(message: &str) -> String {
    failure_text("ClientError", message)
}
