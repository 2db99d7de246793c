//! Limits the rate of log lines about events that a peer can cause at any rate.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum time between two log lines about the same kind of event.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// Selects the occurrences of one kind of event that are logged: the first, and then at most one per [`MIN_INTERVAL`].
#[derive(Debug, Default)]
pub(super) struct LogThrottle {
    last_logged: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    /// Records an occurrence. Returns the suffix of its log line, with the number of occurrences that were suppressed
    /// since the last line. `None` if this occurrence is suppressed.
    pub(super) fn log(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.last_logged.is_some_and(|last| now.duration_since(last) < MIN_INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last_logged = Some(now);
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
        tokio::time::advance(MIN_INTERVAL).await;
        assert_eq!(throttle.log().as_deref(), Some(" (1000 more since the last message)"));
        tokio::time::advance(MIN_INTERVAL).await;
        assert_eq!(throttle.log().as_deref(), Some(""));
    }
}
