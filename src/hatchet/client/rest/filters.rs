//! Filters of event triggers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tonic::codegen::http::Method;

use super::{
    RestClient,
    list::{Pages, ResourceMetadata, Row, null_is_default},
};
use crate::hatchet::{
    client::template::{object, text},
    transport::{ClientError, ErrorKind},
    wire::{FilterId, WorkflowId},
};

/// A filter of event triggers: an event of its scope starts a run of the workflow if the expression is true.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Filter {
    /// The id.
    pub metadata: ResourceMetadata,
    /// The id of the workflow.
    pub workflow_id: String,
    /// The scope of the events.
    pub scope: String,
    /// The CEL expression over `input` (the event's payload), `additional_metadata` and `payload` (the filter's).
    pub expression: String,
    /// Data for the expression and the task.
    #[serde(default, deserialize_with = "null_is_default")]
    pub payload: Map<String, Value>,
    /// Whether a workflow declares the filter.
    #[serde(default)]
    pub is_declarative: bool,
}

impl RestClient {
    /// Lists the filters of a workflow; of all workflows for `None`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`].
    pub async fn filters(&self, workflow: Option<WorkflowId>) -> Result<Vec<Filter>, ClientError> {
        let query = workflow.map(|id| ("workflowIds", id.to_string())).into_iter().collect();
        Pages::new(self.clone(), self.filters_path(), query).all().await
    }

    /// Creates a filter. The payload's JSON form must be an object.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::Invalid`](crate::hatchet::client::ErrorKind::Invalid) for an
    /// empty scope or expression, a payload that is no object, or an unknown workflow.
    pub async fn create_filter(
        &self,
        workflow: WorkflowId,
        scope: &str,
        expression: &str,
        payload: &impl Serialize,
    ) -> Result<Filter, ClientError> {
        let mut body = filter_body(scope, expression, payload)?;
        body["workflowId"] = workflow.to_string().into();
        self.call(Method::POST, &self.filters_path(), &[], Some(body)).await
    }

    /// Returns a filter.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::NotFound`](crate::hatchet::client::ErrorKind::NotFound) for
    /// an unknown filter.
    pub async fn filter(&self, id: FilterId) -> Result<Filter, ClientError> {
        self.call(Method::GET, &format!("{}/{id}", self.filters_path()), &[], None).await
    }

    /// Replaces the scope, expression and payload of a filter.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::create_filter`] and [`RestClient::filter`].
    pub async fn update_filter(
        &self,
        id: FilterId,
        scope: &str,
        expression: &str,
        payload: &impl Serialize,
    ) -> Result<Filter, ClientError> {
        let body = filter_body(scope, expression, payload)?;
        self.call(Method::PATCH, &format!("{}/{id}", self.filters_path()), &[], Some(body)).await
    }

    /// Deletes a filter, and returns it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient::filter`].
    pub async fn delete_filter(&self, id: FilterId) -> Result<Filter, ClientError> {
        self.call(Method::DELETE, &format!("{}/{id}", self.filters_path()), &[], None).await
    }

    /// Evaluates the expression of a filter for an event, without a filter or a run: `input` is the payload of the event,
    /// `metadata` its additional metadata, and `payload` that of the filter. Returns whether the event would start a run.
    ///
    /// ```no_run
    /// # use hatchet_quickstart::prelude::*;
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// # let Some(rest) = client.rest() else { return Ok(()) };
    /// let (order, filter) = (serde_json::json!({ "total": 200 }), serde_json::json!({ "minimum": 100 }));
    /// let expression = "input.total > payload.minimum";
    /// assert!(rest.evaluate_filter(expression, &order, &serde_json::Map::new(), &filter).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::Invalid`](crate::hatchet::client::ErrorKind::Invalid) for an
    /// expression that does not compile or cannot be evaluated, and for data that are no objects.
    pub async fn evaluate_filter(
        &self,
        expression: &str,
        input: &impl Serialize,
        metadata: &Map<String, Value>,
        payload: &impl Serialize,
    ) -> Result<bool, ClientError> {
        #[derive(Deserialize)]
        struct Evaluation {
            output: Option<bool>,
            error: Option<String>,
        }
        text("filter expression", expression)?;
        let body = json!({
            "expression": expression,
            "input": object_value("filter input", input)?,
            "additionalMetadata": metadata,
            "filterPayload": object_value("filter payload", payload)?,
        });
        let path = format!("/api/v1/stable/tenants/{}/cel/debug", self.tenant());
        let Evaluation { output, error } = self.call(Method::POST, &path, &[], Some(body)).await?;
        output.ok_or_else(|| {
            let reason = error.unwrap_or_else(|| "the engine gave no reason".to_owned());
            ClientError::new(ErrorKind::Invalid, format!("invalid filter expression \"{expression}\": {reason}"))
        })
    }

    fn filters_path(&self) -> String {
        format!("/api/v1/stable/tenants/{}/filters", self.tenant())
    }
}

fn filter_body(scope: &str, expression: &str, payload: &impl Serialize) -> Result<Value, ClientError> {
    text("filter scope", scope)?;
    text("filter expression", expression)?;
    Ok(json!({ "scope": scope, "expression": expression, "payload": object_value("filter payload", payload)? }))
}

/// Converts a value whose JSON form must be an object.
fn object_value(field: &str, value: &impl Serialize) -> Result<Value, ClientError> {
    let json = object(field, serde_json::to_string(value).map_err(|e| e.to_string()))?;
    Ok(serde_json::from_str(&json).unwrap_or_default())
}

impl Filter {
    /// The filter's id, if it is a UUID.
    pub fn id(&self) -> Option<FilterId> {
        self.metadata.id.parse().ok()
    }
}

impl Row for Filter {
    fn id(&self) -> &str {
        &self.metadata.id
    }
}
