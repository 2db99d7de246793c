//! A client by the settings of its environment.

use std::path::Path;

use super::{Client, ClientConfig, ClientError, Sources};

impl Client {
    /// A client for the engine that the environment names, by the rule of the binaries with `--embedded=auto`: the engine
    /// of `HATCHET_CLIENT_TOKEN` (in the environment, or in `.env`, `.env.hatchet`, `.env.dev` or `.env.local` of the
    /// current folder), else the embedded engine that runs on `HATCHET_EMBEDDED_DIR` (default `.hatchet`).
    ///
    /// Nothing is sent before the first call. Must be called inside a tokio runtime.
    ///
    /// ```no_run
    /// # use hatchet_quickstart::prelude::*;
    /// #[tokio::main]
    /// async fn main() -> Result<(), ClientError> {
    ///     let client = Client::from_env()?;
    ///     println!("{}", client.engine_version().await?);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](super::ErrorKind::Config) for a setting that cannot be used, and [`ErrorKind::Unreachable`](super::ErrorKind::Unreachable) without a token if no
    /// embedded engine runs. The message says what to set or start.
    pub fn from_env() -> Result<Self, ClientError> {
        let sources = Sources::read(Path::new("."));
        for warning in sources.warnings() {
            tracing::warn!("setting ignored: {warning}");
        }
        Self::new(ClientConfig::discover(&sources)?)
    }
}
