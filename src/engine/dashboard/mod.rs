//! A page to look at runs and workers with: at the REST address itself, without a token, and empty until it has one.
//!
//! It asks for the token, keeps it in the browser's memory of the tab, and sends it in the header, as every client of
//! the REST part does. Nothing else is served without a token.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::IntoResponse,
    routing::get,
};

/// Its own script and style, calls to where it came from, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page and its two parts.
pub(in crate::engine) fn routes() -> Router {
    let part = |kind: &'static str, text: &'static str| get(move || async move { served(kind, text) });
    Router::new()
        .route("/", part("text/html; charset=utf-8", HTML))
        .route("/page.css", part("text/css; charset=utf-8", STYLE))
        .route("/page.js", part("text/javascript; charset=utf-8", SCRIPT))
}

fn served(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    (headers, text)
}
