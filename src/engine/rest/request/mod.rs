//! Parses paths, query strings and bodies.

pub(super) mod page;
pub(super) mod query;
pub(super) mod template;

use std::{str::FromStr, sync::Arc};

use axum::{
    Json,
    extract::{
        FromRequestParts, RawPathParams, Request, State,
        rejection::{JsonRejection, RawPathParamsRejection},
    },
    http::{StatusCode, request::Parts},
    middleware::Next,
    response::Response,
};
use serde_json::Value;

use super::ApiError;
use crate::engine::driver::Driver;

/// A JSON body, or the reason why it could not be parsed.
pub(super) type Body<T> = Result<Json<T>, JsonRejection>;

/// The parsed body.
pub(super) fn body<T>(body: Body<T>) -> Result<T, ApiError> {
    body.map(|Json(parsed)| parsed).map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::body_too_large(),
        _ => ApiError::bad_request(rejection.body_text()),
    })
}

/// The name of the path parameter with the tenant.
const TENANT: &str = "tenant";

/// Middleware of all routes that checks the tenant in the path: an engine has a single tenant.
pub(super) async fn check_tenant(
    State(driver): State<Arc<Driver>>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let params = path_params(params)?;
    let is_own = |tenant: &str| tenant == driver.tenant.to_string();
    if params.iter().all(|(name, value)| name != TENANT || is_own(value)) {
        Ok(next.run(request).await)
    } else {
        Err(ApiError::not_found())
    }
}

fn path_params(params: Result<RawPathParams, RawPathParamsRejection>) -> Result<RawPathParams, ApiError> {
    params.map_err(|_| ApiError::bad_request("invalid path: it is not UTF-8"))
}

/// The parameter of a path other than the tenant. If it cannot be parsed, its name is part of the error.
pub(super) struct PathParam<T>(pub(super) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for PathParam<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = path_params(RawPathParams::from_request_parts(parts, state).await)?;
        let (name, text) = params.iter().find(|(name, _)| *name != TENANT).ok_or_else(ApiError::not_found)?;
        let invalid = |_| ApiError::bad_request(format!("invalid {} id", name.replace('_', " ")));
        text.parse().map(Self).map_err(invalid)
    }
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
