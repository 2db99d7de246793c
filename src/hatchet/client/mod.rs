//! Talks to an engine: names and JSON in, runs and their outcomes out. It knows no task of ours.
//!
//! ```no_run
//! use hatchet_quickstart::hatchet::client::{Client, ClientConfig, Sources, TriggerOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let sources = Sources::read(std::path::Path::new("."));
//! let client = Client::new(ClientConfig::from_sources(&sources)?)?;
//! let input = serde_json::json!({ "name": "World" });
//! let run = client.trigger("externally-triggered-task", &input, &TriggerOptions::default()).await?;
//! let output: serde_json::Value = run.outcome().await?.output()?;
//! println!("{output}");
//! # Ok(())
//! # }
//! ```

mod rest;
mod runs;
mod stream;
mod trigger;

use std::{sync::Arc, time::Duration};

use tonic::Request;

pub use rest::{Metadata, RestClient, RunPages, RunSummary, SlotUse, WorkerSummary};
pub use runs::{Outcomes, RunDetails, RunFailed, RunOutcome, TaskDetails};
pub use stream::{RunEvent, RunEventKind, RunEvents, StreamSelector};
pub use trigger::{BulkItem, RunHandle, TRIGGER_KEY, TriggerOptions};

pub use crate::hatchet::transport::{
    Authenticated, ClientConfig, ClientError, Connection, ENV_FILES, ErrorKind, ProbeResult, Proxies, Rediscovery,
    Source, Sources, Tls, Token, diagnose, explain_probe, explain_unanswered, parse_integer, probe_address,
    token_claims,
};
use crate::hatchet::{
    transport::with_timeout,
    wire::{RunId, proto::GetVersionRequest},
};

/// An engine's client. Cheap to clone; all clones share one connection and one subscription to results.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connection: Connection,
    rest: Option<RestClient>,
    results: runs::Results,
    /// To be held while an item of a bulk trigger is asked for on its own.
    singles: tokio::sync::Semaphore,
}

impl Client {
    /// Prepares a client. Nothing is sent until the first call. Must be called inside a tokio runtime.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Self::over(Connection::new(config)?)
    }

    /// A client over an existing connection.
    pub fn over(connection: Connection) -> Result<Self, ClientError> {
        let rest = RestClient::new(connection.clone());
        let results = runs::Results::new(connection.clone());
        let singles = tokio::sync::Semaphore::new(trigger::SINGLE_CALLS);
        Ok(Self(Arc::new(Inner { connection, rest, results, singles })))
    }

    /// The connection, for calls that this client does not wrap.
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The settings, as [`Connection::config`] has them.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.0.connection.config()
    }

    /// The REST part, where the settings or the token name its address.
    pub fn rest(&self) -> Option<&RestClient> {
        self.0.rest.as_ref()
    }

    /// The engine's version, such as `v0.101.27`. One try: it is how one finds out whether the engine is there.
    pub async fn engine_version(&self) -> Result<String, ClientError> {
        self.version(Request::new(GetVersionRequest {})).await
    }

    /// The same, but waits no longer than this without a sign of life.
    pub(crate) async fn engine_version_within(&self, limit: Duration) -> Result<String, ClientError> {
        self.version(with_timeout(limit, GetVersionRequest {})).await
    }

    async fn version(&self, request: Request<GetVersionRequest>) -> Result<String, ClientError> {
        match self.0.connection.dispatcher().get_version(request).await {
            Ok(answer) => Ok(answer.into_inner().version),
            Err(status) => Err(self.0.connection.call_error("ask for the engine's version", status)),
        }
    }

    /// A handle on a run that was made earlier, here or elsewhere. An id that the engine does not know is refused after
    /// 2 s.
    pub fn run(&self, id: RunId) -> RunHandle {
        RunHandle::given(self.clone(), id)
    }

    pub(super) fn singles(&self) -> &tokio::sync::Semaphore {
        &self.0.singles
    }

    pub(crate) fn results(&self) -> &runs::Results {
        &self.0.results
    }
}
