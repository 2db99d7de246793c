//! Distinguishes gRPC calls from other requests, and refuses each in the form of its protocol.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, Version, header},
    response::{IntoResponse as _, Response},
};
use tonic::{Code, Status};

use crate::engine::rest::ApiError;

/// Whether a request is a gRPC call. A web page cannot make a browser send such a call: browsers speak HTTP/2 only over
/// TLS, which this engine does not serve.
pub(super) fn is_grpc_call(request: &Request) -> bool {
    request.method() == Method::POST && request.version() == Version::HTTP_2 && has_grpc_content(request.headers())
}

fn has_grpc_content(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|kind| kind == b"application/grpc" || kind == b"application/grpc+proto")
}

/// Creates a refusal in the form of the request's protocol.
pub(super) fn refuse(is_grpc: bool, status: Status, error: ApiError) -> Response {
    if is_grpc { status.into_http::<Body>() } else { error.into_response() }
}

/// Response to a request that no route matches.
pub(super) async fn unknown_route(request: Request) -> Response {
    let service = request.uri().path().trim_start_matches('/').split('/').next().unwrap_or_default();
    let status = Status::unimplemented(format!("unknown service {service}"));
    refuse(is_grpc_call(&request), status, ApiError::not_found())
}

/// Replaces tonic's OUT_OF_RANGE for a message over the size limit by RESOURCE_EXHAUSTED, which Hatchet returns.
pub(super) fn correct_oversize_code(headers: &mut HeaderMap) {
    const OUT_OF_RANGE: i32 = Code::OutOfRange as i32;
    let code = headers.get(Status::GRPC_STATUS).map(HeaderValue::as_bytes);
    if code.is_some_and(|code| code == OUT_OF_RANGE.to_string().as_bytes()) {
        headers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::ResourceExhausted as i32));
    }
}
