//! Tells a connection that is dead and looks alive from one on which nothing happens.
//!
//! The transport's own pings cannot: a real engine hangs up on one that pings more often than every 5 s, so they take
//! 20 s to notice. A call is free of that rule, and a small one on the connection in question costs next to nothing.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::traffic::Traffic;

/// Between an answer and the next question. With [`SHORTEST`] it makes 1.25 s, so that what happens on a dead
/// connection is known within 2 s.
const EVERY: Duration = Duration::from_millis(500);
/// An answer has at least this long, and four times as long as the last one took: a slow engine is not a dead one.
const SHORTEST: Duration = Duration::from_millis(750);
const LONGEST: Duration = Duration::from_secs(5);

/// A question's answer, and what moves on the connection that it went over.
type Question = (Traffic, BoxFuture<'static, ()>);

/// The questions, one at a time.
pub(super) struct Pulse {
    ask: Box<dyn Fn() -> Question + Send + Sync>,
    asked: Option<Asked>,
    next: Instant,
    limit: Duration,
}

struct Asked {
    at: Instant,
    traffic: Traffic,
    /// What had arrived by then.
    before: u64,
    answer: BoxFuture<'static, ()>,
}

impl Pulse {
    /// `ask` makes a call that ends with any answer, a refusal too.
    pub(super) fn new(ask: impl Fn() -> Question + Send + Sync + 'static) -> Self {
        Self { ask: Box::new(ask), asked: None, next: Instant::now() + EVERY, limit: SHORTEST }
    }

    /// The connection has shown by other means that it lives.
    pub(super) fn lives(&mut self) {
        self.asked = None;
        self.next = Instant::now() + EVERY;
    }

    /// Ends when an answer did not come in time; the next question goes over another connection then. May be dropped
    /// and called again.
    pub(super) async fn stops(&mut self) {
        loop {
            let asked = match &mut self.asked {
                Some(asked) => asked,
                none => {
                    sleep_until(self.next).await;
                    let (traffic, answer) = (self.ask)();
                    none.insert(Asked { at: Instant::now(), before: traffic.arrived(), traffic, answer })
                }
            };
            let answered = timeout_at(asked.at + self.limit, &mut asked.answer).await.is_ok();
            let (took, silent) = (asked.at.elapsed(), asked.traffic.arrived() == asked.before);
            self.lives();
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
        let ask = move || (Traffic::default(), sleep(Duration::from_millis(asks.load(Ordering::Relaxed))).boxed());
        (Pulse::new(ask), takes)
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_connection_is_known_within_one_and_a_quarter_seconds() {
        let (mut pulse, takes) = pulse(5);
        assert!(timeout(Duration::from_secs(600), pulse.stops()).await.is_err(), "it lives");
        takes.store(u64::MAX, Ordering::Relaxed);
        pulse.lives();
        let since = Instant::now();
        pulse.stops().await;
        assert_eq!(since.elapsed(), EVERY + SHORTEST);
        assert!(since.elapsed() <= Duration::from_millis(1_250));
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
