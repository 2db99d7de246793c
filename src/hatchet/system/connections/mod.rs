//! TCP listeners that bound the number of open connections.
//!
//! A peer can open connections without end. Each costs a file descriptor, of which a process has few (usually 1024),
//! so that without a bound one peer could keep all others out. The listener therefore closes connections by this rule:
//!
//! - A connection is *unauthenticated* until its server calls [`ConnectionHandle::authenticate`]. A server without
//!   authentication, such as the worker's health server, never does.
//! - Where there is no room for a new connection, by one of the [`ConnectionLimits`] or because the system has no file
//!   descriptor left, the oldest unauthenticated connection is closed. An authenticated one is never closed for another.
//! - Each connection has a grace period before it can be closed for another. While all unauthenticated connections are
//!   younger, no connection is accepted, and new ones wait in the system's backlog.
//! - If all connections are authenticated, a new one is closed at once.
//!
//! So a new client gets in through a flood of connections, since it sends its first request within the grace period.

mod connection;
mod listener;
mod registry;

use std::time::Duration;

#[cfg(feature = "engine")]
pub(crate) use connection::LimitedConnection;
pub(crate) use listener::LimitedListener;
#[cfg_attr(not(feature = "engine"), allow(unused_imports, reason = "the documentation above links to it"))]
pub(crate) use registry::ConnectionHandle;

/// Bounds of a [`LimitedListener`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Open connections.
    pub(crate) total: usize,
    /// Open connections that are unauthenticated.
    pub(crate) unauthenticated: usize,
    /// Time for which a connection cannot be closed in favour of another one.
    pub(crate) grace_period: Duration,
    /// Closes a connection to which nothing was written for this long: one that never completes its request, one that
    /// is kept open for later requests, and one that does not read its response. `None` keeps such connections.
    pub(crate) response_timeout: Option<Duration>,
}
