//! The handshake file: how an engine that runs on this machine tells its clients where it is.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::private_file;

/// Largest handshake file that is read, in bytes. Ours has less than 2 kB.
const LARGEST: usize = 64 << 10;

/// The content of a handshake file, with the fields of Hatchet's own embedded sidecar.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// The client token, a secret.
    pub token: String,
    /// The tenant's UUID.
    pub tenant_id: String,
    /// `host:port` of the gRPC services, without TLS.
    pub grpc_address: String,
    /// Base URL of the REST part.
    pub api_url: String,
}

impl Handshake {
    /// Reads a handshake file, or answers `None` where there is none. Refuses one that another user may have written,
    /// with the checks of [`private_file::open`]; content that is no handshake is [`io::ErrorKind::InvalidData`].
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match private_file::read(path, LARGEST) {
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
