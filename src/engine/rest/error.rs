//! Error responses of the REST API.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    engine::{
        persistence::barrier::{AddError, NotDurable},
        state::TriggerError,
        validate::Invalid,
    },
    hatchet::wire::excerpt,
};

/// An error response: a status and a message for the request's author.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn body_too_large() -> Self {
        let message =
            "the request is larger than a message of this engine may be: send less data, such as a reference to it";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub(crate) fn invalid_token() -> Self {
        Self::new(StatusCode::FORBIDDEN, "invalid auth token: send `authorization: bearer <token>`")
    }

    pub(crate) fn wrong_host() -> Self {
        let message = "the Host header names no address of this engine: use localhost or its IP address";
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn foreign_origin() -> Self {
        let message = "a web page of another origin may not change data: use the dashboard at this engine's own address, \
                       or a client that is no browser";
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found")
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// An error whose message is the name of its status.
    pub(crate) fn from_status(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or("refused").to_lowercase())
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::bad_request(invalid.into_message())
    }
}

impl From<TriggerError> for ApiError {
    fn from(error: TriggerError) -> Self {
        match error {
            TriggerError::UnknownWorkflow(name) => {
                Self::bad_request(format!("workflow names not found: {}", excerpt(&name)))
            }
            TriggerError::UnknownParent => Self::not_found(),
        }
    }
}

impl From<NotDurable> for ApiError {
    fn from(error: NotDurable) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<AddError> for ApiError {
    fn from(error: AddError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // A real engine sends `message`; its published API has `errors`, which the Python SDK reads.
        let body = json!({ "message": self.message, "errors": [{ "description": self.message }] });
        (self.status, Json(body)).into_response()
    }
}
