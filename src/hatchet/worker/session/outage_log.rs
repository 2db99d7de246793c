//! The log lines of an outage.
//!
//! During an outage the worker tries to reconnect about once a second, without a time limit. The first failures are
//! logged at `warn`, since they show the reason. Later failures repeat it, so one of them per minute is logged at
//! `warn` and the others at `debug`. The end of the outage is one line at `info`, with its length.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::hatchet::wire::readable_duration;

/// Number of failures that are logged at `warn` at the start of an outage.
const INITIAL_LINES: u32 = 3;
/// Minimum time between two later lines at `warn`. A failure after this time without failures starts a new outage.
const INTERVAL: Duration = Duration::from_secs(60);

/// Logs the failed attempts of all sessions of a process.
#[derive(Debug, Default)]
pub(super) struct OutageLog(Mutex<Outage>);

/// The failures of the current or latest outage.
#[derive(Debug, Default)]
struct Outage {
    /// Time of the first failure. `None` while there is no outage.
    started: Option<Instant>,
    latest_failure: Option<Instant>,
    latest_line: Option<Instant>,
    /// Number of lines at `warn`.
    lines: u32,
    /// Number of failures since the latest line at `warn`.
    suppressed: u64,
}

impl OutageLog {
    /// Logs a failed attempt of the worker `name`.
    pub(super) fn log(&self, name: &str, failure: fmt::Arguments<'_>) {
        let suppressed = self.0.lock().unwrap_or_else(PoisonError::into_inner).record(Instant::now());
        match suppressed {
            Some(0) => tracing::warn!(name, "{failure}"),
            Some(more) => tracing::warn!(name, "{failure} ({more} more failures since the last message)"),
            None => tracing::debug!(name, "{failure}"),
        }
    }

    /// Logs the end of the outage, if there is one: all sessions receive work again.
    pub(super) fn log_end(&self) {
        let started = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).started;
        if let Some(started) = started {
            tracing::info!("connected to the engine again, after {}", readable_duration(started.elapsed()));
        }
    }
}

impl Outage {
    /// Records a failure. If it is to be logged at `warn`, returns the number of failures since the last such line.
    fn record(&mut self, now: Instant) -> Option<u64> {
        let has_elapsed = |since: Option<Instant>| since.is_none_or(|since| now.duration_since(since) >= INTERVAL);
        if has_elapsed(self.latest_failure) {
            *self = Self { started: self.started, ..Self::default() };
        }
        self.started.get_or_insert(now);
        self.latest_failure = Some(now);
        if self.lines >= INITIAL_LINES && !has_elapsed(self.latest_line) {
            self.suppressed += 1;
            return None;
        }
        self.lines = self.lines.saturating_add(1);
        self.latest_line = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn long_outage_is_logged_once_per_minute() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let lines: Vec<(u32, u64)> = (0..200).filter_map(|n| Some((n, outage.record(start + SECOND * n)?))).collect();
        assert_eq!(lines, [(0, 0), (1, 0), (2, 0), (62, 59), (122, 59), (182, 59)]);
    }

    #[test]
    fn length_of_outage_counts_from_its_first_failure() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        for n in [0, 1, 100, 101] {
            outage.record(start + SECOND * n);
        }
        assert_eq!(outage.started, Some(start));
    }

    #[test]
    fn next_outage_is_logged_from_its_start() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let mut lines = |start: Instant| (0..10).filter(|n| outage.record(start + SECOND * *n).is_some()).count();
        assert_eq!(lines(start), 3);
        assert_eq!(lines(start + SECOND * 30), 0, "the same outage");
        assert_eq!(lines(start + SECOND * 39 + INTERVAL), 3);
    }
}
