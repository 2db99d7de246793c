//! Tells a connection that is dead and looks alive from one on which nothing happens.
//!
//! The transport's own pings cannot: a real engine hangs up on one that pings more often than every 5 s, so they take
//! 20 s to notice. A call is free of that rule, and a small one on the connection in question costs little. It costs the
//! engine something all the same: of thirty waiting runners that ask twice a second a real one feels a tenth of a core.
//! So the questions are fewer once nothing has happened for a while, and as many as are needed to know of a dead
//! connection within 2 s.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::io_counters::IoCounters;

/// Between an answer and the next question, for [`SOON`] after something happened. With [`SHORTEST`] it makes 1.25 s.
const EVERY: Duration = Duration::from_millis(500);
/// The same afterwards, as for most of a long run. With [`SHORTEST`] it makes 1.75 s, so that of what happens on a dead
/// connection is known within 2 s.
const LATER: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(10);
/// An answer has at least this long, and four times as long as the last one took: a slow engine is not a dead one.
const SHORTEST: Duration = Duration::from_millis(750);
const LONGEST: Duration = Duration::from_secs(5);

/// A question's answer, and what moves on the connection that it went over.
type Question = (IoCounters, BoxFuture<'static, ()>);

/// The questions, one at a time.
pub(in crate::hatchet) struct Pulse {
    ask: Box<dyn Fn() -> Question + Send + Sync>,
    asked: Option<Asked>,
    next: Instant,
    /// Something other than an answer.
    happened: Instant,
    limit: Duration,
}

struct Asked {
    at: Instant,
    counters: IoCounters,
    /// What had arrived by then.
    before: u64,
    answer: BoxFuture<'static, ()>,
}

impl Pulse {
    /// `ask` makes a call that ends with any answer, a refusal too.
    pub(in crate::hatchet) fn new(ask: impl Fn() -> Question + Send + Sync + 'static) -> Self {
        let now = Instant::now();
        Self { ask: Box::new(ask), asked: None, next: now + EVERY, happened: now, limit: SHORTEST }
    }

    /// Something has happened: the connection has shown by other means that it lives, or is a new one.
    pub(in crate::hatchet) fn lives(&mut self) {
        self.happened = Instant::now();
        self.rest();
    }

    fn rest(&mut self) {
        self.asked = None;
        let pause = if self.happened.elapsed() < SOON { EVERY } else { LATER };
        self.next = Instant::now() + pause;
    }

    /// Ends when an answer did not come in time; the next question goes over another connection then. May be dropped
    /// and called again.
    pub(in crate::hatchet) async fn stops(&mut self) {
        loop {
            let asked = match &mut self.asked {
                Some(asked) => asked,
                none => {
                    sleep_until(self.next).await;
                    let (counters, answer) = (self.ask)();
                    none.insert(Asked { at: Instant::now(), before: counters.received(), counters, answer })
                }
            };
            let answered = timeout_at(asked.at + self.limit, &mut asked.answer).await.is_ok();
            let (took, silent) = (asked.at.elapsed(), asked.counters.received() == asked.before);
            self.rest();
            if answered {
                self.limit = (took * 4).clamp(SHORTEST, LONGEST);
            } else if silent {
                // A longer wait next time: so many questions without an answer may also be too many for the engine.
                self.limit = (self.limit * 2).min(LONGEST);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use futures_util::FutureExt as _;
    use tokio::time::{sleep, timeout};

    use super::*;

    /// A pulse whose answers take so many milliseconds.
    fn pulse(millis: u64) -> (Pulse, Arc<AtomicU64>) {
        let takes = Arc::new(AtomicU64::new(millis));
        let asks = takes.clone();
        let ask = move || (IoCounters::default(), sleep(Duration::from_millis(asks.load(Ordering::Relaxed))).boxed());
        (Pulse::new(ask), takes)
    }

    /// Dies after so long, and says how long after its last answer that is known.
    async fn known_after(pulse: &mut Pulse, takes: &AtomicU64, lived: Duration) -> Duration {
        assert!(timeout(lived, pulse.stops()).await.is_err(), "it lives");
        takes.store(u64::MAX, Ordering::Relaxed);
        let answered = pulse.next - if pulse.happened.elapsed() < SOON { EVERY } else { LATER };
        pulse.stops().await;
        answered.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_connection_is_known_within_two_seconds() {
        let (mut early, takes) = pulse(5);
        assert_eq!(known_after(&mut early, &takes, SOON / 2).await, EVERY + SHORTEST);
        let (mut late, takes) = pulse(5);
        assert_eq!(known_after(&mut late, &takes, SOON * 60).await, LATER + SHORTEST);
        assert!(LATER + SHORTEST < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn questions_are_fewer_while_nothing_happens() {
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        let mut pulse = Pulse::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            (IoCounters::default(), std::future::ready(()).boxed())
        });
        for _ in 0..2 {
            assert!(timeout(SOON, pulse.stops()).await.is_err());
            assert!((19..=20).contains(&asked.swap(0, Ordering::Relaxed)), "two a second at first");
            assert!(timeout(SOON * 6, pulse.stops()).await.is_err());
            assert!((59..=61).contains(&asked.swap(0, Ordering::Relaxed)), "then one");
            pulse.lives();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_engine_is_given_more_time() {
        let (mut pulse, _) = pulse(2_000);
        pulse.stops().await;
        pulse.stops().await;
        assert!(timeout(Duration::from_secs(600), pulse.stops()).await.is_err(), "it answers within the longer time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_dropped_again_and_again_still_ends() {
        let (mut pulse, _) = pulse(u64::MAX);
        let since = Instant::now();
        while timeout(Duration::from_millis(10), pulse.stops()).await.is_err() {}
        assert!(since.elapsed() < Duration::from_secs(2));
    }
}
