//! Cron expressions in the dialect of a real engine, that of Go's robfig/cron.
//!
//! An expression has five fields (minute, hour, day of the month, month, weekday), six fields with seconds first, or a
//! descriptor such as `@daily` or `@every 5m`. `TZ=` or `CRON_TZ=` with the name of a time zone can precede it; the
//! default is UTC. `times.tsv` holds expressions with the times that robfig/cron computes, which a test compares.
//!
//! | file | contents |
//! |---|---|
//! | `parse` | parses an expression into a schedule |
//! | `schedule` | computes the next time of a schedule, across changes of the clock |
//! | `zone` | converts between Unix seconds and the local time of a zone |

mod parse;
mod schedule;
#[cfg(test)]
mod tests;
mod zone;

use self::schedule::Schedule;
use crate::hatchet::wire::excerpt;

/// A time from which every expression that ever fires does so within [`schedule::YEARS`]: 2026-01-01, in Unix seconds.
const REFERENCE_TIME: i64 = 1_767_225_600;

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
        let shown = excerpt(text);
        let schedule =
            parse::parse_schedule(text).map_err(|why| format!("`{shown}` is not a cron expression: {why}"))?;
        if schedule.next_after(REFERENCE_TIME).is_none() {
            return Err(format!("`{shown}` never fires: no time matches all of its fields"));
        }
        Ok(Self { text: text.to_owned(), schedule: Some(schedule) })
    }

    /// Parses an expression of a workflow definition, where a real engine accepts no descriptors.
    pub(crate) fn parse_declared(text: &str) -> Result<Self, String> {
        if parse::is_descriptor(text) {
            return Err(format!(
                "`{}`: descriptors are not supported in a definition: use fields, such as `0 0 * * *` for @daily or \
                 `*/5 * * * *` for @every 5m",
                excerpt(text)
            ));
        }
        Self::parse(text)
    }

    /// Parses a stored expression. If it is refused now, or its time zone is unknown now, it never fires but stays
    /// visible, so that it can be deleted.
    pub(crate) fn restored(text: String) -> Self {
        match Self::parse(&text) {
            Ok(rule) => rule,
            Err(why) => {
                tracing::warn!("a stored cron starts no runs: {why}");
                Self { text, schedule: None }
            }
        }
    }

    /// The expression.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The first time after the given one, both in milliseconds since 1970; `None` if there is none within
    /// [`schedule::YEARS`].
    pub(crate) fn next_after(&self, millis: u64) -> Option<u64> {
        let seconds = i64::try_from(millis / 1000).ok()?;
        let next = self.schedule.as_ref()?.next_after(seconds)?;
        u64::try_from(next).ok()?.checked_mul(1000)
    }
}
