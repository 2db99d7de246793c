//! Connections: from every listener, and bounded, so that a flood of them ends neither the engine nor its service to
//! others.
//!
//! A connection is unauthenticated until a token was shown on it. Where there is no room for another connection, by one
//! of the bounds here or because the system gives no more file descriptors, the oldest unauthenticated one is closed.
//! One that has shown a token is never closed for another. So a new client gets in through a flood: it shows its token
//! with its first message, within milliseconds, and [`MAX_UNAUTHENTICATED`] more connections have to come before it is
//! the oldest.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::recurring::Recurring;

/// Connections at once. A process may usually open 1024 files, and the engine is not alone in it; an SDK opens four or
/// five for a worker.
const MAX_CONNECTIONS: usize = 768;

/// Those of them on which no token was shown yet. The engine takes some 10,000 connections a second at most, so each
/// has about 50 ms to show one. More than the 128 that the runtime takes in one turn, so that each is read at least once.
const MAX_UNAUTHENTICATED: usize = 512;

/// How long to wait where the system gives no more connections: for most that is until another one ends.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// The same where one was just closed, which its task has yet to notice.
const CLOSED_AGAIN: Duration = Duration::from_millis(1);

/// The open connections.
#[derive(Default)]
struct Register {
    count: u64,
    /// By the order in which they came.
    unauthenticated: BTreeMap<u64, CancellationToken>,
    admitted: BTreeSet<u64>,
    is_full: Recurring,
    no_descriptor: Recurring,
}

impl Register {
    /// Closes the connection that has been unauthenticated longest, if there is one.
    fn close_oldest(&mut self) -> bool {
        let oldest = self.unauthenticated.pop_first();
        oldest.inspect(|(_, close)| close.cancel()).is_some()
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Register>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Register> {
        // Every change of it is one call on one map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection's number, and what tells it to close; `None` if there is no room.
    fn enter(&self) -> Option<(u64, CancellationToken)> {
        let mut register = self.lock();
        let is_full = register.unauthenticated.len() + register.admitted.len() >= MAX_CONNECTIONS;
        let has_room = if is_full || register.unauthenticated.len() >= MAX_UNAUTHENTICATED {
            register.close_oldest()
        } else {
            true
        };
        // All that are open have shown a token.
        if !has_room {
            if let Some(times) = register.is_full.report() {
                tracing::warn!("{MAX_CONNECTIONS} connections are open: another one was refused{times}");
            }
            return None;
        }
        register.count += 1;
        let (number, close) = (register.count, CancellationToken::new());
        register.unauthenticated.insert(number, close.clone());
        Some((number, close))
    }

    /// The system gave no connection. Answers when to ask for one again.
    fn failed(&self, error: &io::Error) -> Duration {
        let mut register = self.lock();
        let again = if register.close_oldest() { CLOSED_AGAIN } else { ACCEPT_AGAIN };
        if let Some(times) = register.no_descriptor.report() {
            tracing::warn!("the system gives no connection: {error}; the engine tries again{times}");
        }
        again
    }

    fn admit(&self, number: u64) {
        let mut register = self.lock();
        // One that was closed meanwhile stays so.
        if register.unauthenticated.remove(&number).is_some() {
            register.admitted.insert(number);
        }
    }

    fn leave(&self, number: u64) {
        let mut register = self.lock();
        register.unauthenticated.remove(&number);
        register.admitted.remove(&number);
    }
}

/// A request's way to say that its connection has shown a token.
#[derive(Clone)]
pub(super) struct Pass {
    shared: Shared,
    number: u64,
    shown: Arc<AtomicBool>,
}

impl Pass {
    pub(super) fn admit(&self) {
        if !self.shown.swap(true, Ordering::Relaxed) {
            self.shared.admit(self.number);
        }
    }
}

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    pass: Pass,
    /// Asked for as long as it is unauthenticated.
    told_to_close: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.pass.shared.leave(self.pass.number);
    }
}

impl Connected for Connection {
    type ConnectInfo = Pass;

    fn connect_info(&self) -> Pass {
        self.pass.clone()
    }
}

/// The connections that come to these listeners. Never ends, whatever the system says.
pub(super) fn incoming(listeners: Vec<TcpListener>) -> impl Stream<Item = io::Result<Connection>> {
    let shared = Shared::default();
    stream::select_all(listeners.into_iter().map(|listener| {
        Box::pin(stream::unfold((listener, shared.clone()), |(listener, shared)| async move {
            let connection = next(&listener, &shared).await;
            Some((Ok(connection), (listener, shared)))
        }))
    }))
}

async fn next(listener: &TcpListener, shared: &Shared) -> Connection {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // One without room is dropped, which closes it.
                let Some((number, close)) = shared.enter() else { continue };
                if let Err(e) = stream.set_nodelay(true) {
                    tracing::debug!("a connection keeps its delay: {e}");
                }
                let pass = Pass { shared: shared.clone(), number, shown: Arc::default() };
                return Connection { stream, pass, told_to_close: Some(Box::pin(close.cancelled_owned())) };
            }
            Err(e) => {
                let again = shared.failed(&e);
                tokio::time::sleep(again).await;
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.pass.shown.load(Ordering::Relaxed) {
            self.told_to_close = None;
        }
        if self.told_to_close.as_mut().is_some_and(|told| told.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_unauthenticated_connection_makes_room() {
        let shared = Shared::default();
        let (authenticated, stays) = shared.enter().unwrap();
        shared.admit(authenticated);
        let (_, oldest) = shared.enter().unwrap();
        let others: Vec<_> = (1..MAX_UNAUTHENTICATED).map(|_| shared.enter().unwrap().1).collect();
        assert!(!oldest.is_cancelled());
        shared.enter().unwrap();
        assert!(oldest.is_cancelled() && !stays.is_cancelled() && others.iter().all(|other| !other.is_cancelled()));
    }

    #[test]
    fn authenticated_connections_are_bounded_and_leave_room_when_they_end() {
        let shared = Shared::default();
        for _ in 0..MAX_CONNECTIONS {
            shared.admit(shared.enter().unwrap().0);
        }
        assert!(shared.enter().is_none());
        shared.leave(1);
        assert!(shared.enter().is_some());
    }

    #[test]
    fn unauthenticated_connections_keep_no_authenticated_one_out() {
        let shared = Shared::default();
        let flood: Vec<_> = (0..MAX_UNAUTHENTICATED).map(|_| shared.enter().unwrap().1).collect();
        for _ in 0..MAX_CONNECTIONS {
            shared.admit(shared.enter().unwrap().0);
        }
        assert!(flood.iter().all(CancellationToken::is_cancelled));
        let register = shared.lock();
        assert_eq!((register.unauthenticated.len(), register.admitted.len()), (0, MAX_CONNECTIONS));
    }

    #[test]
    fn exhausted_descriptors_close_the_oldest_unauthenticated_connection() {
        let shared = Shared::default();
        let (authenticated, stays) = shared.enter().unwrap();
        shared.admit(authenticated);
        let (_, oldest) = shared.enter().unwrap();
        shared.failed(&io::ErrorKind::OutOfMemory.into());
        shared.failed(&io::ErrorKind::OutOfMemory.into());
        assert!(oldest.is_cancelled() && !stays.is_cancelled());
    }

    #[test]
    fn closed_connection_is_not_admitted_by_a_late_token() {
        let shared = Shared::default();
        let (first, _) = shared.enter().unwrap();
        (0..MAX_UNAUTHENTICATED).for_each(|_| drop(shared.enter().unwrap()));
        shared.admit(first);
        assert!(shared.lock().admitted.is_empty());
    }
}
