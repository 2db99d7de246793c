//! Cron expressions in the dialect of a real engine, which is that of Go's robfig/cron.
//!
//! Five fields (minute, hour, day of the month, month, weekday), or six with seconds before them, or a descriptor such
//! as `@daily`; before either, `TZ=` or `CRON_TZ=` with the name of a time zone. Without one the times are in UTC.
//!
//! | step | file |
//! |---|---|
//! | text to fields | `parse` |
//! | fields to the next time, daylight saving included | `schedule` |
//! | a zone's offsets, from the system's zone data | `zone` |

mod parse;
mod schedule;
#[cfg(test)]
mod tests;
mod zone;

use self::schedule::Schedule;
use super::state::Timestamp;

/// A moment from which every expression that ever fires does so within [`schedule::YEARS`]: 2026-01-01, Unix seconds.
const ANY_TIME: i64 = 1_767_225_600;

/// When a workflow runs by itself.
#[derive(Debug, Clone)]
pub(crate) struct CronRule {
    text: String,
    /// `None` if it was accepted by an earlier version, and is no expression for this one.
    schedule: Option<Schedule>,
}

impl CronRule {
    /// Reads an expression, or says in one line what is wrong with it. One that never fires is refused too.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(100).collect();
        let schedule = parse::schedule(text).map_err(|why| format!("`{shown}` is not a cron expression: {why}"))?;
        if schedule.next_after(ANY_TIME).is_none() {
            return Err(format!("`{shown}` never fires: no day, or no time of a day, fits all of its fields"));
        }
        Ok(Self { text: text.to_owned(), schedule: Some(schedule) })
    }

    /// Reads an expression of a declaration, where a real engine takes no descriptors.
    pub(crate) fn parse_declared(text: &str) -> Result<Self, String> {
        if parse::is_descriptor(text) {
            let shown: String = text.chars().take(100).collect();
            return Err(format!(
                "`{shown}`: a declaration takes no descriptors: use fields, such as `0 0 * * *` for @daily or \
                 `*/5 * * * *` for @every 5m"
            ));
        }
        Self::parse(text)
    }

    /// Reads an expression that was kept. One that is refused by now, or whose time zone is unknown by now, stays to be
    /// seen and removed, and never fires.
    pub(crate) fn restored(text: String) -> Self {
        match Self::parse(&text) {
            Ok(rule) => rule,
            Err(why) => {
                tracing::warn!("a cron starts no more runs: {why}");
                Self { text, schedule: None }
            }
        }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The next time after a moment; `None` if there is none in the next years.
    pub(crate) fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let seconds = i64::try_from(moment.0 / 1000).ok()?;
        let next = self.schedule.as_ref()?.next_after(seconds)?;
        u64::try_from(next).ok()?.checked_mul(1000).map(Timestamp)
    }
}
