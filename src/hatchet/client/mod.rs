//! Triggers runs and waits for their results.
//!
//! ```no_run
//! use hatchet_quickstart::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order { items: Vec<String> }
//! #[derive(Serialize, Deserialize)]
//! struct Reserved { warehouse: String }
//!
//! const RESERVE: Stub<Order, Reserved> = Stub::new("reserve");
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::from_env()?;
//!     let order = Order { items: vec!["pen".into()] };
//!     let reserved = client.run(&RESERVE, &order).await?; // triggers a run and waits for its output
//!     println!("{}", reserved.warehouse);
//!
//!     let run = client.run_no_wait(&RESERVE, &order).metadata("team", "a").await?;
//!     println!("{} is {}", run.id(), run.status().await?);
//!     println!("{}", run.result().await?.warehouse);
//!     Ok(())
//! }
//! ```
//!
//! | call | returns |
//! |---|---|
//! | [`Client::run`] | the output |
//! | [`Client::run_no_wait`] | a [`RunRef`]: id, status, result, events, cancel, replay |
//! | [`Client::run_many`], [`Client::run_many_no_wait`] | the same for many inputs, in order |
//! | [`Client::run_by_name`] | JSON, for a name that is known at run time only |
//! | [`Client::run_ref`] | a [`RunRef`] for the id of an earlier run |

mod call;
mod from_env;
mod rest;
mod run_error;
mod run_ref;
mod runs;
mod stream;
mod trigger;

use std::{sync::Arc, time::Duration};

use tonic::Request;

pub use call::{Run, RunItem, RunMany, RunManyNoWait, RunNoWait};
pub use rest::{Metadata, RestClient, RunPages, RunSummary, SlotUse, WorkerSummary};
pub use run_error::{RunError, RunFailure};
pub use run_ref::RunRef;
pub use runs::{Outcomes, RunDetails, RunOutcome, RunUpdate, RunUpdates, TaskDetails};
pub use stream::{RunEvent, RunEventKind, RunEvents, StreamSelector};
pub use trigger::TRIGGER_KEY;
pub(crate) use trigger::TriggerOptions;

pub use crate::hatchet::transport::{
    Authenticated, ClientConfig, ClientError, Connection, ErrorKind, Proxies, Source, Sources, Tls, Token,
};
pub(crate) use crate::hatchet::transport::{
    ENV_FILES, ProbeResult, diagnose, embedded_folder, explain_no_response, explain_probe, parse_integer,
    probe_address, token_claims,
};
use crate::hatchet::{transport::with_timeout, wire::proto::GetVersionRequest};

/// A client of an engine. Cheap to clone; all clones share one connection and one watcher of runs.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connection: Connection,
    rest: Option<RestClient>,
    watcher: runs::RunWatcher,
    /// Permits for triggers of single items of a bulk trigger.
    single_calls: tokio::sync::Semaphore,
}

impl Client {
    /// Makes a client. Nothing is sent until the first call.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::new`].
    ///
    /// # Panics
    ///
    /// If called outside a tokio runtime.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self::from_connection(Connection::new(config)?))
    }

    /// Creates a client with an existing connection.
    ///
    /// # Panics
    ///
    /// If called outside a tokio runtime.
    pub fn from_connection(connection: Connection) -> Self {
        let rest = RestClient::new(connection.clone());
        let watcher = runs::RunWatcher::start(connection.clone());
        let single_calls = tokio::sync::Semaphore::new(trigger::SINGLE_CALLS);
        Self(Arc::new(Inner { connection, rest, watcher, single_calls }))
    }

    /// The connection, for calls that this client has no method for.
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The current settings of the connection.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.0.connection.config()
    }

    /// The client of the REST API; `None` if neither the settings nor the token have its address.
    pub fn rest(&self) -> Option<&RestClient> {
        self.0.rest.as_ref()
    }

    /// The engine's version, such as `v0.101.27`. Not retried, so that it shows whether the engine answers now.
    pub async fn engine_version(&self) -> Result<String, ClientError> {
        self.version(Request::new(GetVersionRequest {})).await
    }

    /// As [`Client::engine_version`], with a timeout.
    pub(crate) async fn engine_version_within(&self, limit: Duration) -> Result<String, ClientError> {
        self.version(with_timeout(limit, GetVersionRequest {})).await
    }

    async fn version(&self, request: Request<GetVersionRequest>) -> Result<String, ClientError> {
        match self.0.connection.dispatcher().get_version(request).await {
            Ok(answer) => Ok(answer.into_inner().version),
            Err(status) => Err(self.0.connection.call_error("reading the engine's version", status)),
        }
    }

    fn single_calls(&self) -> &tokio::sync::Semaphore {
        &self.0.single_calls
    }

    fn watcher(&self) -> &runs::RunWatcher {
        &self.0.watcher
    }
}
