//! Checks the token of each request, and bounds the number of calls in progress.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tonic::Status;

use super::{
    grpc_call::{correct_oversize_code, is_grpc_call, refuse},
    token::Tokens,
};
use crate::{
    engine::{driver::Driver, rest::ApiError},
    hatchet::system::ConnectionHandle,
};

/// Calls in progress on all connections, streams included. A worker process has about five of them, a waiting runner
/// one.
const MAX_CALLS: usize = 8192;

const TOO_MANY_CALLS: &str = "too many calls and streams are open: close some, or use one stream for many runs";

/// The state of [`authenticate`].
pub(super) struct Authentication {
    tokens: Tokens,
    calls: Arc<Semaphore>,
    driver: Arc<Driver>,
}

impl Authentication {
    pub(super) fn new(tokens: Tokens, driver: Arc<Driver>) -> Self {
        Self { tokens, calls: Arc::new(Semaphore::new(MAX_CALLS)), driver }
    }
}

/// Middleware that lets only requests with a valid token pass, and at most [`MAX_CALLS`] at a time. Adds the
/// [`Caller`](crate::engine::grpc::Caller) to the request's extensions and marks its connection as authenticated.
pub(super) async fn authenticate(
    State(authentication): State<Arc<Authentication>>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_grpc = is_grpc_call(&request);
    let token = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some(caller) = authentication.tokens.authenticate(token, authentication.driver.now().wall) else {
        return refuse(is_grpc, Status::unauthenticated("invalid auth token"), ApiError::invalid_token());
    };
    request.extensions_mut().insert(caller);
    if let Some(connection) = request.extensions().get::<ConnectionHandle>() {
        connection.authenticate();
    }
    let Ok(permit) = authentication.calls.clone().try_acquire_owned() else {
        let error = ApiError::unavailable(TOO_MANY_CALLS);
        return refuse(is_grpc, Status::resource_exhausted(TOO_MANY_CALLS), error);
    };
    let mut response = next.run(request).await;
    correct_oversize_code(response.headers_mut());
    // A body of known length is already in memory, so writing it needs no permit.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    // A streamed body holds the permit until its end: a stream can last for days, a list as long as its reader takes.
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _permit = &permit;
            frame
        }))
    })
}
