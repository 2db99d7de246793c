//! Log lines about what others can cause as often as they like: the first is written, the following are counted.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two lines about one condition.
const EVERY: Duration = Duration::from_secs(10);

/// How often a condition has occurred since it was last logged.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle {
    last: Option<Instant>,
    unlogged: u64,
}

impl LogThrottle {
    /// Counts an occurrence. Answers what to add to its log line, or `None` where none is due: for the first occurrence
    /// nothing, for a later one how many were not logged.
    pub(crate) fn report(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < EVERY) {
            self.unlogged += 1;
            return None;
        }
        self.last = Some(now);
        Some(match std::mem::take(&mut self.unlogged) {
            0 => String::new(),
            unlogged => format!(" (and {unlogged} times since the last message)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn repeated_condition_is_logged_once_and_then_summarised() {
        let mut condition = LogThrottle::default();
        assert_eq!(condition.report().as_deref(), Some(""));
        for _ in 0..1000 {
            assert_eq!(condition.report(), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!(condition.report().as_deref(), Some(" (and 1000 times since the last message)"));
        tokio::time::advance(EVERY).await;
        assert_eq!(condition.report().as_deref(), Some(""));
    }
}
