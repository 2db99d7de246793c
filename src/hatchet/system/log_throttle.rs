//! Limits log lines about events that a peer can cause at any rate.

use std::time::Duration;

use tokio::time::Instant;

/// Shortest time between two lines about the same kind of event.
const INTERVAL: Duration = Duration::from_secs(10);

/// Decides for one kind of event which occurrences are logged: the first, and then at most one in [`INTERVAL`].
#[derive(Debug, Default)]
pub(super) struct LogThrottle {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    /// Records an occurrence. Returns the end of its log line, which counts the occurrences suppressed since the last
    /// line, or `None` if this occurrence is suppressed.
    pub(super) fn log(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(match std::mem::take(&mut self.suppressed) {
            0 => String::new(),
            suppressed => format!(" ({suppressed} more since the last message)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn repeated_event_is_logged_once_per_interval() {
        let mut throttle = LogThrottle::default();
        assert_eq!(throttle.log().as_deref(), Some(""));
        for _ in 0..1000 {
            assert_eq!(throttle.log(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(throttle.log().as_deref(), Some(" (1000 more since the last message)"));
        tokio::time::advance(INTERVAL).await;
        assert_eq!(throttle.log().as_deref(), Some(""));
    }
}
