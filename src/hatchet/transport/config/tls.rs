//! Reads and validates the TLS settings.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

use super::{super::error::ClientError, invalid::invalid_setting, sources::Sources};

/// The transport security of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tls {
    /// Plaintext HTTP/2.
    None,
    /// The server presents a certificate; with an identity the client presents one too (mTLS).
    On {
        /// PEM file with the certificate authorities to trust. Default: the system's authorities.
        root_ca: Option<PathBuf>,
        /// Name that the server's certificate must have. Default: the host of `host_port`.
        server_name: Option<String>,
        /// PEM files of the client's certificate and key. Default: no client certificate.
        identity: Option<(PathBuf, PathBuf)>,
    },
}

impl Tls {
    /// The name of the strategy in the settings.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::On { identity: None, .. } => "tls",
            Self::On { identity: Some(_), .. } => "mtls",
        }
    }

    /// The name that the server's certificate must have, if it differs from the host.
    pub(in crate::hatchet) fn server_name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::On { server_name, .. } => server_name.as_deref(),
        }
    }

    /// Reads the settings `HATCHET_CLIENT_TLS_*`.
    pub(super) fn from_sources(sources: &Sources) -> Result<Self, ClientError> {
        let file = |name: &str| sources.value(name).map(PathBuf::from);
        let enabled = |identity| {
            let server_name = sources.value("HATCHET_CLIENT_TLS_SERVER_NAME").map(validate_server_name).transpose()?;
            Ok(Self::On { root_ca: file("HATCHET_CLIENT_TLS_ROOT_CA_FILE"), server_name, identity })
        };
        match sources.value("HATCHET_CLIENT_TLS_STRATEGY").map(str::to_ascii_lowercase).as_deref() {
            None | Some("tls") => enabled(None),
            Some("none") => Ok(Self::None),
            Some("mtls") => match (file("HATCHET_CLIENT_TLS_CERT_FILE"), file("HATCHET_CLIENT_TLS_KEY_FILE")) {
                (Some(cert), Some(key)) => enabled(Some((cert, key))),
                _ => Err(ClientError::config(
                    "HATCHET_CLIENT_TLS_STRATEGY=mtls requires a client certificate. Set HATCHET_CLIENT_TLS_CERT_FILE and \
                     HATCHET_CLIENT_TLS_KEY_FILE to its PEM files",
                )),
            },
            Some(other) => Err(invalid_setting("HATCHET_CLIENT_TLS_STRATEGY", other, "set it to tls, mtls or none")),
        }
    }
}

/// Validates the name of a certificate.
fn validate_server_name(text: &str) -> Result<String, ClientError> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            let rule = "set it to a host name or an IP address, without a port";
            Err(invalid_setting("HATCHET_CLIENT_TLS_SERVER_NAME", text, rule))
        }
    }
}
