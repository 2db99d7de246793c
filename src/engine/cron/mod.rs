//! Crons: when an expression fires.
//!
//! [`CronExpression`] parses expressions. `times.tsv` holds expressions with the times that robfig/cron computes, which a
//! test compares.
//!
//! | file | contents |
//! |---|---|
//! | `schedule` | computes the next time of a schedule, across changes of the clock |
//! | `zone` | converts between Unix seconds and the local time of a zone |

mod schedule;
#[cfg(test)]
mod tests;
mod zone;

use self::schedule::Schedule;
use crate::hatchet::wire::{CronExpression, excerpt};

/// A cron expression and its schedule.
#[derive(Debug, Clone)]
pub(crate) struct CronRule {
    text: String,
    /// `None` for a stored expression that this version refuses.
    schedule: Option<Schedule>,
}

impl CronRule {
    /// Parses an expression. The error is a single line. An expression that never fires is refused too.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::new(text, CronExpression::parse(text))
    }

    /// Parses an expression of a workflow definition, where a real engine accepts no descriptors.
    pub(crate) fn parse_declared(text: &str) -> Result<Self, String> {
        Self::new(text, CronExpression::parse_declared(text))
    }

    fn new(text: &str, parsed: Result<CronExpression, String>) -> Result<Self, String> {
        let schedule = parsed
            .and_then(Schedule::new)
            .map_err(|reason| format!("invalid cron expression \"{}\": {reason}", excerpt(text)))?;
        Ok(Self { text: text.to_owned(), schedule: Some(schedule) })
    }

    /// Parses a stored expression. If it is refused now, or its time zone is unknown now, it never fires but stays
    /// visible, so that it can be deleted.
    pub(crate) fn restored(text: String) -> Self {
        match Self::parse(&text) {
            Ok(rule) => rule,
            Err(reason) => {
                tracing::warn!("a stored cron starts no runs: {reason}");
                Self { text, schedule: None }
            }
        }
    }

    /// The expression.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the first time after the given time, both in milliseconds since 1970; `None` if there is none within
    /// [`schedule::YEARS`].
    pub(crate) fn next_after(&self, millis: u64) -> Option<u64> {
        let seconds = i64::try_from(millis / 1000).ok()?;
        let next = self.schedule.as_ref()?.next_after(seconds)?;
        u64::try_from(next).ok()?.checked_mul(1000)
    }
}
