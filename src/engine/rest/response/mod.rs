//! Builds responses.

pub(super) mod chunk_stream;
pub(super) mod json_object;
pub(super) mod list;
pub(super) mod run;
pub(super) mod template;

use axum::Json;
use serde_json::{Value, json};

use super::ApiError;
use crate::engine::state::Timestamp;

/// A response of a size that needs no streaming.
pub(super) type JsonResponse = Result<Json<Value>, ApiError>;

/// The `metadata` of every resource.
pub(super) fn resource_metadata(id: impl ToString, created: Timestamp) -> Value {
    let created_at = rfc3339(created);
    json!({ "id": id.to_string(), "createdAt": created_at, "updatedAt": created_at })
}

pub(super) fn rfc3339(time: Timestamp) -> String {
    time.to_wire().to_string()
}
