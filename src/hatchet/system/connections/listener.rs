//! Accepts connections within their limits.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use super::{
    ConnectionLimits,
    connection::LimitedConnection,
    registry::{Admission, Registry},
};

/// A TCP listener that enforces [`ConnectionLimits`].
pub(crate) struct LimitedListener {
    listener: TcpListener,
    registry: Registry,
}

impl LimitedListener {
    pub(crate) fn new(listener: TcpListener, limits: ConnectionLimits) -> Self {
        Self { listener, registry: Registry::new(limits) }
    }

    /// Creates listeners that share their limits.
    #[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "only the engine has several listeners"))]
    pub(crate) fn sharing(listeners: Vec<TcpListener>, limits: ConnectionLimits) -> Vec<Self> {
        let registry = Registry::new(limits);
        listeners.into_iter().map(|listener| Self { listener, registry: registry.clone() }).collect()
    }

    /// Accepts the next connection. After a failure of the system, such as a lack of file descriptors, logs it and
    /// tries again. So this never fails.
    pub(crate) async fn accept(&mut self) -> (LimitedConnection<TcpStream>, SocketAddr) {
        loop {
            let (stream, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tokio::time::sleep(self.registry.accept_failed(&error)).await;
                    continue;
                }
            };
            if let Some(connection) = self.admit(stream).await {
                return (connection, address);
            }
        }
    }

    /// Waits until there is room for the stream. `None` if it was closed because all connections are authenticated.
    async fn admit(&self, stream: TcpStream) -> Option<LimitedConnection<TcpStream>> {
        loop {
            match self.registry.admit() {
                Admission::Admitted(handle, close) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!("setting TCP_NODELAY on a connection failed: {error}");
                    }
                    let timeout = self.registry.limits().response_timeout;
                    return Some(LimitedConnection::new(stream, handle, close, timeout));
                }
                Admission::RetryAfter(delay) => tokio::time::sleep(delay).await,
                Admission::Refused => return None,
            }
        }
    }
}

impl axum::serve::Listener for LimitedListener {
    type Io = LimitedConnection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        Self::accept(self).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn oldest_connection_is_closed_for_a_new_one() {
        const TOTAL: usize = 8;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = ConnectionLimits {
            total: TOTAL,
            unauthenticated: TOTAL,
            grace_period: Duration::from_millis(100),
            response_timeout: None,
        };
        let mut listener = LimitedListener::new(listener, limits);
        let (mut clients, mut open) = (Vec::new(), Vec::new());
        for _ in 0..TOTAL + 2 {
            clients.push(TcpStream::connect(address).await.unwrap());
            open.push(listener.accept().await.0);
        }
        for closed in &mut open[..2] {
            assert_eq!(closed.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        // A dropped connection makes room too.
        open.pop();
        clients.push(TcpStream::connect(address).await.unwrap());
        open.push(listener.accept().await.0);
        let third = tokio::time::timeout(Duration::from_millis(200), open[2].read_u8()).await;
        assert!(third.is_err(), "still open");
    }
}
