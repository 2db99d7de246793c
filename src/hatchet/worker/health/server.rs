//! The HTTP server for health checks and metrics.
//!
//! | path | response |
//! |---|---|
//! | `/livez` | 200 while the worker's connection thread runs |
//! | `/readyz` | 200 while the worker receives work, else 503 |
//! | `/health` | the Python SDK's JSON: status and slots |
//! | `/metrics` | Prometheus text |
//!
//! The server runs on the connection thread, so no task can delay it, and it stops responding when that thread hangs.
//!
//! On a loopback address the server validates the `Host` header ([`HostNames`]), which prevents DNS rebinding. On any
//! other address it accepts every name: probes and scrapers use service names, and the operator has chosen to expose
//! the port.

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

use super::{counters::Counters, prometheus, stats::WorkerStats};
use crate::hatchet::{
    system::{ConnectionLimits, HostNames, LimitedListener},
    worker::state::WorkerState,
};

/// Time after which an unregistered worker is `UNHEALTHY` instead of `STARTING`. Value of the Python SDK.
const STARTING_TIMEOUT: Duration = Duration::from_secs(10);

/// Probes and scrapers take milliseconds and connect again, so a connection without a response for 10 s is closed.
const CONNECTION_LIMITS: ConnectionLimits = ConnectionLimits {
    total: 256,
    unauthenticated: 256,
    grace_period: Duration::from_millis(100),
    response_timeout: Some(Duration::from_secs(10)),
};

/// Serves until the connection thread ends. Returns only on failure.
pub(in crate::hatchet::worker) async fn serve(
    listener: std::net::TcpListener,
    counters: Arc<Counters>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let is_loopback = listener.local_addr()?.ip().is_loopback();
    let mut routes = Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(counters);
    if is_loopback {
        routes = routes.layer(from_fn(validate_host));
    }
    let listener = LimitedListener::new(tokio::net::TcpListener::from_std(listener)?, CONNECTION_LIMITS);
    axum::serve(listener, routes).await
}

async fn validate_host(request: Request, next: Next) -> Response {
    if HostNames::Loopback.match_request(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let message = "the Host header names another machine: use localhost or 127.0.0.1\n";
    (StatusCode::FORBIDDEN, message).into_response()
}

/// Responds with the state only, since probes need no details and the port has no authentication.
async fn readyz(State(counters): State<Arc<Counters>>) -> impl IntoResponse {
    match counters.snapshot().state {
        WorkerState::Listening(_) => (StatusCode::OK, "listening\n"),
        WorkerState::Connecting(_) => (StatusCode::SERVICE_UNAVAILABLE, "connecting\n"),
        WorkerState::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        WorkerState::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped\n"),
    }
}

/// Responds like the Python SDK: same fields, values and status codes.
async fn health(State(counters): State<Arc<Counters>>) -> impl IntoResponse {
    let stats = counters.snapshot();
    let status = health_status(&stats);
    let code = if status == "HEALTHY" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let slots: serde_json::Map<_, _> = stats
        .slots
        .iter()
        .map(|(pool, slots)| ((*pool).to_owned(), json!({ "used": slots.used, "limit": slots.limit })))
        .collect();
    (code, [(CONTENT_TYPE, "application/json")], json!({ "status": status, "slots": slots }).to_string())
}

fn health_status(stats: &WorkerStats) -> &'static str {
    match stats.state {
        WorkerState::Listening(_) => "HEALTHY",
        WorkerState::Connecting(_) if stats.registrations == 0 && stats.uptime < STARTING_TIMEOUT => "STARTING",
        WorkerState::Connecting(_) | WorkerState::Draining | WorkerState::Stopped => "UNHEALTHY",
    }
}

async fn metrics(State(counters): State<Arc<Counters>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], prometheus::render(&counters.snapshot()))
}
