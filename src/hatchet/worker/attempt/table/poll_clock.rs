//! Measures the duration of the current poll of an async body.
//!
//! An async body that computes or sleeps between two awaits blocks its thread and every other body on it. The watchdog
//! reads the clocks from another thread, so it can name the task while the task blocks.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Start of the current poll in milliseconds since the worker's start plus one, or 0 between polls.
#[derive(Clone, Default)]
pub(in crate::hatchet::worker) struct PollClock(Arc<AtomicU64>);

/// A future whose polls are timed.
pub(in crate::hatchet::worker) struct Timed<F> {
    future: F,
    clock: PollClock,
    start: Instant,
}

impl PollClock {
    /// Times the polls of a future, relative to the worker's `start`.
    pub(in crate::hatchet::worker) fn time<F>(&self, future: F, start: Instant) -> Timed<F> {
        Timed { future, clock: self.clone(), start }
    }

    /// Returns the duration of the current poll, or `None` between polls.
    pub(in crate::hatchet::worker) fn polling_for(&self, start: Instant) -> Option<Duration> {
        let started = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        start.elapsed().checked_sub(Duration::from_millis(started))
    }
}

impl<F: Future + Unpin> Future for Timed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let started = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.clock.0.store(started.saturating_add(1), Ordering::Relaxed);
        // A guard, so that a panic of the body ends the poll too.
        let _reset = ResetOnDrop(self.clock.clone());
        Pin::new(&mut self.future).poll(cx)
    }
}

struct ResetOnDrop(PollClock);

impl Drop for ResetOnDrop {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn poll_is_timed_only_while_it_lasts() {
        let (clock, start) = (PollClock::default(), Instant::now());
        let inside = clock.clone();
        let body = Box::pin(async move { inside.polling_for(start).is_some() });
        assert!(clock.time(body, start).await);
        assert_eq!(clock.polling_for(start), None);
    }

    #[tokio::test]
    async fn panic_ends_the_poll() {
        let (clock, start) = (PollClock::default(), Instant::now());
        let body = clock.time(Box::pin(async { panic!("intended") }), start);
        let _: Result<(), _> = tokio::spawn(body).await;
        assert_eq!(clock.polling_for(start), None);
    }
}
