//! Protects the routes that a browser can reach, REST and dashboard, against other web pages.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::grpc_call::is_grpc_call;
use crate::{engine::rest::ApiError, hatchet::system::HostNames};

/// Middleware for all requests except gRPC calls: validates the `Host` header, writes every error as a JSON body, and
/// prevents browsers from guessing a content type and from caching a response.
pub(super) async fn protect(State(names): State<HostNames>, request: Request, next: Next) -> Response {
    if is_grpc_call(&request) {
        return next.run(request).await;
    }
    let mut response = if names.match_request(request.uri(), request.headers()) {
        next.run(request).await
    } else {
        ApiError::wrong_host().into_response()
    };
    // The router's own errors are plain text, such as for a method that no route has.
    if response.status().is_client_error() && !is_json(response.headers()) {
        response = ApiError::from_status(response.status()).into_response();
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}
