//! The errors of opening a connection.

use std::error::Error as StdError;

/// The reason why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(in crate::hatchet) enum ConnectError {
    #[error("invalid address")]
    Address(#[from] tonic::codegen::http::Error),
    #[error("the TCP connection failed")]
    Tcp(#[source] Box<dyn StdError + Send + Sync>),
    #[error("{0}")]
    Proxy(String),
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    #[error("the server does not offer HTTP/2 over TLS, so it is not a gRPC port")]
    NotHttp2,
}

/// The operating system's error among the causes of an error.
pub(in crate::hatchet::transport) fn io_source<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a std::io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
