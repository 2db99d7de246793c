//! Parses paths, query strings and bodies.

pub(super) mod page;
pub(super) mod query;
pub(super) mod template;

use std::str::FromStr;

use axum::{Json, extract::rejection::JsonRejection};
use serde_json::Value;

use super::ApiError;
use crate::engine::driver::Driver;

/// A JSON body, or the reason why it could not be parsed.
pub(super) type Body<T> = Result<Json<T>, JsonRejection>;

/// The parsed body.
pub(super) fn body<T>(body: Body<T>) -> Result<T, ApiError> {
    body.map(|Json(parsed)| parsed).map_err(|rejection| ApiError::bad_request(rejection.body_text()))
}

/// An id in a path; `what` names it in the error.
pub(super) fn parse_id<T: FromStr>(text: &str, what: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request(format!("invalid {what} id")))
}

/// Checks the tenant in a path: an engine has a single tenant.
pub(super) fn check_tenant(driver: &Driver, text: &str) -> Result<(), ApiError> {
    if text == driver.tenant.to_string() { Ok(()) } else { Err(ApiError::not_found()) }
}

/// The text of a field that may be an object, null or absent. gRPC treats any other value as absent; REST refuses it,
/// as a real engine does.
pub(super) fn object_text(field: &str, value: Option<Value>) -> Result<Option<String>, ApiError> {
    let kind = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(object)) => return Ok(Some(Value::Object(object).to_string())),
        Some(Value::Array(_)) => "an array",
        Some(Value::String(_)) => "a string",
        Some(Value::Number(_)) => "a number",
        Some(Value::Bool(_)) => "a boolean",
    };
    Err(ApiError::bad_request(format!("invalid {field}: it is {kind}: send a JSON object")))
}
