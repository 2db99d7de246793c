//! Serves all protocols on every listener.

use std::{future::Future, sync::Arc, time::Duration};

use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tonic::{service::Routes, transport::Server};

use super::{
    authentication::{Authentication, authenticate},
    browser::protect,
    connections::incoming,
    grpc_call::unknown_route,
    token::Tokens,
};
use crate::{
    engine::{dashboard, driver::Driver, grpc, rest},
    hatchet::system::HostNames,
};

/// Time without data after which a connection is sent an HTTP/2 ping, and time within which the ping must be
/// acknowledged.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Calls in progress on one connection: SDKs send the reports of hundreds of slots over one connection.
const MAX_CALLS_PER_CONNECTION: u32 = 2048;

/// A server's parts and settings.
pub(crate) struct Service {
    pub(crate) driver: Arc<Driver>,
    pub(crate) tokens: Tokens,
    pub(crate) host_names: HostNames,
    pub(crate) serves_rest: bool,
}

/// Serves until `stop` completes, and then until every call has ended.
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    Service { driver, tokens, host_names, serves_rest }: Service,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let authentication = Arc::new(Authentication::new(tokens, driver.clone()));
    let mut router = grpc::routes(&driver).into_axum_router().fallback(unknown_route);
    if serves_rest {
        router = router.merge(rest::routes(driver));
    }
    let mut router = router.layer(from_fn_with_state(authentication, authenticate));
    if serves_rest {
        router = router.merge(dashboard::routes());
    }
    let router = router.layer(from_fn_with_state(host_names, protect));
    Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(MAX_CALLS_PER_CONNECTION)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_routes(Routes::from(router))
        .serve_with_incoming_shutdown(incoming(listeners), stop)
        .await
}
