//! The REST part: what the SDKs, the drain, the doctor and the benchmark need, with the fields SDKs insist on.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    driver::Driver,
    persistence::barrier::{AddError, NotDurable},
};

mod crons;
mod events;
mod metrics;
mod page;
mod planned;
mod query;
mod runs;
mod schedules;
mod task_events;
mod tasks;
mod view;
mod workers;
mod workflows;

/// Rows of a list where no limit is given: the real engine's.
const DEFAULT_ROWS: usize = 50;

/// Rows of one answer at most: a bound of ours.
const MAX_ROWS: usize = 1000;

/// All routes.
pub(super) fn routes(driver: Arc<Driver>) -> Router {
    Router::new()
        .merge(workers::routes())
        .merge(workflows::routes())
        .merge(runs::routes())
        .merge(tasks::routes())
        .merge(task_events::routes())
        .merge(metrics::routes())
        .merge(schedules::routes())
        .merge(crons::routes())
        .merge(events::routes())
        .with_state(driver)
}

/// An answer, or a refusal in the form that every SDK can read.
type Answer = Result<Json<Value>, ApiError>;

/// A refusal.
pub(super) struct ApiError(StatusCode, String);

impl ApiError {
    pub(super) fn invalid_token() -> Self {
        Self(StatusCode::FORBIDDEN, "invalid auth token: send `authorization: bearer <token>`".into())
    }

    pub(super) fn not_found() -> Self {
        Self(StatusCode::NOT_FOUND, "not found".into())
    }

    pub(super) fn wrong_host() -> Self {
        let why = "the Host header names no address of this engine: ask for it as localhost, or by its IP address";
        Self(StatusCode::FORBIDDEN, why.into())
    }

    pub(super) fn unavailable(why: &str) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, why.into())
    }

    pub(super) fn from_status(status: StatusCode) -> Self {
        Self(status, status.canonical_reason().unwrap_or("refused").to_lowercase())
    }

    /// What the gRPC service refuses for the same request.
    fn as_grpc(status: &tonic::Status) -> Self {
        match status.code() {
            tonic::Code::ResourceExhausted | tonic::Code::Unavailable => Self::unavailable(status.message()),
            _ => Self::bad_request(status.message()),
        }
    }

    fn bad_request(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }
}

impl From<AddError> for ApiError {
    fn from(refused: AddError) -> Self {
        match refused {
            AddError::NotDurable(unkept) => unkept.into(),
            AddError::AtCapacity => Self::unavailable(&refused.to_string()),
        }
    }
}

impl From<NotDurable> for ApiError {
    fn from(unkept: NotDurable) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, unkept.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // A real engine says it in `message`, or in `errors` as its published API has it; the Python SDK needs the latter.
        (self.0, Json(json!({ "message": self.1, "errors": [{ "description": self.1 }] }))).into_response()
    }
}

/// An id in a path.
fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request(format!("invalid {what} id")))
}

/// The tenant in a path: there is one.
fn own_tenant(driver: &Driver, text: &str) -> Result<(), ApiError> {
    if text == driver.tenant.to_string() { Ok(()) } else { Err(ApiError::not_found()) }
}

/// The `metadata` of every resource.
fn meta(id: impl ToString, created: super::state::Timestamp) -> Value {
    let at = rfc3339(created);
    json!({ "id": id.to_string(), "createdAt": at, "updatedAt": at })
}

fn rfc3339(at: super::state::Timestamp) -> String {
    at.to_wire().to_string()
}

/// A payload as REST shows it: an object, or else an empty one.
fn shown(json: &str) -> Value {
    serde_json::from_str(json).ok().filter(Value::is_object).unwrap_or_else(|| json!({}))
}

/// The page of a list.
fn pagination(offset: usize, limit: usize, total: usize) -> Value {
    let (current, pages) = ((offset / limit).saturating_add(1), total.div_ceil(limit));
    json!({ "current_page": current, "next_page": current.saturating_add(1).min(pages.max(1)), "num_pages": pages })
}
