//! The handshake file, which contains the address and token of an engine on this machine.

use std::{
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{os_error::OsError, private_file};

/// Maximum size of a handshake file in bytes. The embedded engine writes less than 2 kB.
const MAX_BYTES: usize = 64 << 10;

/// Name of the file in an engine's folder that the engine locks while it runs.
pub(crate) const LOCK_FILE: &str = "lock";
/// Name of the file in an engine's folder that contains its [`Handshake`].
pub(crate) const HANDSHAKE_FILE: &str = "handshake.json";

/// The failure of a search for an engine in a folder.
#[derive(Debug, thiserror::Error)]
#[error("finding the engine failed: {operation} {} failed: {}", path.display(), OsError(cause))]
#[non_exhaustive]
pub struct FindError {
    /// The operation that failed, such as `reading`.
    pub operation: &'static str,
    /// The folder or file.
    pub path: PathBuf,
    /// The cause. The error's text contains it, so it is not its `source()`.
    pub cause: io::Error,
}

/// The content of a handshake file, with the fields of Hatchet's own embedded sidecar.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// The client token, a secret.
    pub token: String,
    /// The tenant's UUID.
    pub tenant_id: String,
    /// `host:port` of the gRPC services, without TLS.
    pub grpc_address: String,
    /// Base URL of the REST API. Empty if the engine does not serve it.
    pub api_url: String,
}

impl Handshake {
    /// Reads a handshake file. `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] for a file that another user may have written, or whose content is not a
    /// handshake.
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

    /// Finds the engine that runs on a folder. `None` if no process holds the folder's lock, or the process with the
    /// lock is not serving yet. A file that a killed engine left behind is ignored.
    ///
    /// # Errors
    ///
    /// [`FindError`] if the folder or a file in it cannot be read, or another user may have written it.
    pub fn find(folder: &Path) -> Result<Option<Self>, FindError> {
        let failed = |operation, path: &Path, cause| FindError { operation, path: path.to_owned(), cause };
        let is_missing = |e: &io::Error| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        match private_file::check_folder(folder) {
            Err(e) if is_missing(&e) => return Ok(None),
            Err(e) => return Err(failed("using the data folder", folder, e)),
            Ok(()) => {}
        }
        let lock = folder.join(LOCK_FILE);
        let is_locked = match private_file::open(&lock) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => false,
                Err(TryLockError::WouldBlock) => true,
                Err(TryLockError::Error(e)) => return Err(failed("opening", &lock, e)),
            },
            Err(e) if is_missing(&e) => false,
            Err(e) => return Err(failed("opening", &lock, e)),
        };
        if !is_locked {
            return Ok(None);
        }
        let file = folder.join(HANDSHAKE_FILE);
        Self::read(&file).map_err(|e| failed("reading", &file, e))
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
