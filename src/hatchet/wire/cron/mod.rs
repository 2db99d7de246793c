//! Cron expressions in the dialect of Go's robfig/cron, which a real engine uses.
//!
//! An expression has five fields (minute, hour, day of the month, month, weekday), six fields with seconds first, or a
//! descriptor such as `@daily` or `@every 5m`. `TZ=` or `CRON_TZ=` with the name of a time zone can precede it; the
//! default is UTC. Clients parse an expression to refuse an invalid one, and the embedded engine to compute its times.
//!
//! | file | contents |
//! |---|---|
//! | `parse` | parses an expression |
//! | `fields` | the sets of values that the fields select |

mod fields;
mod parse;
#[cfg(test)]
mod tests;

#[cfg(feature = "engine")]
pub(crate) use self::fields::CronFields;
pub(crate) use self::parse::CronExpression;
#[cfg(feature = "engine")]
pub(crate) use self::parse::CronTimes;
