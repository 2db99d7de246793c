//! The dashboard: a web page for runs, workflows, workers and schedules, served at the root of the REST address.
//!
//! Its files are the only responses without a token, and they contain no data. The page gets the token from the fragment
//! of its address or from the user, stores it in the tab's session storage, and sends it in the header of its REST
//! calls, as every client does.
//!
//! The scripts are ES modules in the folder `page`: `main.js` starts the page and chooses one of `views` by the address;
//! `parts` has the pieces that views share.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::IntoResponse,
    routing::get,
};

/// Allows only the page's own scripts and styles, and calls to its own origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and text of each file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("page/index.html")),
    ("/page.css", STYLE, include_str!("page/page.css")),
    ("/parts.css", STYLE, include_str!("page/parts.css")),
    ("/main.js", SCRIPT, include_str!("page/main.js")),
    ("/api.js", SCRIPT, include_str!("page/api.js")),
    ("/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/format.js", SCRIPT, include_str!("page/format.js")),
    ("/parts/command.js", SCRIPT, include_str!("page/parts/command.js")),
    ("/parts/cron_text.js", SCRIPT, include_str!("page/parts/cron_text.js")),
    ("/parts/crons.js", SCRIPT, include_str!("page/parts/crons.js")),
    ("/parts/dialog.js", SCRIPT, include_str!("page/parts/dialog.js")),
    ("/parts/elements.js", SCRIPT, include_str!("page/parts/elements.js")),
    ("/parts/graph.js", SCRIPT, include_str!("page/parts/graph.js")),
    ("/parts/live.js", SCRIPT, include_str!("page/parts/live.js")),
    ("/parts/metadata.js", SCRIPT, include_str!("page/parts/metadata.js")),
    ("/parts/pager.js", SCRIPT, include_str!("page/parts/pager.js")),
    ("/parts/push.js", SCRIPT, include_str!("page/parts/push.js")),
    ("/parts/scheduled.js", SCRIPT, include_str!("page/parts/scheduled.js")),
    ("/parts/schema.js", SCRIPT, include_str!("page/parts/schema.js")),
    ("/parts/schema_fields.js", SCRIPT, include_str!("page/parts/schema_fields.js")),
    ("/parts/schema_form.js", SCRIPT, include_str!("page/parts/schema_form.js")),
    ("/parts/timeline.js", SCRIPT, include_str!("page/parts/timeline.js")),
    ("/parts/trigger.js", SCRIPT, include_str!("page/parts/trigger.js")),
    ("/views/events.js", SCRIPT, include_str!("page/views/events.js")),
    ("/views/run.js", SCRIPT, include_str!("page/views/run.js")),
    ("/views/runs.js", SCRIPT, include_str!("page/views/runs.js")),
    ("/views/schedules.js", SCRIPT, include_str!("page/views/schedules.js")),
    ("/views/workers.js", SCRIPT, include_str!("page/views/workers.js")),
    ("/views/workflows.js", SCRIPT, include_str!("page/views/workflows.js")),
];

/// The files of the page.
pub(super) fn routes() -> Router {
    FILES.iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { response(kind, text) }))
    })
}

fn response(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    (headers, text)
}
