//! TCP listeners that bound the number of open connections.
//!
//! A peer can open any number of connections. Each takes a file descriptor, of which a process has few (usually 1024),
//! so one peer could block all others. The listener therefore closes connections by these rules:
//!
//! - A connection is *unauthenticated* until its server calls [`ConnectionHandle::authenticate`]. A server without
//!   authentication, such as the worker's health server, never calls it.
//! - If a new connection would exceed one of the [`ConnectionLimits`], or no file descriptor is free, the oldest
//!   unauthenticated connection is closed. An authenticated connection is never closed in favor of another.
//! - Each connection has a grace period before it can be closed in favor of another. While all unauthenticated
//!   connections are younger, no connection is accepted, and new connections wait in the system's backlog.
//! - If all connections are authenticated, a new connection is closed immediately.
//!
//! So a new client can connect during a flood of connections, since it sends its first request within the grace period.

mod connection;
mod listener;
mod registry;

use std::time::Duration;

#[cfg(feature = "engine")]
pub(crate) use connection::LimitedConnection;
pub(crate) use listener::LimitedListener;
#[cfg_attr(not(feature = "engine"), allow(unused_imports, reason = "the documentation above links to it"))]
pub(crate) use registry::ConnectionHandle;

/// The limits of a [`LimitedListener`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Maximum number of open connections.
    pub(crate) total: usize,
    /// Maximum number of open connections that are unauthenticated.
    pub(crate) unauthenticated: usize,
    /// Time for which a connection cannot be closed in favor of another.
    pub(crate) grace_period: Duration,
    /// Time after which a connection is closed to which nothing was written, because its request is incomplete, it is
    /// idle, or the peer does not read the response. `None` for no limit.
    pub(crate) response_timeout: Option<Duration>,
}
