//! Filters of event triggers, and the placement of a run's tasks.

use serde::Serialize;

use crate::hatchet::wire::canonical_object;

/// A filter that is registered with a workflow: an event of its scope starts a run if the CEL expression is true.
///
/// ```
/// use hatchet_quickstart::hatchet::task::DefaultFilter;
///
/// let large = DefaultFilter::new("input.total > payload.minimum", "eu").payload(&serde_json::json!({"minimum": 100}));
/// ```
///
/// A workflow without filters is started by every event of its keys. A workflow with filters is started only by events
/// that have the scope of a filter, once for each filter that matches. A changed declaration with default filters
/// replaces the earlier filters. A declaration without default filters leaves them: delete them with
/// [`RestClient::delete_filter`](crate::hatchet::client::RestClient::delete_filter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultFilter {
    pub(in crate::hatchet) expression: String,
    pub(in crate::hatchet) scope: String,
    /// A JSON object, or the error of its serialization.
    pub(in crate::hatchet) payload: Option<Result<String, String>>,
}

impl DefaultFilter {
    /// Creates a filter for events of the scope. The expression reads the event's payload as `input`, its metadata as
    /// `additional_metadata` and the filter's payload as `payload`; its result is a boolean.
    pub fn new(expression: impl Into<String>, scope: impl Into<String>) -> Self {
        Self { expression: expression.into(), scope: scope.into(), payload: None }
    }

    /// The part that must be unique in a declaration: the expression, the scope and the payload as an object.
    pub(in crate::hatchet) fn unique_key(&self) -> (&str, &str, String) {
        let payload = self.payload.as_ref().and_then(|json| json.as_deref().ok()).unwrap_or("{}");
        (&self.expression, &self.scope, canonical_object(payload))
    }

    /// Sets data for the expression and the task: a value whose JSON form is an object. Default empty.
    #[must_use]
    pub fn payload(mut self, payload: &impl Serialize) -> Self {
        self.payload = Some(serde_json::to_string(payload).map_err(|e| e.to_string()));
        self
    }
}

/// The placement of the tasks of a run on workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sticky {
    /// The tasks run on one worker while it has a free slot, else on any worker.
    Soft,
    /// The tasks run on one worker, and wait for its slots.
    Hard,
}
