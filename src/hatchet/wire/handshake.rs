//! The handshake file: how an engine that runs on this machine tells its clients where it is.

use serde::{Deserialize, Serialize};

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
