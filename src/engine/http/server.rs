//! Every listener for both protocols, and one check at the entrance.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State as Shared},
    http::{HeaderMap, HeaderValue, Method, Version, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tonic::{Code, Status, service::Routes, transport::Server};

use super::{
    connections::{Pass, incoming},
    token::Tokens,
};
use crate::{
    engine::{dashboard, driver::Driver, grpc, rest},
    hatchet::system::HostNames,
};

/// How often a silent connection is asked whether it still lives, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(20);

/// Calls at once on one connection: SDKs send the reports of hundreds of slots over one.
const MAX_STREAMS: u32 = 2048;

/// Calls at once on all connections, streams among them: a worker process has some five, a waiting runner one.
const MAX_CALLS: usize = 8192;

/// What is served, and to whom.
pub(in crate::engine) struct Service {
    pub(in crate::engine) driver: Arc<Driver>,
    pub(in crate::engine) tokens: Tokens,
    pub(in crate::engine) names: HostNames,
    pub(in crate::engine) with_rest: bool,
}

const TOO_MANY: &str = "too many calls and streams are open at once: close some, or use one for many runs";

struct Entrance {
    tokens: Tokens,
    calls: Arc<Semaphore>,
    driver: Arc<Driver>,
}

/// Serves until `stop`, and then until every call has ended.
pub(in crate::engine) async fn serve(
    listeners: Vec<tokio::net::TcpListener>,
    Service { driver, tokens, names, with_rest }: Service,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let entrance = Arc::new(Entrance { tokens, calls: Arc::new(Semaphore::new(MAX_CALLS)), driver: driver.clone() });
    let mut router = grpc::routes(&driver).into_axum_router().fallback(unknown);
    if with_rest {
        router = router.merge(rest::router(driver));
    }
    let mut router = router.layer(from_fn_with_state(entrance, enter));
    if with_rest {
        router = router.merge(dashboard::routes());
    }
    let router = router.layer(from_fn_with_state(names, look_at));
    Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_PATIENCE))
        .add_routes(Routes::from(router))
        .serve_with_incoming_shutdown(incoming(listeners), stop)
        .await
}

/// Lets in who has a token, and nothing else.
async fn enter(Shared(entrance): Shared<Arc<Entrance>>, mut request: Request, next: Next) -> Response {
    let token = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some(caller) = entrance.tokens.admit(token, entrance.driver.now().wall) else {
        return if is_grpc_call(&request) {
            Status::unauthenticated("invalid auth token").into_http::<Body>()
        } else {
            rest::Refused::forbidden().into_response()
        };
    };
    request.extensions_mut().insert(caller);
    if let Some(pass) = request.extensions().get::<Pass>() {
        pass.admit();
    }
    let Ok(call) = entrance.calls.clone().try_acquire_owned() else {
        return if is_grpc_call(&request) {
            Status::resource_exhausted(TOO_MANY).into_http::<Body>()
        } else {
            rest::Refused::too_many(TOO_MANY).into_response()
        };
    };
    let mut response = next.run(request).await;
    name_oversize(response.headers_mut());
    // Of this length it is in memory already, and written at once.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    // The call ends with its answer: a stream may go on for days, and a list for as long as its reader takes.
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_the_end = &call;
            frame
        }))
    })
}

/// What is not gRPC a browser may send, led here by a stranger's page: none is answered that does not name this engine,
/// and no answer is taken for anything but what it says it is, or kept.
async fn look_at(Shared(names): Shared<HostNames>, request: Request, next: Next) -> Response {
    if is_grpc_call(&request) {
        return next.run(request).await;
    }
    let mut response = if names.admit(request.uri(), request.headers()) {
        next.run(request).await
    } else {
        rest::Refused::misnamed().into_response()
    };
    // What the router itself refuses, such as a path that is no text or a method that no route has.
    let refused = response.status().is_client_error() && !is_json(response.headers());
    if refused {
        response = rest::Refused::plainly(response.status()).into_response();
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// Whether a request is a call of gRPC, which no page can have a browser send: browsers speak HTTP/2 over TLS alone,
/// which this engine does not.
fn is_grpc_call(request: &Request) -> bool {
    request.method() == Method::POST && request.version() == Version::HTTP_2 && is_grpc(request.headers())
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind == b"application/grpc" || kind == b"application/grpc+proto")
}

/// A message over the limit is RESOURCE_EXHAUSTED with Hatchet and OUT_OF_RANGE with the library here.
fn name_oversize(headers: &mut HeaderMap) {
    const OURS: i32 = Code::OutOfRange as i32;
    let is_ours = headers.get(Status::GRPC_STATUS).is_some_and(|code| code.as_bytes() == OURS.to_string().as_bytes());
    if is_ours {
        headers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::ResourceExhausted as i32));
    }
}

async fn unknown(request: Request) -> Response {
    if is_grpc_call(&request) {
        let service = request.uri().path().trim_start_matches('/').split('/').next().unwrap_or_default();
        return Status::unimplemented(format!("unknown service {service}")).into_http::<Body>();
    }
    rest::Refused::not_found().into_response()
}
