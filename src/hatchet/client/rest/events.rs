//! The list of events, with the runs that they have started.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value};
use tonic::codegen::http::Method;

use super::{
    RestClient,
    http::rfc3339,
    list::{Pages, ResourceMetadata, Row, null_is_default},
};
use crate::hatchet::{transport::ClientError, wire::EventId};

/// An event in the engine's list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StoredEvent {
    /// The id.
    pub metadata: ResourceMetadata,
    /// The key, namespace included.
    pub key: String,
    /// The scope, if the event has one.
    #[serde(default)]
    pub scope: Option<String>,
    /// The payload, which is the input of the triggered runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub payload: Map<String, Value>,
    /// The additional metadata, which the triggered runs inherit.
    #[serde(default, deserialize_with = "null_is_default")]
    pub additional_metadata: Map<String, Value>,
    /// The time at which the engine accepted the event, RFC 3339.
    #[serde(default)]
    pub seen_at: Option<String>,
    /// The runs that the event has started.
    #[serde(default, deserialize_with = "null_is_default")]
    pub triggered_runs: Vec<TriggeredRun>,
}

/// A run that an event has started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TriggeredRun {
    /// The run's id.
    pub workflow_run_id: String,
    /// The filter that the event matched, if the workflow has filters.
    #[serde(default)]
    pub filter_id: Option<String>,
}

/// Selects events that meet all criteria. Several values of one criterion select events with any of them. The default
/// selects all.
#[derive(Debug, Clone, Default)]
#[must_use = "a filter does nothing until it is passed to a call"]
pub struct EventFilter {
    query: Vec<(&'static str, String)>,
}

impl EventFilter {
    /// Selects events with this key, namespace included.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.query.push(("keys", key.into()));
        self
    }

    /// Selects events of this scope.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.query.push(("scopes", scope.into()));
        self
    }

    /// Selects events that were pushed after this time.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.query.push(("since", rfc3339(time)));
        self
    }

    /// Selects events that were pushed before this time.
    pub fn until(mut self, time: SystemTime) -> Self {
        self.query.push(("until", rfc3339(time)));
        self
    }

    /// Selects events with this metadata pair.
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.query.push(("additionalMetadata", format!("{key}:{value}")));
        self
    }
}

impl RestClient {
    /// Lists the events that a filter selects, most recent first.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, ClientError> {
        Pages::new(self.clone(), self.events_path(), filter.query.clone()).all().await
    }

    /// Returns an event.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::NotFound`](crate::hatchet::client::ErrorKind::NotFound) for
    /// an unknown event, also within about a second after its push to a real engine.
    pub async fn event(&self, id: EventId) -> Result<StoredEvent, ClientError> {
        self.call(Method::GET, &format!("{}/{id}", self.events_path()), &[], None).await
    }

    fn events_path(&self) -> String {
        format!("/api/v1/stable/tenants/{}/events", self.tenant())
    }
}

impl StoredEvent {
    /// The event's id, if it is a UUID.
    pub fn id(&self) -> Option<EventId> {
        self.metadata.id.parse().ok()
    }
}

impl Row for StoredEvent {
    fn id(&self) -> &str {
        &self.metadata.id
    }
}
