//! The handshake file, by which an engine on this machine announces its address and its token.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::private_file;

/// Largest handshake file that is read, in bytes. The embedded engine writes less than 2 kB.
const MAX_BYTES: usize = 64 << 10;

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
