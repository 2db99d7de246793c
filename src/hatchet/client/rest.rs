//! The few REST calls that gRPC has no counterpart for: pausing a worker, and lists.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    config::Tls,
    connection::{Connection, has_native_roots},
    error::{ClientError, ErrorKind},
};
use crate::hatchet::wire::{RunId, TenantId, WorkerId};

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

/// A worker, as the engine lists it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerSummary {
    /// Ids and times.
    pub metadata: Metadata,
    /// The name it registered with.
    pub name: String,
    /// `ACTIVE`, `INACTIVE` or `PAUSED`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub status: String,
    /// The actions it runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub actions: Vec<String>,
    /// Slots by type.
    #[serde(default, deserialize_with = "null_is_default")]
    pub slot_config: BTreeMap<String, SlotUse>,
}

/// Slots of one type.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct SlotUse {
    /// Free now.
    #[serde(default)]
    pub available: i64,
    /// In all.
    #[serde(default)]
    pub limit: i64,
}

/// Id of a thing in REST.
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    /// The id.
    pub id: String,
}

/// A run in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// The run's id.
    pub workflow_run_external_id: String,
    /// The status' word.
    pub status: String,
    /// The run's parent task, of a child.
    #[serde(default)]
    pub parent_task_external_id: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339, where it has started.
    pub started_at: Option<String>,
    /// RFC 3339, where it has ended.
    pub finished_at: Option<String>,
    /// The pairs that it was started with.
    #[serde(default, deserialize_with = "null_is_default")]
    pub additional_metadata: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "null_is_default")]
    name: String,
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Rows<T> {
    #[serde(default = "Vec::new", deserialize_with = "null_is_default")]
    rows: Vec<T>,
}

/// A real engine writes null for an empty list.
fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
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
        self.call::<Rows<WorkerSummary>>(Method::GET, &path, &[], None).await.map(|list| list.rows)
    }

    /// Whether the engine knows a workflow of this name, which holds the namespace.
    pub async fn has_workflow(&self, name: &str) -> Result<bool, ClientError> {
        let path = format!("/api/v1/tenants/{}/workflows", self.tenant());
        let query = [("name", name.to_owned()), ("limit", "100".to_owned())];
        let list: Rows<Named> = self.call(Method::GET, &path, &query, None).await?;
        Ok(list.rows.iter().any(|workflow| workflow.name == name))
    }

    /// Runs since a time (RFC 3339) that have all of these metadata pairs, `limit` at most from `offset` on.
    pub async fn runs(
        &self,
        since: &str,
        metadata: &[(&str, &str)],
        limit: u32,
        offset: u64,
    ) -> Result<Vec<RunSummary>, ClientError> {
        let path = format!("/api/v1/stable/tenants/{}/workflow-runs", self.tenant());
        let mut query = vec![
            ("since", since.to_owned()),
            ("only_tasks", "false".to_owned()),
            ("include_payloads", "false".to_owned()),
            ("limit", limit.to_string()),
            ("offset", offset.to_string()),
        ];
        query.extend(metadata.iter().map(|(key, value)| ("additional_metadata", format!("{key}:{value}"))));
        self.call::<Rows<RunSummary>>(Method::GET, &path, &query, None).await.map(|list| list.rows)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_empty_lists() {
        let list: Rows<WorkerSummary> = serde_json::from_str(
            r#"{"rows":[{"metadata":{"id":"x"},"name":"w","actions":null,"slotConfig":null,"status":null}]}"#,
        )
        .unwrap();
        assert!(list.rows[0].actions.is_empty());
        let none: Rows<WorkerSummary> = serde_json::from_str(r#"{"rows":null}"#).unwrap();
        assert!(none.rows.is_empty());
    }
}
