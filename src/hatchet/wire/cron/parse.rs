//! Parses expressions.

use super::fields::{CronFields, ValueSet};
use crate::hatchet::wire::{duration::parse_go_duration, text::excerpt};

/// A field: its name for errors, its bounds, and the names of its values, beginning with the lowest.
struct Field {
    name: &'static str,
    min: u64,
    max: u64,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", min: 0, max: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: &[] };
const HOUR: Field = Field { name: "hour", min: 0, max: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", min: 1, max: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Field =
    Field { name: "weekday", min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// A valid expression. The name of its time zone is not looked up.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "engine"), expect(dead_code, reason = "only the engine reads the parsed fields"))]
pub(crate) struct CronExpression {
    /// Name of the time zone; `UTC` by default.
    pub(crate) zone: String,
    pub(crate) times: CronTimes,
}

/// The times of an expression.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "engine"), expect(dead_code, reason = "only the engine reads the parsed fields"))]
pub(crate) enum CronTimes {
    Fields(CronFields),
    /// A time at this many seconds after the previous time.
    Every(i64),
}

impl CronExpression {
    /// Parses an expression. The error is the reason for refusing it, a single line. An expression that never fires is
    /// refused too.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (zone, rest) = split_zone(text)?;
        let rest = rest.trim();
        let times = match rest.strip_prefix('@') {
            Some(name) => parse_descriptor(name)?,
            None => CronTimes::Fields(parse_fields(rest)?),
        };
        Ok(Self { zone: zone.to_owned(), times })
    }

    /// Parses an expression of a workflow definition, where a real engine accepts no descriptors.
    pub(crate) fn parse_declared(text: &str) -> Result<Self, String> {
        if split_zone(text).is_ok_and(|(_, rest)| rest.trim_start().starts_with('@')) {
            return Err(
                "descriptors are not supported in a definition: use fields, such as `0 0 * * *` for @daily or \
                        `*/5 * * * *` for @every 5m"
                    .to_owned(),
            );
        }
        Self::parse(text)
    }
}

fn parse_fields(text: &str) -> Result<CronFields, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let (second, rest) = match fields[..] {
        [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
        [second, minute, hour, day, month, weekday] => (second, [minute, hour, day, month, weekday]),
        _ => {
            let plural = if fields.len() == 1 { "" } else { "s" };
            return Err(format!("it has {} field{plural}: use five, or six with seconds first", fields.len()));
        }
    };
    let [minute, hour, day, month, weekday] = rest;
    let fields = CronFields {
        second: SECOND.parse(second)?,
        minute: MINUTE.parse(minute)?,
        hour: HOUR.parse(hour)?,
        day: DAY.parse(day)?,
        month: MONTH.parse(month)?,
        weekday: WEEKDAY.parse(weekday)?,
    };
    if fields.can_fire() { Ok(fields) } else { Err("it never fires: no time matches all of its fields".to_owned()) }
}

/// Splits off the name of the time zone; `UTC` if there is none.
fn split_zone(text: &str) -> Result<(&str, &str), String> {
    match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
        Some(rest) => rest.split_once(' ').ok_or_else(|| "no fields follow the time zone".to_owned()),
        None => Ok(("UTC", text)),
    }
}

fn parse_descriptor(name: &str) -> Result<CronTimes, String> {
    let fields = match name {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        _ => {
            let Some(interval) = name.strip_prefix("every ") else {
                return Err(
                    "unknown descriptor: use @yearly, @monthly, @weekly, @daily, @hourly or @every, in lower case"
                        .to_owned(),
                );
            };
            return parse_every(interval);
        }
    };
    parse_fields(fields).map(CronTimes::Fields)
}

/// Parses the interval of `@every`. As in robfig/cron, the interval is a Go duration without its fractions of a second.
/// A shorter or negative interval is replaced by one second.
fn parse_every(interval: &str) -> Result<CronTimes, String> {
    let nanos = parse_go_duration(interval).ok_or_else(|| {
        format!("`{}` is not an interval: write a duration such as 90s, 5m or 1h30m", excerpt(interval))
    })?;
    Ok(CronTimes::Every((nanos / 1_000_000_000).max(1)))
}

impl Field {
    /// Parses a list of ranges. Empty elements are ignored.
    fn parse(&self, text: &str) -> Result<ValueSet, String> {
        let mut set = ValueSet::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            self.parse_range(part, &mut set)?;
        }
        Ok(set)
    }

    /// Parses `*`, `?`, `a` or `a-b`, each optionally with `/step`; `a/step` ranges from `a` to the maximum.
    fn parse_range(&self, text: &str, set: &mut ValueSet) -> Result<(), String> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((range, step)) => (range, Some(self.number(step)?)),
        };
        let (low, high) = match range.split_once('-') {
            None => (range, None),
            Some((low, high)) => (low, Some(high)),
        };
        let mut star = false;
        let (start, end) = match (low, high) {
            // robfig/cron ignores the text between a star's hyphen and the step.
            ("*" | "?", _) => {
                star = step.unwrap_or(1) == 1;
                (self.min, self.max)
            }
            (low, None) => {
                let start = self.value(low)?;
                (start, if step.is_some() { self.max } else { start })
            }
            (low, Some(high)) => (self.value(low)?, self.value(high)?),
        };
        if start < self.min || end > self.max || start > end {
            let rule = if start > end { ", and a range must not end before it begins" } else { "" };
            let weekday = if self.name == WEEKDAY.name { " (Sunday is 0)" } else { "" };
            return Err(format!(
                "`{}` is not a valid {}: the values are {} to {}{weekday}{rule}",
                excerpt(text),
                self.name,
                self.min,
                self.max
            ));
        }
        set.add(start, end, step.unwrap_or(1), star).ok_or_else(|| format!("the step of `{}` is 0", excerpt(text)))
    }

    /// Parses a number or the name of a value.
    fn value(&self, text: &str) -> Result<u64, String> {
        match (self.min..).zip(self.names).find(|(_, name)| text.eq_ignore_ascii_case(name)) {
            Some((value, _)) => Ok(value),
            None => self.number(text),
        }
    }

    /// Parses a number like Go's `Atoi`, which allows a sign; negative numbers are refused.
    fn number(&self, text: &str) -> Result<u64, String> {
        text.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok()).ok_or_else(|| {
            format!(
                "`{}` is not a valid {}: write numbers, names, `*`, `a-b`, `a/step`, or a list of them",
                excerpt(text),
                self.name
            )
        })
    }
}
