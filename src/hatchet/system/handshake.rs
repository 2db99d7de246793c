//! The handshake file, by which an engine on this machine announces its address and its token.

use std::{
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::private_file;

/// Largest handshake file that is read, in bytes. The embedded engine writes less than 2 kB.
const MAX_BYTES: usize = 64 << 10;

/// File in an engine's folder that the engine keeps locked while it runs.
pub const LOCK_FILE: &str = "lock";
/// File in an engine's folder with its [`Handshake`].
pub const HANDSHAKE_FILE: &str = "handshake.json";

/// A folder in which no engine can be looked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FindError {
    /// The action that failed, such as `read`.
    pub action: &'static str,
    /// The folder or file.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// Content of a handshake file. The fields are those of Hatchet's own embedded sidecar.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// The client token, a secret.
    pub token: String,
    /// The tenant's UUID.
    pub tenant_id: String,
    /// `host:port` of the gRPC services, without TLS.
    pub grpc_address: String,
    /// Base URL of the REST API; empty if the engine serves none.
    pub api_url: String,
}

impl Handshake {
    /// Reads a handshake file; `None` if there is none.
    ///
    /// Fails for a file that another user may have written, by the checks of [`private_file::open`], and with
    /// [`io::ErrorKind::InvalidData`] for content that is not a handshake.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match private_file::read(path, MAX_BYTES) {
            Ok(content) => {
                let invalid = |e| io::Error::new(io::ErrorKind::InvalidData, e);
                serde_json::from_slice(&content).map(Some).map_err(invalid)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Finds the engine that runs on a folder. `None` if no live process holds the folder's lock, or the process that
    /// does is not serving yet; a handshake file that a killed engine left behind does not count.
    ///
    /// # Errors
    ///
    /// [`FindError`] if the folder or a file in it cannot be read, or another user may have written it.
    pub fn find(folder: &Path) -> Result<Option<Self>, FindError> {
        let failed = |action, path: &Path, source| FindError { action, path: path.to_owned(), source };
        let is_missing = |e: &io::Error| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        match private_file::check_folder(folder) {
            Err(e) if is_missing(&e) => return Ok(None),
            Err(e) => return Err(failed("use the data folder", folder, e)),
            Ok(()) => {}
        }
        let lock = folder.join(LOCK_FILE);
        let held = match private_file::open(&lock) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => false,
                Err(TryLockError::WouldBlock) => true,
                Err(TryLockError::Error(e)) => return Err(failed("open", &lock, e)),
            },
            Err(e) if is_missing(&e) => false,
            Err(e) => return Err(failed("open", &lock, e)),
        };
        if !held {
            return Ok(None);
        }
        let file = folder.join(HANDSHAKE_FILE);
        Self::read(&file).map_err(|e| failed("read", &file, e))
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake")
            .field("token", &"[redacted]")
            .field("tenant_id", &self.tenant_id)
            .field("grpc_address", &self.grpc_address)
            .field("api_url", &self.api_url)
            .finish()
    }
}
