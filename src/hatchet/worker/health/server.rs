//! Whether the worker lives and can work, over HTTP. Served on the link's thread, so that no task can hold it up, and
//! so that it does not answer when the link's thread does not.
//!
//! Bound to the loopback, it answers only requests that address it by a loopback name, so that a web page cannot read
//! it through a name of its own ([`HostNames`]). Bound to anything else, it answers by any name: probes and scrapers use
//! service names, and whoever can reach the port was meant to.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use super::{
    prometheus,
    stats::{Stats, WorkerStats},
};
use crate::hatchet::{
    system::{ConnectionLimits, HostNames, LimitedListener},
    worker::LinkState,
};

/// As in the Python SDK: after this, a worker that has not listened yet is no longer starting but unhealthy.
const STARTING: Duration = Duration::from_secs(10);

/// Probes and scrapers take milliseconds and simply connect again, so a connection without a response for 10 s is closed.
const CONNECTION_LIMITS: ConnectionLimits = ConnectionLimits {
    total: 256,
    unauthenticated: 256,
    grace_period: Duration::from_millis(100),
    response_timeout: Some(Duration::from_secs(10)),
};

/// Serves for as long as the link lives; ends only with a failure.
pub(in crate::hatchet::worker) async fn serve(
    listener: std::net::TcpListener,
    stats: Arc<Stats>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let is_local = listener.local_addr()?.ip().is_loopback();
    let mut routes = Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/health", get(health))
        .route("/metrics", get(measured))
        .with_state(stats);
    if is_local {
        routes = routes.layer(from_fn(check_host));
    }
    let listener = LimitedListener::new(tokio::net::TcpListener::from_std(listener)?, CONNECTION_LIMITS);
    axum::serve(listener, routes).await
}

async fn check_host(request: Request, next: Next) -> Response {
    if HostNames::Loopback.match_request(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let said = "the Host header names another machine: ask by localhost or 127.0.0.1\n";
    (StatusCode::FORBIDDEN, said).into_response()
}

async fn ready(State(stats): State<Arc<Stats>>) -> impl IntoResponse {
    // No more than the state: whoever asks need not have a right to know the rest.
    match stats.read().link {
        LinkState::Listening(_) => (StatusCode::OK, "listening\n"),
        LinkState::Connecting(_) => (StatusCode::SERVICE_UNAVAILABLE, "connecting\n"),
        LinkState::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        LinkState::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped\n"),
    }
}

/// The answer of the Python SDK: the same fields, words and codes.
async fn health(State(stats): State<Arc<Stats>>) -> impl IntoResponse {
    let stats = stats.read();
    let word = word(&stats);
    let code = if word == "HEALTHY" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let slots: serde_json::Map<_, _> = stats
        .slots
        .iter()
        .map(|(kind, slots)| ((*kind).to_owned(), json!({ "used": slots.used, "limit": slots.limit })))
        .collect();
    (code, [(CONTENT_TYPE, "application/json")], json!({ "status": word, "slots": slots }).to_string())
}

fn word(stats: &WorkerStats) -> &'static str {
    match stats.link {
        LinkState::Listening(_) => "HEALTHY",
        LinkState::Connecting(_) if stats.registrations == 0 && stats.uptime < STARTING => "STARTING",
        LinkState::Connecting(_) | LinkState::Draining | LinkState::Stopped => "UNHEALTHY",
    }
}

async fn measured(State(stats): State<Arc<Stats>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], prometheus::text(&stats.read()))
}
