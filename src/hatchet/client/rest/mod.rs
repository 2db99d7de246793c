//! The few REST calls that gRPC has no counterpart for: pausing a worker, and lists.

mod pages;
mod rows;
mod runs;

use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tonic::codegen::http::{HeaderValue, Method, Request, Response, StatusCode, header};

use self::{pages::Pages, rows::WorkflowSummary};
pub use self::{
    rows::{Metadata, RunSummary, SlotUse, WorkerSummary},
    runs::RunPages,
};
use crate::hatchet::{
    transport::{
        ClientConfig, ClientError, ConnectError, Connection, Dialer, ErrorKind, HttpError, Protocol, ServerUrl,
        SharedTls, USER_AGENT, exchange, root_cause, untrusted_certificate,
    },
    wire::{RunId, RunStatus, TenantId, WorkerId},
};

/// A client of an engine's REST part. Cheap to clone. Each call has a connection of its own, by the same proxy and TLS
/// settings as gRPC, takes 10 s at most and a response of 16 MiB at most, and follows no redirect.
#[derive(Clone)]
pub struct RestClient {
    /// Has the address and the token of the moment.
    connection: Connection,
}

impl RestClient {
    /// None where the settings name no address for it.
    pub(super) fn new(connection: Connection) -> Option<Self> {
        connection.config().server_url.as_ref()?;
        Some(Self { connection })
    }

    fn tenant(&self) -> TenantId {
        self.connection.config().tenant
    }

    /// Stops (or lets go on) the assignment of work to a worker.
    pub async fn pause_worker(&self, worker: WorkerId, paused: bool) -> Result<(), ClientError> {
        let path = format!("/api/v1/workers/{worker}");
        self.call::<Value>(Method::PATCH, &path, &[], Some(json!({ "isPaused": paused }))).await.map(drop)
    }

    /// The tenant's workers, most recent first; those long gone may be among them, INACTIVE.
    pub async fn workers(&self) -> Result<Vec<WorkerSummary>, ClientError> {
        let path = format!("/api/v1/tenants/{}/worker", self.tenant());
        Pages::new(self.clone(), path, Vec::new()).all().await
    }

    /// Whether the engine knows a workflow of this name, which holds the namespace.
    pub async fn has_workflow(&self, name: &str) -> Result<bool, ClientError> {
        let path = format!("/api/v1/tenants/{}/workflows", self.tenant());
        // The filter also finds names that contain this one.
        let mut pages = Pages::<WorkflowSummary>::new(self.clone(), path, vec![("name", name.to_owned())]);
        while let Some(rows) = pages.next().await? {
            if rows.iter().any(|workflow| workflow.name == name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs that were triggered since a time and have all of these metadata pairs, most recent first: those with one of
    /// these statuses, or all if none is named.
    pub fn runs(&self, since: SystemTime, metadata: &[(&str, &str)], statuses: &[RunStatus]) -> RunPages {
        let path = format!("/api/v1/stable/tenants/{}/workflow-runs", self.tenant());
        RunPages::new(self, path, since, metadata, statuses)
    }

    /// A run's status word. The REST store of a real engine lags behind gRPC, by 0.05 to 0.5 s and more.
    pub async fn run_status(&self, run: RunId) -> Result<String, ClientError> {
        self.call(Method::GET, &format!("/api/v1/stable/workflow-runs/{run}/status"), &[], None).await
    }

    /// A run with its tasks, as the engine's JSON.
    pub async fn run(&self, run: RunId) -> Result<Value, ClientError> {
        self.call(Method::GET, &format!("/api/v1/stable/workflow-runs/{run}"), &[], None).await
    }

    /// The time by the clock of the REST part, to the second, from the header of an answer; None where it has none.
    pub async fn clock(&self) -> Result<Option<SystemTime>, ClientError> {
        // Any answer will do, a refusal too.
        let (_, answer) = self.send(Method::GET, "/api/v1/meta", &[], None).await?;
        let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<T, ClientError> {
        let (what, answer) = self.send(method, path, query, body).await?;
        let status = answer.status();
        if let Some(to) = answer.headers().get(header::LOCATION).filter(|_| status.is_redirection()) {
            let to: String = String::from_utf8_lossy(to.as_bytes()).chars().take(300).collect();
            let message = format!(
                "{what}: {status} to {to}, which is not followed: set HATCHET_CLIENT_SERVER_URL to the address of \
                 Hatchet's REST API"
            );
            return Err(ClientError::new(ErrorKind::Engine, message));
        }
        let bytes = answer.body().as_ref();
        if !status.is_success() {
            let said: String = String::from_utf8_lossy(bytes).chars().take(300).collect();
            return Err(ClientError::new(kind_of(status), format!("{what}: {status}: {}", said.trim())));
        }
        // An empty answer stands for `null`.
        let bytes = if bytes.is_empty() { b"null".as_slice() } else { bytes };
        serde_json::from_slice(bytes)
            .map_err(|e| ClientError::new(ErrorKind::Engine, format!("{what}: the answer cannot be read: {e}")))
    }

    /// The answer, with the call in words.
    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<(String, Response<Bytes>), ClientError> {
        let (config, tls) = self.connection.config_and_tls();
        config.check_rest_is_private()?;
        let url = ServerUrl::parse(config.server_url.as_deref().unwrap_or_default())?;
        let what = format!("{method} {url}{path}");
        let dialer = dialer(&config, &url, &tls)?;
        let request = request(&config, &url, method, &with_query(path, query), body)
            .map_err(|e| ClientError::new(ErrorKind::Config, format!("{what}: {e}")))?;
        match exchange(&dialer, request).await {
            Ok(answer) => Ok((what, answer)),
            Err(e) => Err(failed(&what, &e)),
        }
    }
}

fn dialer(config: &ClientConfig, url: &ServerUrl, tls: &SharedTls) -> Result<Dialer, ClientError> {
    let secured = if url.tls { Some(tls.get(&config.tls)?) } else { None };
    // It names the certificate of the gRPC address, which REST has where it is the same host.
    let server_name = config.tls.server_name().filter(|_| url.host.eq_ignore_ascii_case(config.host()));
    Dialer::new(config.route_to(url)?, secured, server_name, Protocol::Http1)
}

fn request(
    config: &ClientConfig,
    url: &ServerUrl,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Request<Full<Bytes>>, tonic::codegen::http::Error> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", config.token.expose()))?;
    bearer.set_sensitive(true);
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", url.path))
        .header(header::HOST, &url.authority)
        .header(header::AUTHORIZATION, bearer)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close");
    let body = match body {
        None => Bytes::new(),
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body.to_string().into()
        }
    };
    request.body(Full::new(body))
}

fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value.as_str()))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn failed(what: &str, error: &HttpError) -> ClientError {
    let check = "check HATCHET_CLIENT_SERVER_URL";
    let (kind, why) = match error {
        HttpError::Timeout => (ErrorKind::TimedOut, format!("{error}: {check}")),
        HttpError::TooLarge => (ErrorKind::Engine, format!("{error}: {check}")),
        // What to do is in it.
        HttpError::Connect(ConnectError::Proxy(why)) => (ErrorKind::Unreachable, why.clone()),
        HttpError::Connect(_) | HttpError::Broken(_) => match untrusted_certificate(error) {
            Some(why) => (ErrorKind::Tls, why),
            None => (ErrorKind::Unreachable, format!("{}: {check}", root_cause(error))),
        },
    };
    ClientError::new(kind, format!("{what}: {why}"))
}

fn kind_of(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Unauthenticated,
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::Exhausted,
        other if other.is_client_error() => ErrorKind::Invalid,
        _ => ErrorKind::Engine,
    }
}
