//! Event filters, and the evaluation of their expressions for debugging.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{RawQuery, State as AxumState},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ApiError,
    request::{
        Body, PathParam, body, object_text,
        page::{LastPage, Page},
        query,
    },
    response::{
        JsonResponse,
        json_object::{JsonObject, Payload},
        list::ListResponse,
        rfc3339,
    },
};
use crate::engine::{
    driver::Driver,
    state::{Capacity, EventFilter, FilterError, FilterRule, State},
    validate::event_filter::{FilterFields, validate_expression, validate_filter},
};

/// Number of rows of a list of filters if the query has no limit: the largest page.
const DEFAULT_LIMIT: usize = 1000;

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tenants/{tenant}/filters", get(list).post(create))
        .route("/api/v1/stable/tenants/{tenant}/filters/{filter}", get(get_filter).patch(update).delete(delete))
        .route("/api/v1/stable/tenants/{tenant}/cel/debug", post(debug))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewFilter {
    workflow_id: Uuid,
    scope: String,
    expression: String,
    payload: Option<Value>,
}

async fn create(AxumState(driver): AxumState<Arc<Driver>>, new: Body<NewFilter>) -> Result<JsonObject, ApiError> {
    let NewFilter { workflow_id, scope, expression, payload } = body(new)?;
    let payload = object_text("payload", payload)?;
    let fields = FilterFields { scope: &scope, expression: &expression, payload: payload.as_deref() };
    let rule = validate_filter(fields)?;
    driver
        .add(Capacity::Runs, |state, now| {
            let id = state.add_filter(workflow_id, rule, now)?;
            respond(&driver, state, id)
        })
        .await?
}

async fn list(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> Result<ListResponse, ApiError> {
    let (mut workflows, mut scopes) = (Vec::<Uuid>::new(), Vec::<String>::new());
    let page =
        Page::with_limit(DEFAULT_LIMIT).last_page(LastPage::NextFromZero).parse(query.as_deref(), |key, value| {
            match key {
                "workflowIds" => workflows.push(query::parse(key, &value)?),
                "scopes" => scopes.push(value),
                other => return Err(query::unknown(other)),
            }
            Ok(())
        })?;
    let matches = |filter: &EventFilter| {
        (workflows.is_empty() || workflows.contains(&filter.workflow))
            && (scopes.is_empty() || scopes.iter().any(|scope| **scope == *filter.rule.scope))
    };
    let ids: Vec<Uuid> = driver
        .with(|state, _| state.filters().filter(|(_, filter)| matches(filter)).map(|(id, _)| id).collect())
        .await?;
    let list = ListResponse::new(&driver, &page, ids, |driver, state, _, id| {
        state.filter(*id).map(|filter| object(driver, *id, filter))
    });
    Ok(list.await?)
}

async fn get_filter(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
) -> Result<JsonObject, ApiError> {
    driver.with(|state, _| respond(&driver, state, id)).await?
}

#[derive(Deserialize)]
struct FilterUpdate {
    scope: Option<String>,
    expression: Option<String>,
    payload: Option<Value>,
}

async fn update(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
    update: Body<FilterUpdate>,
) -> Result<JsonObject, ApiError> {
    let update = body(update)?;
    let payload = object_text("payload", update.payload)?;
    driver
        .with(|state, now| {
            let before: FilterRule = state.filter(id).ok_or_else(ApiError::not_found)?.rule.clone();
            let rule = validate_filter(FilterFields {
                scope: update.scope.as_deref().unwrap_or(&before.scope),
                expression: update.expression.as_deref().unwrap_or(before.predicate.text()),
                payload: Some(payload.as_deref().unwrap_or(&before.payload)),
            })?;
            state.update_filter(id, rule, now)?;
            respond(&driver, state, id)
        })
        .await?
}

async fn delete(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
) -> Result<JsonObject, ApiError> {
    let removed = driver.with(|state, _| state.remove_filter(id)).await?;
    removed.map(|filter| object(&driver, id, &filter)).ok_or_else(ApiError::not_found)
}

fn respond(driver: &Driver, state: &State, id: Uuid) -> Result<JsonObject, ApiError> {
    let filter = state.filter(id).ok_or_else(ApiError::not_found)?;
    Ok(object(driver, id, filter))
}

fn object(driver: &Driver, id: Uuid, filter: &EventFilter) -> JsonObject {
    let mut object = JsonObject::from_value(json!({
        "metadata": {
            "id": id.to_string(), "createdAt": rfc3339(filter.created), "updatedAt": rfc3339(filter.updated),
        },
        "tenantId": driver.tenant.to_string(),
        "workflowId": filter.workflow.to_string(),
        "scope": *filter.rule.scope,
        "expression": **filter.rule.predicate.text(),
        "isDeclarative": filter.declared,
    }));
    object.payload("payload", Payload::Json(filter.rule.payload.clone()));
    object
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Evaluation {
    #[serde(default)]
    expression: String,
    input: Option<Value>,
    additional_metadata: Option<Value>,
    filter_payload: Option<Value>,
}

/// Evaluates an expression with the variables of a filter, except those of an event.
async fn debug(evaluation: Body<Evaluation>) -> JsonResponse {
    let evaluation = body(evaluation)?;
    let object = |field: &str, value: Option<Value>| match object_text(field, value.clone())? {
        Some(_) => Ok(value.unwrap_or_default()),
        None => Ok::<_, ApiError>(json!({})),
    };
    let input = object("input", evaluation.input)?;
    let metadata = object("additionalMetadata", evaluation.additional_metadata)?;
    let payload = object("filterPayload", evaluation.filter_payload)?;
    let variables = [("input", &input), ("additional_metadata", &metadata), ("payload", &payload)];
    let result = match validate_expression(&evaluation.expression) {
        Err(reason) => Err(format!("failed to compile expression: {reason}")),
        Ok(predicate) => {
            predicate.holds(&variables).map_err(|reason| format!("failed to evaluate expression: {reason}"))
        }
    };
    Ok(Json(match result {
        Ok(output) => json!({ "status": "SUCCESS", "output": output }),
        Err(error) => json!({ "status": "ERROR", "error": error }),
    }))
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        match error {
            FilterError::UnknownWorkflow => Self::bad_request("invalid workflowId: there is no such workflow"),
            FilterError::UnknownFilter => Self::not_found(),
            FilterError::Duplicate => {
                let rule = "the workflow has a filter with this scope, expression and payload";
                Self::bad_request(format!("invalid expression: {rule}"))
            }
        }
    }
}
