//! Binds the engine's addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::engine::EngineError;

/// Connections that can wait to be accepted, unless the system allows fewer.
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// Binds an address. If its port is 0, tries the port of the last start first, so that clients with the old address
/// reach the engine after a restart.
pub(super) fn bind_again(
    address: SocketAddr,
    last_port: Option<u16>,
) -> Result<(TcpListener, SocketAddr), EngineError> {
    if let Some(port) = last_port.filter(|_| address.port() == 0) {
        match bind(SocketAddr::new(address.ip(), port)) {
            Ok(bound) => return Ok(bound),
            Err(error) => {
                tracing::warn!("the port of the last start is not available, so another port is used: {error}")
            }
        }
    }
    bind(address)
}

/// Binds an address. Returns the listener and the address with the actual port.
pub(super) fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), EngineError> {
    let failed = |e| EngineError::address(address, e);
    let listener = TcpListener::bind(address).map_err(failed)?;
    // The standard library sets a backlog of 128; listening again changes it.
    #[cfg(unix)]
    rustix::net::listen(&listener, BACKLOG).map_err(|e| failed(e.into()))?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The address for clients on this machine: a listener on all interfaces is reached on the loopback interface.
pub(super) fn client_address(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, bound.port())
}
