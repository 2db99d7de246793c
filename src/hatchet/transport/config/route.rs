//! The way to a server.

use super::proxies::Proxy;

/// A server's address, and the proxy on the way to it, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hatchet) struct Route {
    /// Name or address, without brackets.
    pub(in crate::hatchet::transport) host: String,
    pub(in crate::hatchet::transport) port: u16,
    pub(in crate::hatchet::transport) proxy: Option<Proxy>,
}
