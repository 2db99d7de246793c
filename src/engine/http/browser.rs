//! Protects the routes that a browser can reach, REST and dashboard, against other web pages.
//!
//! | attack of a web page | protection |
//! |---|---|
//! | reading responses of another origin | no CORS header is ever sent |
//! | DNS rebinding | the `Host` header must name an address of the engine |
//! | changing data with a request that it cannot read | the token, and a same-origin check of every change |

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::grpc_call::is_grpc_call;
use crate::{engine::rest::ApiError, hatchet::system::HostNames};

/// The relation of the page that sends a request to the request's address. All current browsers send it to loopback
/// addresses and over TLS, and no script of a page can set it.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Middleware for all requests except gRPC calls: validates the `Host` header and the origin of changes, writes every
/// error as a JSON body, and prevents browsers from guessing a content type and from caching a response.
pub(super) async fn protect(State(names): State<HostNames>, request: Request, next: Next) -> Response {
    if is_grpc_call(&request) {
        return next.run(request).await;
    }
    let mut response = if !names.match_request(request.uri(), request.headers()) {
        ApiError::wrong_host().into_response()
    } else if is_change(request.method()) && is_from_other_page(request.uri(), request.headers()) {
        ApiError::foreign_origin().into_response()
    } else {
        next.run(request).await
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

/// Whether the request may change data, by its method.
fn is_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a browser has sent the request for a page of another origin. Programs other than browsers send neither of
/// the two headers.
///
/// `Sec-Fetch-Site` decides if it is present: a proxy in front of the engine may have changed the host, so that
/// `Origin` does not match it.
fn is_from_other_page(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        // `none` is a request of the user, such as from the address bar.
        return !sites.all(|site| site == "same-origin" || site == "none");
    }
    !headers.get_all(header::ORIGIN).iter().all(|origin| is_own_origin(origin, uri, headers))
}

/// Whether an origin is that of the request's address, whose host was validated. The scheme is not compared, since a
/// proxy may terminate TLS.
fn is_own_origin(origin: &HeaderValue, uri: &Uri, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let address = uri.authority().map(|authority| authority.as_str()).or(host);
    let origin = origin.to_str().unwrap_or_default();
    let name = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    name.zip(address).is_some_and(|(name, address)| name.eq_ignore_ascii_case(address))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}
