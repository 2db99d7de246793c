//! Connections that their listener can close.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::registry::ConnectionHandle;

/// A connection of a [`LimitedListener`](super::LimitedListener). Its reads and writes fail once the listener has
/// closed it or its response timeout has elapsed. Dropping it removes it from the listener's registry.
pub(crate) struct LimitedConnection<T> {
    stream: T,
    handle: ConnectionHandle,
    /// Resolves when the listener closes the connection. `None` once the connection is authenticated.
    close: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    response: Option<ResponseTimer>,
    closed: bool,
}

/// A timer that elapses if nothing is written within the timeout.
struct ResponseTimer {
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<T> LimitedConnection<T> {
    pub(super) fn new(
        stream: T,
        handle: ConnectionHandle,
        close: CancellationToken,
        response_timeout: Option<Duration>,
    ) -> Self {
        let response = response_timeout.map(|timeout| ResponseTimer { timeout, timer: Box::pin(sleep(timeout)) });
        Self { stream, handle, close: Some(Box::pin(close.cancelled_owned())), response, closed: false }
    }

    /// The handle that authenticates the connection.
    #[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "only the engine authenticates connections"))]
    pub(crate) fn handle(&self) -> &ConnectionHandle {
        &self.handle
    }

    /// Fails if the connection is to be closed. Otherwise registers the caller's task to be woken when it is.
    fn check_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.close.is_some() && self.handle.is_authenticated() {
            self.close = None;
        }
        self.closed = self.closed
            || self.close.as_mut().is_some_and(|close| close.as_mut().poll(cx).is_ready())
            || self.response.as_mut().is_some_and(|response| response.timer.as_mut().poll(cx).is_ready());
        if self.closed { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Restarts the response timer after a write.
    fn restart_timer(&mut self) {
        if let Some(response) = &mut self.response {
            response.timer.as_mut().reset(Instant::now() + response.timeout);
        }
    }
}

impl<T> Drop for LimitedConnection<T> {
    fn drop(&mut self) {
        self.handle.remove();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for LimitedConnection<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_open(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for LimitedConnection<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.restart_timer();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.restart_timer();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::timeout,
    };

    use super::{
        super::{
            ConnectionLimits,
            registry::{Admission, Registry},
        },
        *,
    };

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn connection(
        response_timeout: Option<Duration>,
    ) -> (DuplexStream, LimitedConnection<DuplexStream>, CancellationToken) {
        let limits = ConnectionLimits {
            total: 2,
            unauthenticated: 2,
            grace_period: Duration::from_millis(100),
            response_timeout,
        };
        let Admission::Admitted(handle, close) = Registry::new(limits).admit() else { panic!("no room") };
        let (client, server) = duplex(64);
        (client, LimitedConnection::new(server, handle, close.clone(), response_timeout), close)
    }

    #[tokio::test(start_paused = true)]
    async fn connection_without_response_is_closed_at_its_timeout() {
        let (mut client, mut connection, _close) = connection(Some(TIMEOUT));
        let below_timeout = TIMEOUT - Duration::from_secs(1);
        for _ in 0..5 {
            assert!(timeout(below_timeout, connection.read_u8()).await.is_err(), "still open");
            connection.write_u8(1).await.unwrap();
            client.read_u8().await.unwrap();
        }
        // Single bytes of an incomplete request do not restart the timer.
        let started = Instant::now();
        let error = loop {
            client.write_u8(b'x').await.unwrap();
            let reading = async {
                connection.read_u8().await?;
                connection.read_u8().await
            };
            match timeout(Duration::from_secs(1), reading).await {
                Err(_) | Ok(Ok(_)) => {}
                Ok(Err(error)) => break error,
            }
        };
        assert_eq!((error.kind(), started.elapsed()), (io::ErrorKind::TimedOut, TIMEOUT));
        assert!(connection.write_u8(1).await.is_err(), "it stays closed");
    }

    #[tokio::test]
    async fn listener_closes_only_unauthenticated_connections() {
        let (_client, mut unauthenticated, close) = connection(None);
        close.cancel();
        assert!(unauthenticated.read_u8().await.is_err());
        let (mut client, mut authenticated, close) = connection(None);
        authenticated.handle().authenticate();
        close.cancel();
        client.write_u8(7).await.unwrap();
        assert_eq!(authenticated.read_u8().await.unwrap(), 7);
    }
}
