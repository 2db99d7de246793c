//! Connections: from every listener, and bounded, so that a flood of them ends neither the engine nor its service to
//! others.
//!
//! A connection is unauthenticated until a token was shown on it. Where there is no room for another connection, by one
//! of the bounds here or because the system gives no more file descriptors, the oldest unauthenticated one is closed.
//! One that has shown a token is never closed for another, and each connection has [`TIME_TO_SHOW_TOKEN`] before it can
//! be closed: until then no more are accepted, and wait in the system's queue. So a new client gets in through a flood,
//! since it shows its token with its first message.

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
    time::Instant,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::hatchet::system::log_throttle::LogThrottle;

/// Connections at once. A process may usually open 1024 files, and the engine is not alone in it; an SDK opens four or
/// five for a worker.
const MAX_CONNECTIONS: usize = 768;

/// Those of them on which no token was shown yet. Within [`TIME_TO_SHOW_TOKEN`] so many are accepted at most, which is
/// 5,120 a second.
const MAX_UNAUTHENTICATED: usize = 512;

/// For how long a connection is not closed for another one. A client's first message takes some milliseconds, on a
/// machine whose cores are all busy some tens.
const TIME_TO_SHOW_TOKEN: Duration = Duration::from_millis(100);

/// How long to wait where the system gives no more connections: for most that is until another one ends.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// The same where one was just closed, which its task has yet to notice.
const CLOSED_AGAIN: Duration = Duration::from_millis(1);

/// The open connections.
#[derive(Default)]
struct Register {
    count: u64,
    /// By the order in which they came.
    unauthenticated: BTreeMap<u64, Unauthenticated>,
    admitted: BTreeSet<u64>,
    is_full: LogThrottle,
    no_descriptor: LogThrottle,
}

struct Unauthenticated {
    since: Instant,
    close: CancellationToken,
}

/// What becomes of a new connection.
enum Entry {
    /// It has this number, and the token tells it to close.
    Entered(u64, CancellationToken),
    /// There may be room after this time.
    Later(Duration),
    /// There is no room: all that are open have shown a token.
    Refused,
}

impl Register {
    /// Closes the connection that has been unauthenticated longest. Answers after which time it may be if that is too
    /// early, or `None` if there is none.
    fn close_oldest(&mut self) -> Option<Duration> {
        let oldest = self.unauthenticated.first_entry()?;
        let left = TIME_TO_SHOW_TOKEN.saturating_sub(oldest.get().since.elapsed());
        if left.is_zero() {
            oldest.remove().close.cancel();
        }
        Some(left)
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Register>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Register> {
        // Every change of it is one call on one map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> Entry {
        let mut register = self.lock();
        let is_full = register.unauthenticated.len() + register.admitted.len() >= MAX_CONNECTIONS;
        if is_full || register.unauthenticated.len() >= MAX_UNAUTHENTICATED {
            match register.close_oldest() {
                Some(Duration::ZERO) => {}
                Some(left) => return Entry::Later(left),
                None => {
                    if let Some(times) = register.is_full.report() {
                        tracing::warn!("{MAX_CONNECTIONS} connections are open: another one was refused{times}");
                    }
                    return Entry::Refused;
                }
            }
        }
        register.count += 1;
        let (number, close) = (register.count, CancellationToken::new());
        register.unauthenticated.insert(number, Unauthenticated { since: Instant::now(), close: close.clone() });
        Entry::Entered(number, close)
    }

    /// The system gave no connection. Answers when to ask for one again.
    fn failed(&self, error: &io::Error) -> Duration {
        let mut register = self.lock();
        let again = match register.close_oldest() {
            Some(Duration::ZERO) => CLOSED_AGAIN,
            Some(left) => left,
            None => ACCEPT_AGAIN,
        };
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
    'next: loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (number, close) = loop {
                    match shared.enter() {
                        Entry::Entered(number, close) => break (number, close),
                        Entry::Later(left) => tokio::time::sleep(left).await,
                        // Dropped, which closes it.
                        Entry::Refused => continue 'next,
                    }
                };
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
    use tokio::time::advance;

    use super::*;

    fn entered(shared: &Shared) -> (u64, CancellationToken) {
        match shared.enter() {
            Entry::Entered(number, close) => (number, close),
            Entry::Later(left) => panic!("no room for {left:?}"),
            Entry::Refused => panic!("no room"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn oldest_unauthenticated_connection_makes_room_after_its_time() {
        let shared = Shared::default();
        let (authenticated, stays) = entered(&shared);
        shared.admit(authenticated);
        let (_, oldest) = entered(&shared);
        let others: Vec<_> = (1..MAX_UNAUTHENTICATED).map(|_| entered(&shared).1).collect();
        advance(TIME_TO_SHOW_TOKEN / 4).await;
        assert!(matches!(shared.enter(), Entry::Later(left) if left == TIME_TO_SHOW_TOKEN * 3 / 4));
        assert!(!oldest.is_cancelled());
        advance(TIME_TO_SHOW_TOKEN * 3 / 4).await;
        entered(&shared);
        assert!(oldest.is_cancelled() && !stays.is_cancelled() && others.iter().all(|other| !other.is_cancelled()));
    }

    #[tokio::test(start_paused = true)]
    async fn authenticated_connections_are_bounded_and_leave_room_when_they_end() {
        let shared = Shared::default();
        for _ in 0..MAX_CONNECTIONS {
            shared.admit(entered(&shared).0);
        }
        assert!(matches!(shared.enter(), Entry::Refused));
        shared.leave(1);
        entered(&shared);
    }

    #[tokio::test(start_paused = true)]
    async fn unauthenticated_connections_keep_no_authenticated_one_out() {
        let shared = Shared::default();
        let flood: Vec<_> = (0..MAX_UNAUTHENTICATED).map(|_| entered(&shared).1).collect();
        advance(TIME_TO_SHOW_TOKEN).await;
        for _ in 0..MAX_CONNECTIONS {
            shared.admit(entered(&shared).0);
        }
        assert!(flood.iter().all(CancellationToken::is_cancelled));
        let register = shared.lock();
        assert_eq!((register.unauthenticated.len(), register.admitted.len()), (0, MAX_CONNECTIONS));
    }

    #[tokio::test(start_paused = true)]
    async fn exhausted_descriptors_close_the_oldest_unauthenticated_connection() {
        let shared = Shared::default();
        let (authenticated, stays) = entered(&shared);
        shared.admit(authenticated);
        let (_, oldest) = entered(&shared);
        let error = io::Error::from(io::ErrorKind::OutOfMemory);
        assert_eq!(shared.failed(&error), TIME_TO_SHOW_TOKEN);
        advance(TIME_TO_SHOW_TOKEN).await;
        assert_eq!((shared.failed(&error), shared.failed(&error)), (CLOSED_AGAIN, ACCEPT_AGAIN));
        assert!(oldest.is_cancelled() && !stays.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn closed_connection_is_not_admitted_by_a_late_token() {
        let shared = Shared::default();
        let (first, _) = entered(&shared);
        advance(TIME_TO_SHOW_TOKEN).await;
        (0..MAX_UNAUTHENTICATED).for_each(|_| drop(entered(&shared)));
        shared.admit(first);
        assert!(shared.lock().admitted.is_empty());
    }
}
