//! The engine's connections: their limits, and the connection handle of each request.

use std::{io, time::Duration};

use futures_util::{Stream, stream};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::Connected;

use crate::hatchet::system::{ConnectionHandle, ConnectionLimits, LimitedConnection, LimitedListener};

/// A process can usually open 1024 files, some of which the engine and its process need for other purposes. An SDK
/// opens four or five connections for a worker. A client sends its token within milliseconds, or tens of milliseconds
/// while all cores are busy; with this grace period at most 5,120 connections a second are accepted without a token.
const LIMITS: ConnectionLimits = ConnectionLimits {
    total: 768,
    unauthenticated: 512,
    grace_period: Duration::from_millis(100),
    response_timeout: None,
};

/// Puts the connection's handle into the extensions of its requests.
impl Connected for LimitedConnection<TcpStream> {
    type ConnectInfo = ConnectionHandle;

    fn connect_info(&self) -> ConnectionHandle {
        self.handle().clone()
    }
}

/// The connections of all listeners. The stream never ends and never yields an error.
pub(super) fn incoming(listeners: Vec<TcpListener>) -> impl Stream<Item = io::Result<LimitedConnection<TcpStream>>> {
    let listeners = LimitedListener::sharing(listeners, LIMITS);
    stream::select_all(listeners.into_iter().map(|listener| {
        Box::pin(stream::unfold(listener, |mut listener| async move {
            let (connection, _) = listener.accept().await;
            Some((Ok(connection), listener))
        }))
    }))
}
