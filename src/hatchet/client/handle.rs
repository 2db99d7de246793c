//! The client handle, with the parts that all its clones share.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tonic::Request;

use super::{ClientConfig, ClientError, Connection, rest::RestClient, watcher::RunWatcher};
use crate::hatchet::{
    transport::{Sources, with_timeout},
    wire::proto::GetVersionRequest,
};

/// Metadata key of every run that a client triggers. Its value is a unique
/// [`TriggerId`](crate::hatchet::wire::TriggerId), by which the run is found if the response to its trigger is lost.
///
/// It replaces a value for this key in the metadata of the call. Children of the run inherit it, unless they have their
/// own.
pub const TRIGGER_KEY: &str = "rust_sdk_trigger";
/// Concurrent triggers of single items of all bulk triggers of a client. A real engine executes five triggers at a time
/// and fails triggers that wait too long.
pub(super) const SINGLE_CALLS: usize = 4;

/// A client of an engine. Cheap to clone; all clones share one connection and one watcher of runs.
///
/// ```no_run
/// use hatchet_quickstart::prelude::*;
///
/// #[tokio::main]
/// async fn main() -> Result<(), ClientError> {
///     let client = Client::from_env()?;
///     println!("engine version {}", client.engine_version().await?);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connection: Connection,
    rest: Option<RestClient>,
    watcher: RunWatcher,
    /// [`SINGLE_CALLS`] permits.
    single_calls: Semaphore,
}

impl Client {
    /// Creates a client. Sends nothing until the first call.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Connection::new`].
    ///
    /// # Panics
    ///
    /// Panics if called outside a tokio runtime.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self::from_connection(Connection::new(config)?))
    }

    /// Creates a client of the engine that the environment selects. Sends nothing until the first call.
    ///
    /// Selects the engine as the binaries do with `--embedded=auto`: the engine of `HATCHET_CLIENT_TOKEN` (in the
    /// environment, or in `.env`, `.env.hatchet`, `.env.dev` or `.env.local` of the current folder), otherwise the
    /// embedded engine that runs on `HATCHET_EMBEDDED_DIR` (default `.hatchet`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](super::ErrorKind::Config) for an invalid setting, and
    /// [`ErrorKind::Unreachable`](super::ErrorKind::Unreachable) without a token if no embedded engine runs. The
    /// message names the setting to change or the command to start.
    ///
    /// # Panics
    ///
    /// Panics if called outside a tokio runtime.
    pub fn from_env() -> Result<Self, ClientError> {
        let sources = Sources::read(Path::new("."));
        for warning in sources.warnings() {
            tracing::warn!("setting ignored: {warning}");
        }
        Self::new(ClientConfig::discover(&sources)?)
    }

    /// Creates a client with an existing connection.
    ///
    /// # Panics
    ///
    /// Panics if called outside a tokio runtime.
    pub fn from_connection(connection: Connection) -> Self {
        let rest = RestClient::new(connection.clone());
        let watcher = RunWatcher::start(connection.clone(), rest.clone());
        Self(Arc::new(Inner { connection, rest, watcher, single_calls: Semaphore::new(SINGLE_CALLS) }))
    }

    /// The connection, for calls that this client has no method for.
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The current settings of the connection.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.0.connection.config()
    }

    /// The client of the REST API; `None` if neither the settings nor the token contain its address.
    pub fn rest(&self) -> Option<&RestClient> {
        self.0.rest.as_ref()
    }

    /// Returns the engine's version, such as `v0.101.27`. Makes one attempt, so that the result shows whether the
    /// engine responds now.
    ///
    /// # Errors
    ///
    /// Returns the error of the call: see [`ClientError::kind`].
    pub async fn engine_version(&self) -> Result<String, ClientError> {
        self.version(Request::new(GetVersionRequest {})).await
    }

    /// Calls [`Client::engine_version`] with a timeout.
    pub(crate) async fn engine_version_within(&self, limit: Duration) -> Result<String, ClientError> {
        self.version(with_timeout(limit, GetVersionRequest {})).await
    }

    async fn version(&self, request: Request<GetVersionRequest>) -> Result<String, ClientError> {
        match self.connection().dispatcher().get_version(request).await {
            Ok(response) => Ok(response.into_inner().version),
            Err(status) => Err(self.connection().call_error("reading the engine's version", status)),
        }
    }

    pub(super) fn single_calls(&self) -> &Semaphore {
        &self.0.single_calls
    }

    pub(super) fn watcher(&self) -> &RunWatcher {
        &self.0.watcher
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.config().host_port).finish_non_exhaustive()
    }
}
