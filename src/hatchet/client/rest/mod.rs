//! The few REST calls that gRPC has no counterpart for: pausing a worker, and lists.

mod pages;
mod rows;
mod runs;

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::{pages::Pages, rows::WorkflowSummary};
pub use self::{
    rows::{Metadata, RunSummary, SlotUse, WorkerSummary},
    runs::RunPages,
};
use super::{
    config::Tls,
    connection::{Connection, has_native_roots},
    error::{ClientError, ErrorKind},
};
use crate::hatchet::wire::{RunId, RunStatus, TenantId, WorkerId};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of an engine's REST part. Cheap to clone; connects when first used.
#[derive(Clone)]
pub struct RestClient(Arc<Inner>);

struct Inner {
    /// Has the address and the token of the moment.
    connection: Connection,
    /// Made when first used: certificates take memory that most workers never need.
    http: OnceLock<Result<reqwest::Client, String>>,
}

impl RestClient {
    /// None where the settings name no address for it.
    pub(super) fn new(connection: Connection) -> Option<Self> {
        connection.config().server_url.as_ref()?;
        Some(Self(Arc::new(Inner { connection, http: OnceLock::new() })))
    }

    fn tenant(&self) -> TenantId {
        self.0.connection.config().tenant
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
        let date = answer.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
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
        let bytes = answer.bytes().await.map_err(|e| unreachable(&what, &e))?;
        if !status.is_success() {
            let said: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
            return Err(ClientError::new(kind_of(status), format!("{what}: {status}: {}", said.trim())));
        }
        // An empty answer stands for `null`.
        let bytes = if bytes.is_empty() { b"null".as_slice() } else { &bytes };
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
    ) -> Result<(String, reqwest::Response), ClientError> {
        let config = self.0.connection.config();
        let url = format!("{}{path}", config.server_url.as_deref().unwrap_or_default());
        let what = format!("{method} {url}");
        let root_ca = match &config.tls {
            Tls::On { root_ca, .. } => root_ca.as_deref(),
            Tls::None => None,
        };
        let http = self.0.http.get_or_init(|| http_client(root_ca));
        let http = http.as_ref().map_err(|e| ClientError::new(ErrorKind::Config, format!("{what}: {e}")))?;
        let mut request = http.request(method, url).bearer_auth(config.token.expose()).query(query);
        if let Some(body) = &body {
            request = request.json(body);
        }
        match request.send().await {
            Ok(answer) => Ok((what, answer)),
            Err(e) => Err(unreachable(&what, &e)),
        }
    }
}

fn unreachable(what: &str, error: &reqwest::Error) -> ClientError {
    let kind = if error.is_timeout() { ErrorKind::TimedOut } else { ErrorKind::Unreachable };
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    ClientError::new(kind, format!("{what}: {root}: check HATCHET_CLIENT_SERVER_URL"))
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

/// Trusts the given file's authorities, else the system's, else those that are built in.
fn http_client(root_ca: Option<&Path>) -> Result<reqwest::Client, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    match root_ca {
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|e| format!("HATCHET_CLIENT_TLS_ROOT_CA_FILE: {} cannot be read: {e}", path.display()))?;
            roots.add_parsable_certificates(certificates);
        }
        None if has_native_roots() => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(TIMEOUT)
        .user_agent(concat!("hatchet-quickstart-rust/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| e.to_string())
}
