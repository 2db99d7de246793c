//! The connections of those who ask for the worker's health: few at a time and none for long, so that nobody can hold the
//! worker's link up, or keep a probe out, by opening many or by never finishing a request.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Instant, Sleep, sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Connections at once. Of more, the oldest is closed, so that a new one always gets in.
const MOST: usize = 256;
/// For how long a connection is not closed for another one: a probe, which takes milliseconds, is answered within. While
/// all are younger no more are accepted, and wait in the system's queue.
const TIME_TO_ASK: Duration = Duration::from_millis(100);
/// A connection that has had no answer for this long is closed: one whose request does not come to its end, one that is
/// kept for later, and one that does not take its answer. Prometheus and probes simply connect again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listener that keeps the rules.
pub(super) struct Visitors {
    listener: TcpListener,
    /// Oldest first, with the time at which it came; some of them may have gone by themselves.
    inside: VecDeque<(Instant, CancellationToken)>,
}

impl Visitors {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, inside: VecDeque::new() }
    }
}

impl Listener for Visitors {
    type Io = Visitor<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        self.inside.retain(|(_, visitor)| !visitor.is_cancelled());
        if self.inside.len() >= MOST
            && let Some((since, oldest)) = self.inside.pop_front()
        {
            sleep_until(since + TIME_TO_ASK).await;
            oldest.cancel();
        }
        let cut = CancellationToken::new();
        self.inside.push_back((Instant::now(), cut.clone()));
        (Visitor::new(stream, cut), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it is cut or its patience is over. Its token is cancelled when it is gone.
pub(super) struct Visitor<T> {
    stream: T,
    patience: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    over: bool,
    token: CancellationToken,
}

impl<T> Visitor<T> {
    fn new(stream: T, token: CancellationToken) -> Self {
        let cut = Box::pin(token.clone().cancelled_owned());
        Self { stream, patience: Box::pin(sleep(PATIENCE)), cut, over: false, token }
    }

    /// Ready where the connection is to end.
    fn end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.over = self.over || self.cut.as_mut().poll(cx).is_ready() || self.patience.as_mut().poll(cx).is_ready();
        if self.over { Poll::Ready(io::ErrorKind::TimedOut.into()) } else { Poll::Pending }
    }
}

impl<T> Drop for Visitor<T> {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Visitor<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.end(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Visitor<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(error) = self.end(cx) {
            return Poll::Ready(Err(error));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        if written.is_ok() {
            self.patience.as_mut().reset(Instant::now() + PATIENCE);
        }
        Poll::Ready(written)
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
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::timeout,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_never_finishes_is_closed_and_one_that_is_answered_stays() {
        let (mut client, server) = duplex(64);
        let token = CancellationToken::new();
        let mut visitor = Visitor::new(server, token.clone());
        let nearly = PATIENCE - Duration::from_secs(1);
        for _ in 0..5 {
            assert!(timeout(nearly, visitor.read_u8()).await.is_err(), "it is waited for");
            visitor.write_u8(1).await.unwrap();
            client.read_u8().await.unwrap();
        }
        // A byte now and then is no request.
        let begun = Instant::now();
        let error = loop {
            client.write_u8(b'x').await.unwrap();
            match timeout(Duration::from_secs(1), async {
                visitor.read_u8().await?;
                visitor.read_u8().await
            })
            .await
            {
                Err(_) => {}
                Ok(Ok(_)) => {}
                Ok(Err(error)) => break error,
            }
        };
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, PATIENCE));
        assert!(visitor.write_u8(1).await.is_err(), "for good");
        drop(visitor);
        assert!(token.is_cancelled());
    }

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut visitors = Visitors::new(listener);
        let (mut clients, mut inside) = (Vec::new(), Vec::new());
        for _ in 0..MOST + 2 {
            clients.push(TcpStream::connect(address).await.unwrap());
            inside.push(visitors.accept().await.0);
        }
        assert!(inside[..2].iter().all(|visitor| visitor.token.is_cancelled()));
        assert_eq!(inside[0].read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // One that goes makes room too.
        inside.pop();
        clients.push(TcpStream::connect(address).await.unwrap());
        inside.push(visitors.accept().await.0);
        assert!(!inside[2].token.is_cancelled());
    }
}
