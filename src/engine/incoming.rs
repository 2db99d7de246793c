//! Connections: from every listener, and bounded, so that a flood of them ends neither the engine nor its service to
//! others.
//!
//! A connection is a stranger until a token was shown on it. Strangers are few: one more turns away the one that came
//! first, so that a client with a token, which shows it with its first message, gets in through a flood that stays.

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

/// Connections at once. A process may usually open 1024 files, and the engine is not alone in it; an SDK opens four or
/// five for a worker.
const MAX_CONNECTIONS: usize = 768;

/// Those of them on which no token was shown yet.
const MAX_STRANGERS: usize = 64;

/// How long to wait where the system gives no more connections: for most that is until another one ends.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Who is connected.
#[derive(Default)]
struct Register {
    count: u64,
    /// By the order in which they came.
    strangers: BTreeMap<u64, CancellationToken>,
    admitted: BTreeSet<u64>,
    /// Turned away, and not by the next stranger, since there was last room: said once.
    is_full: bool,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Register>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Register> {
        // Every change of it is one call on one map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stranger's number, and what tells it to leave; `None` if there is no room.
    fn enter(&self) -> Option<(u64, CancellationToken)> {
        let mut register = self.lock();
        if register.strangers.len() >= MAX_STRANGERS
            && let Some((_, first)) = register.strangers.pop_first()
        {
            first.cancel();
        }
        if register.strangers.len() + register.admitted.len() >= MAX_CONNECTIONS {
            if !std::mem::replace(&mut register.is_full, true) {
                tracing::warn!("{MAX_CONNECTIONS} connections are open: no more are taken until some of them end");
            }
            return None;
        }
        register.is_full = false;
        register.count += 1;
        let (number, leave) = (register.count, CancellationToken::new());
        register.strangers.insert(number, leave.clone());
        Some((number, leave))
    }

    fn admit(&self, number: u64) {
        let mut register = self.lock();
        // One that was turned away meanwhile is no guest any more.
        if register.strangers.remove(&number).is_some() {
            register.admitted.insert(number);
        }
    }

    fn leave(&self, number: u64) {
        let mut register = self.lock();
        register.strangers.remove(&number);
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
pub(super) struct Visitor {
    stream: TcpStream,
    pass: Pass,
    /// Asked for as long as it is a stranger.
    told_to_leave: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.pass.shared.leave(self.pass.number);
    }
}

impl Connected for Visitor {
    type ConnectInfo = Pass;

    fn connect_info(&self) -> Pass {
        self.pass.clone()
    }
}

/// The connections that come to these listeners. Never ends, whatever the system says.
pub(super) fn incoming(listeners: Vec<TcpListener>) -> impl Stream<Item = io::Result<Visitor>> {
    let shared = Shared::default();
    stream::select_all(listeners.into_iter().map(|listener| {
        Box::pin(stream::unfold((listener, shared.clone()), |(listener, shared)| async move {
            let visitor = next(&listener, &shared).await;
            Some((Ok(visitor), (listener, shared)))
        }))
    }))
}

async fn next(listener: &TcpListener, shared: &Shared) -> Visitor {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // One without room is dropped, which hangs up.
                let Some((number, leave)) = shared.enter() else { continue };
                if let Err(e) = stream.set_nodelay(true) {
                    tracing::debug!("a connection keeps its delay: {e}");
                }
                let pass = Pass { shared: shared.clone(), number, shown: Arc::default() };
                return Visitor { stream, pass, told_to_leave: Some(Box::pin(leave.cancelled_owned())) };
            }
            Err(e) => {
                tracing::warn!("the system gives no connection: {e}; the engine tries again");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

impl AsyncRead for Visitor {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.pass.shown.load(Ordering::Relaxed) {
            self.told_to_leave = None;
        }
        if self.told_to_leave.as_mut().is_some_and(|told| told.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Visitor {
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
    fn one_more_stranger_turns_the_first_away_and_no_guest() {
        let shared = Shared::default();
        let (guest, stays) = shared.enter().unwrap();
        shared.admit(guest);
        let (_, first) = shared.enter().unwrap();
        let others: Vec<_> = (1..MAX_STRANGERS).map(|_| shared.enter().unwrap().1).collect();
        assert!(!first.is_cancelled());
        shared.enter().unwrap();
        assert!(first.is_cancelled() && !stays.is_cancelled() && others.iter().all(|other| !other.is_cancelled()));
    }

    #[test]
    fn guests_are_bounded_too_and_make_room_when_they_leave() {
        let shared = Shared::default();
        for _ in 0..MAX_CONNECTIONS {
            shared.admit(shared.enter().unwrap().0);
        }
        assert!(shared.enter().is_none());
        shared.leave(1);
        assert!(shared.enter().is_some());
    }

    #[test]
    fn who_was_turned_away_is_not_admitted_by_a_late_token() {
        let shared = Shared::default();
        let (first, _) = shared.enter().unwrap();
        (0..MAX_STRANGERS).for_each(|_| drop(shared.enter().unwrap()));
        shared.admit(first);
        assert!(shared.lock().admitted.is_empty());
    }
}
