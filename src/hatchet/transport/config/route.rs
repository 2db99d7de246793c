//! Routes to servers: an address, and the proxy through which it is reached.

use super::proxies::Proxy;

/// A server's address, and the proxy through which it is reached, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hatchet) struct Route {
    /// Host name or IP address, without brackets.
    pub(in crate::hatchet::transport) host: String,
    pub(in crate::hatchet::transport) port: u16,
    pub(in crate::hatchet::transport) proxy: Option<Proxy>,
}
