//! The registry of a listener's open connections, which selects the next connection to close.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ConnectionLimits;
use crate::hatchet::system::log_throttle::LogThrottle;

/// Pause after a failed `accept` if no connection can be closed. Usually another connection ends soon.
const RETRY_ACCEPT: Duration = Duration::from_millis(50);
/// Pause after a failed `accept` for which a connection was closed. The task of that connection needs time to drop it.
const RETRY_ACCEPT_AFTER_CLOSE: Duration = Duration::from_millis(1);

/// The shared list of a listener's connections.
#[derive(Clone)]
pub(super) struct Registry {
    limits: ConnectionLimits,
    open: Arc<Mutex<Open>>,
}

/// The open connections, by their number: a lower number is an older connection.
#[derive(Default)]
struct Open {
    last_number: u64,
    unauthenticated: BTreeMap<u64, Unauthenticated>,
    authenticated: BTreeSet<u64>,
    refusals: LogThrottle,
    accept_failures: LogThrottle,
}

struct Unauthenticated {
    since: Instant,
    close: CancellationToken,
}

/// Outcome of [`Registry::admit`].
pub(super) enum Admission {
    /// The connection is registered. It must close when the token is cancelled.
    Admitted(ConnectionHandle, CancellationToken),
    /// No connection can be accepted before this time has elapsed.
    RetryAfter(Duration),
    /// All connections are authenticated, so none can be closed.
    Refused,
}

impl Open {
    fn len(&self) -> usize {
        self.unauthenticated.len() + self.authenticated.len()
    }

    /// Closes the oldest unauthenticated connection if its grace period has elapsed. Returns the remaining grace
    /// period, or `None` if there is no unauthenticated connection.
    fn close_oldest(&mut self, grace_period: Duration) -> Option<Duration> {
        let oldest = self.unauthenticated.first_entry()?;
        let remaining = grace_period.saturating_sub(oldest.get().since.elapsed());
        if remaining.is_zero() {
            oldest.remove().close.cancel();
        }
        Some(remaining)
    }
}

impl Registry {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: Arc::default() }
    }

    pub(super) fn limits(&self) -> ConnectionLimits {
        self.limits
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each change is a single call on one map, so a panic cannot leave an inconsistent state.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a new connection, closing the oldest unauthenticated one if there is no room.
    pub(super) fn admit(&self) -> Admission {
        let ConnectionLimits { total, unauthenticated, grace_period, .. } = self.limits;
        let mut open = self.lock();
        if open.len() >= total || open.unauthenticated.len() >= unauthenticated {
            match open.close_oldest(grace_period) {
                Some(Duration::ZERO) => {}
                Some(remaining) => return Admission::RetryAfter(remaining),
                None => {
                    if let Some(suppressed) = open.refusals.log() {
                        tracing::warn!("refused a connection: {total} authenticated connections are open{suppressed}");
                    }
                    return Admission::Refused;
                }
            }
        }
        open.last_number += 1;
        let (number, close) = (open.last_number, CancellationToken::new());
        open.unauthenticated.insert(number, Unauthenticated { since: Instant::now(), close: close.clone() });
        let handle = ConnectionHandle { registry: self.clone(), number, authenticated: Arc::default() };
        Admission::Admitted(handle, close)
    }

    /// Makes room after a failed `accept`. Returns the pause before the next attempt.
    pub(super) fn accept_failed(&self, error: &io::Error) -> Duration {
        let mut open = self.lock();
        let pause = match open.close_oldest(self.limits.grace_period) {
            Some(Duration::ZERO) => RETRY_ACCEPT_AFTER_CLOSE,
            Some(remaining) => remaining,
            None => RETRY_ACCEPT,
        };
        if let Some(suppressed) = open.accept_failures.log() {
            tracing::warn!("accepting a connection failed, retrying: {error}{suppressed}");
        }
        pause
    }

    fn authenticate(&self, number: u64) {
        let mut open = self.lock();
        // A connection that was closed in the meantime remains closed.
        if open.unauthenticated.remove(&number).is_some() {
            open.authenticated.insert(number);
        }
    }

    fn remove(&self, number: u64) {
        let mut open = self.lock();
        open.unauthenticated.remove(&number);
        open.authenticated.remove(&number);
    }
}

/// Identifies a connection in its registry.
#[derive(Clone)]
pub(crate) struct ConnectionHandle {
    registry: Registry,
    number: u64,
    authenticated: Arc<AtomicBool>,
}

impl ConnectionHandle {
    /// Exempts the connection from being closed in favor of another.
    #[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "only the engine authenticates connections"))]
    pub(crate) fn authenticate(&self) {
        if !self.authenticated.swap(true, Ordering::Relaxed) {
            self.registry.authenticate(self.number);
        }
    }

    pub(super) fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }

    /// Removes the connection from the registry.
    pub(super) fn remove(&self) {
        self.registry.remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const TOTAL: usize = 6;
    const UNAUTHENTICATED: usize = 4;
    const GRACE_PERIOD: Duration = Duration::from_millis(100);

    fn registry() -> Registry {
        Registry::new(ConnectionLimits {
            total: TOTAL,
            unauthenticated: UNAUTHENTICATED,
            grace_period: GRACE_PERIOD,
            response_timeout: None,
        })
    }

    fn admitted(registry: &Registry) -> (ConnectionHandle, CancellationToken) {
        match registry.admit() {
            Admission::Admitted(handle, close) => (handle, close),
            Admission::RetryAfter(delay) => panic!("no room for {delay:?}"),
            Admission::Refused => panic!("no room"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn oldest_unauthenticated_connection_is_closed_after_its_grace_period() {
        let registry = registry();
        let (authenticated, stays) = admitted(&registry);
        authenticated.authenticate();
        let (_, oldest) = admitted(&registry);
        let others: Vec<_> = (1..UNAUTHENTICATED).map(|_| admitted(&registry).1).collect();
        advance(GRACE_PERIOD / 4).await;
        assert!(matches!(registry.admit(), Admission::RetryAfter(delay) if delay == GRACE_PERIOD * 3 / 4));
        assert!(!oldest.is_cancelled());
        advance(GRACE_PERIOD * 3 / 4).await;
        admitted(&registry);
        assert!(oldest.is_cancelled() && !stays.is_cancelled() && others.iter().all(|other| !other.is_cancelled()));
    }

    #[tokio::test(start_paused = true)]
    async fn authenticated_connections_are_bounded_until_removed() {
        let registry = registry();
        let all: Vec<_> = (0..TOTAL)
            .map(|_| {
                let (handle, _) = admitted(&registry);
                handle.authenticate();
                handle
            })
            .collect();
        assert!(matches!(registry.admit(), Admission::Refused));
        all[0].remove();
        admitted(&registry);
    }

    #[tokio::test(start_paused = true)]
    async fn flood_does_not_prevent_authenticated_connections() {
        let registry = registry();
        let flood: Vec<_> = (0..UNAUTHENTICATED).map(|_| admitted(&registry).1).collect();
        advance(GRACE_PERIOD).await;
        for _ in 0..TOTAL {
            admitted(&registry).0.authenticate();
        }
        assert!(flood.iter().all(CancellationToken::is_cancelled));
        let open = registry.lock();
        assert_eq!((open.unauthenticated.len(), open.authenticated.len()), (0, TOTAL));
    }

    #[tokio::test(start_paused = true)]
    async fn failed_accept_closes_oldest_unauthenticated_connection() {
        let registry = registry();
        let (authenticated, stays) = admitted(&registry);
        authenticated.authenticate();
        let (_, oldest) = admitted(&registry);
        let error = io::Error::from(io::ErrorKind::OutOfMemory);
        assert_eq!(registry.accept_failed(&error), GRACE_PERIOD);
        advance(GRACE_PERIOD).await;
        let pauses = (registry.accept_failed(&error), registry.accept_failed(&error));
        assert_eq!(pauses, (RETRY_ACCEPT_AFTER_CLOSE, RETRY_ACCEPT));
        assert!(oldest.is_cancelled() && !stays.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn closed_connection_stays_closed_if_authenticated_later() {
        let registry = registry();
        let (first, _) = admitted(&registry);
        advance(GRACE_PERIOD).await;
        (0..UNAUTHENTICATED).for_each(|_| drop(admitted(&registry)));
        first.authenticate();
        assert!(registry.lock().authenticated.is_empty());
    }
}
