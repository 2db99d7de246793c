//! Names the task that blocks an async thread, and for how long.
//!
//! An async body that computes or sleeps between two awaits holds up every other async body on its thread. The link
//! does not suffer (it has a thread of its own), so it can say who it is.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::attempt::Shared;

/// A poll that takes longer blocks its thread. The Python SDK warns after 5 s; a poll should take well under 1 ms.
const TOO_LONG: Duration = Duration::from_secs(1);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// When the poll that is under way began: milliseconds since the worker's start plus one, or 0 for none.
#[derive(Clone, Default)]
pub(super) struct PollClock(Arc<AtomicU64>);

/// A body whose polls are timed.
pub(super) struct Timed<F> {
    body: F,
    clock: PollClock,
    start: Instant,
}

impl PollClock {
    /// Times the polls of a body, by the clock that began at `start`.
    pub(super) fn time<F>(&self, body: F, start: Instant) -> Timed<F> {
        Timed { body, clock: self.clone(), start }
    }

    /// How long the present poll has taken.
    fn polling_for(&self, start: Instant) -> Option<Duration> {
        let began = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        start.elapsed().checked_sub(Duration::from_millis(began))
    }
}

impl<F: Future + Unpin> Future for Timed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let began = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.clock.0.store(began.saturating_add(1), Ordering::Relaxed);
        // Put back also where the body panics.
        let _reset = Reset(self.clock.clone());
        Pin::new(&mut self.body).poll(cx)
    }
}

struct Reset(PollClock);

impl Drop for Reset {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Relaxed);
    }
}

/// Looks for blocked threads for as long as the link lives; never ends.
pub(super) async fn run(shared: Arc<Shared>) -> std::convert::Infallible {
    loop {
        let due = Instant::now() + LOOK_EVERY;
        tokio::time::sleep(LOOK_EVERY).await;
        shared.stats.lagged(due.elapsed());
        for running in shared.table.all() {
            let Some(blocked) = running.polls.polling_for(shared.start).filter(|blocked| *blocked >= TOO_LONG) else {
                continue;
            };
            // Said when it is noticed, then each time its length has doubled.
            let said = running.said_blocked_ms.load(Ordering::Relaxed);
            let now = u64::try_from(blocked.as_millis()).unwrap_or(u64::MAX);
            if said == 0 || now >= said.saturating_mul(2) {
                shared.stats.blocked_threads.add(u64::from(said == 0));
                running.said_blocked_ms.store(now, Ordering::Relaxed);
                tracing::warn!(
                    task = running.task,
                    "blocks an async thread for {:.1} s now: make it a blocking or cpu task, or await in between",
                    blocked.as_secs_f64()
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_poll_is_seen_while_it_lasts_and_not_after() {
        let (clock, start) = (PollClock::default(), Instant::now());
        let inside = clock.clone();
        let body = Box::pin(async move { inside.polling_for(start).is_some() });
        assert!(clock.time(body, start).await);
        assert_eq!(clock.polling_for(start), None);
    }

    #[tokio::test]
    async fn a_panic_ends_the_poll() {
        let (clock, start) = (PollClock::default(), Instant::now());
        let body = clock.time(Box::pin(async { panic!("meant") }), start);
        let _: Result<(), _> = tokio::spawn(body).await;
        assert_eq!(clock.polling_for(start), None);
    }
}
