//! Discovery of the engine by token or by the folder of an embedded engine.

use std::path::PathBuf;

use super::{ClientConfig, Sources};
use crate::hatchet::{
    system::Handshake,
    transport::error::{ClientError, ErrorKind},
};

/// Folder of the embedded engine, unless `HATCHET_EMBEDDED_DIR` names another.
const DEFAULT_ENGINE_FOLDER: &str = ".hatchet";

impl ClientConfig {
    /// Discovers the engine that `sources` name, and returns its settings, by the rules of
    /// [`Client::from_env`](crate::hatchet::client::Client::from_env).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Client::from_env`](crate::hatchet::client::Client::from_env).
    pub fn discover(sources: &Sources) -> Result<Self, ClientError> {
        if sources.value("HATCHET_CLIENT_TOKEN").is_some() {
            return Self::from_sources(sources);
        }
        if !sources.skipped().is_empty() {
            let message = format!(
                "no HATCHET_CLIENT_TOKEN is set, but it may be in skipped settings ({}). Correct these",
                sources.skipped().join(", ")
            );
            return Err(ClientError::new(ErrorKind::Config, message));
        }
        let folder = embedded_folder(sources);
        let found = Handshake::find(&folder).map_err(|e| ClientError::new(ErrorKind::Unreachable, e.to_string()))?;
        let Some(handshake) = found else {
            let message = format!(
                "no HATCHET_CLIENT_TOKEN is set, and no embedded engine runs on the folder {}. Set the token, or start an \
                 embedded engine",
                folder.display()
            );
            return Err(ClientError::new(ErrorKind::Unreachable, message));
        };
        Self::from_engine_folder(&handshake, folder, sources)
    }

    /// Reads the settings of an embedded engine that was found by its folder. The connection finds the engine there
    /// again after it has restarted with another address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for an invalid setting.
    pub fn from_engine_folder(handshake: &Handshake, folder: PathBuf, sources: &Sources) -> Result<Self, ClientError> {
        Ok(Self { engine_folder: Some(folder), ..Self::from_handshake(handshake, sources)? })
    }
}

/// The folder of the embedded engine: `HATCHET_EMBEDDED_DIR`, by default `.hatchet`.
pub(crate) fn embedded_folder(sources: &Sources) -> PathBuf {
    PathBuf::from(sources.value("HATCHET_EMBEDDED_DIR").unwrap_or(DEFAULT_ENGINE_FOLDER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_engine_is_unreachable_and_bad_token_is_config() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_str().unwrap();
        let discover = |pairs: &[(&str, &str)]| {
            ClientConfig::discover(&Sources::from_pairs(pairs.iter().copied())).unwrap_err().kind()
        };
        assert_eq!(discover(&[("HATCHET_EMBEDDED_DIR", dir)]), ErrorKind::Unreachable);
        assert_eq!(discover(&[("HATCHET_EMBEDDED_DIR", dir), ("HATCHET_CLIENT_TOKEN", "x")]), ErrorKind::Config);
    }
}
