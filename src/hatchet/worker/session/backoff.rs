//! The delays between the sessions of a registration.

use std::time::Duration;

use tokio::time::Instant;

use crate::hatchet::transport::Backoff;

/// Minimum delay, so that a short interruption costs little. Doubles up to [`MAX_DELAY`]. Jitter adds up to the same
/// length.
const MIN_DELAY: Duration = Duration::from_millis(20);
/// Maximum delay before jitter, so that the end of an outage is noticed quickly.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// A session shorter than this that delivered no assignment increases the delay, even if its heartbeats were accepted:
/// a proxy may cut every stream immediately. So does a registration that the engine lost within this time.
const STABLE_AFTER: Duration = Duration::from_secs(2);

/// Creates the delays between two attempts of the initial registration.
pub(super) fn registration_backoff() -> Backoff {
    Backoff::new(MIN_DELAY, MAX_DELAY)
}

/// The progress of a session before its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SessionProgress {
    /// Whether a heartbeat was accepted, so that the engine is alive.
    pub(super) heartbeat_accepted: bool,
    /// Whether a message arrived on the stream, so that the path to the engine supports streams.
    pub(super) message_received: bool,
}

/// Chooses the delay before the next session of a registration.
pub(super) struct SessionBackoff {
    delays: Backoff,
    registered_at: Instant,
}

impl SessionBackoff {
    pub(super) fn new() -> Self {
        Self { delays: registration_backoff(), registered_at: Instant::now() }
    }

    /// Returns the delay after a failed session of this duration.
    pub(super) fn after_session(&mut self, duration: Duration, progress: SessionProgress) -> Duration {
        let stable_for = match (progress.heartbeat_accepted, progress.message_received) {
            (false, _) => Duration::ZERO,
            (true, false) => duration,
            // A stream that delivered an assignment is reopened quickly, however short it was.
            (true, true) => Duration::MAX,
        };
        self.delays.next_delay_after(stable_for, STABLE_AFTER)
    }

    /// Returns the delay between a repeated registration and its first session. Zero if the previous registration was
    /// stable, as before a restart of the engine. Otherwise it increases, so that an engine that loses each worker
    /// immediately is not flooded with registrations.
    pub(super) fn after_registration(&mut self) -> Duration {
        let previous = std::mem::replace(&mut self.registered_at, Instant::now());
        if previous.elapsed() > STABLE_AFTER {
            self.delays.reset();
            return Duration::ZERO;
        }
        self.delays.next_delay()
    }

    /// Returns the delay after a failed registration.
    pub(super) fn after_failed_registration(&mut self) -> Duration {
        self.delays.next_delay()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delay_grows_while_registrations_are_lost_immediately() {
        let mut backoff = SessionBackoff::new();
        advance(STABLE_AFTER * 2).await;
        assert_eq!(backoff.after_registration(), Duration::ZERO, "the engine was restarted");
        let delays: Vec<Duration> = (0..10).map(|_| backoff.after_registration()).collect();
        assert!(delays[0] >= MIN_DELAY && delays[6..].iter().all(|delay| *delay >= MAX_DELAY), "{delays:?}");
        advance(STABLE_AFTER * 2).await;
        assert_eq!(backoff.after_registration(), Duration::ZERO, "the registration was stable");
        assert!(backoff.after_registration() <= MIN_DELAY * 2, "the delay starts over");
    }

    #[test]
    fn short_session_resets_delay_only_after_a_message() {
        let mut backoff = SessionBackoff::new();
        let mut end = |heartbeat_accepted, message_received| {
            let progress = SessionProgress { heartbeat_accepted, message_received };
            backoff.after_session(STABLE_AFTER / 2, progress)
        };
        let unconnected = (0..10).map(|_| end(false, false)).last().unwrap();
        assert!(unconnected >= MAX_DELAY, "{unconnected:?}");
        let idle = end(true, false);
        assert!(idle >= MAX_DELAY, "{idle:?}");
        let working = end(true, true);
        assert!(working <= MIN_DELAY * 2, "{working:?}");
    }
}
