//! Text to fields.

use crate::hatchet::wire::parse_duration;

use super::{
    schedule::{Fields, Schedule, Set},
    zone::Zone,
};

/// A field: its name in errors, its bounds, and names that stand for values from the lowest up.
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

/// Reads an expression.
pub(super) fn schedule(text: &str) -> Result<Schedule, String> {
    let (zone, rest) = split_zone(text)?;
    let zone = Zone::find(zone)?;
    let rest = rest.trim();
    if let Some(name) = rest.strip_prefix('@') {
        return descriptor(name, zone);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let (second, rest) = match fields[..] {
        [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
        [second, minute, hour, day, month, weekday] => (second, [minute, hour, day, month, weekday]),
        _ => return Err(format!("it has {} fields, not five, or six with seconds first", fields.len())),
    };
    let [minute, hour, day, month, weekday] = rest;
    Ok(Schedule::Fields(Fields {
        second: SECOND.read(second)?,
        minute: MINUTE.read(minute)?,
        hour: HOUR.read(hour)?,
        day: DAY.read(day)?,
        month: MONTH.read(month)?,
        weekday: WEEKDAY.read(weekday)?,
        zone,
    }))
}

/// Whether a descriptor such as `@daily` stands in place of the fields.
pub(super) fn is_descriptor(text: &str) -> bool {
    split_zone(text).is_ok_and(|(_, rest)| rest.trim_start().starts_with('@'))
}

/// The name of the time zone, UTC if there is none, and what follows it.
fn split_zone(text: &str) -> Result<(&str, &str), String> {
    match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
        Some(rest) => rest.split_once(' ').ok_or_else(|| "no fields follow the time zone".to_owned()),
        None => Ok(("UTC", text)),
    }
}

fn descriptor(name: &str, zone: Zone) -> Result<Schedule, String> {
    let fields = match name {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        _ => {
            let Some(interval) = name.strip_prefix("every ") else {
                return Err(
                    "there are @yearly, @monthly, @weekly, @daily, @hourly and @every, in lower case".to_owned()
                );
            };
            let interval = parse_duration(interval).map_err(|e| e.to_string())?.as_secs();
            return i64::try_from(interval.max(1)).map(Schedule::Every).map_err(|_| "it is too long".to_owned());
        }
    };
    match schedule(fields)? {
        Schedule::Fields(fields) => Ok(Schedule::Fields(Fields { zone, ..fields })),
        every @ Schedule::Every(_) => Ok(every),
    }
}

impl Field {
    /// Reads a list of ranges. Commas without a range between them mean nothing.
    fn read(&self, text: &str) -> Result<Set, String> {
        let mut set = Set::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            self.read_range(part, &mut set)?;
        }
        Ok(set)
    }

    /// Reads `*`, `?`, `a`, `a-b`, each perhaps with `/step`; `a/step` goes from `a` to the end.
    fn read_range(&self, text: &str, set: &mut Set) -> Result<(), String> {
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
            // What follows a star and a hyphen is not looked at, there as here.
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
            let rule = if start > end { ", and the first of a range is not above the last" } else { "" };
            let weekday = if self.name == WEEKDAY.name { " (Sunday is 0)" } else { "" };
            return Err(format!(
                "`{}` is no {}: the values are {} to {}{weekday}{rule}",
                brief(text),
                self.name,
                self.min,
                self.max
            ));
        }
        set.add(start, end, step.unwrap_or(1), star).ok_or_else(|| format!("the step of `{}` is 0", brief(text)))
    }

    /// A number, or the name of one.
    fn value(&self, text: &str) -> Result<u64, String> {
        match (self.min..).zip(self.names).find(|(_, name)| text.eq_ignore_ascii_case(name)) {
            Some((value, _)) => Ok(value),
            None => self.number(text),
        }
    }

    /// A number as Go's `Atoi` reads it: with a sign, if it is not negative.
    fn number(&self, text: &str) -> Result<u64, String> {
        text.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok()).ok_or_else(|| {
            format!(
                "`{}` is no {}: write numbers, names, `*`, `a-b`, `a/step`, or a list of them",
                brief(text),
                self.name
            )
        })
    }
}

fn brief(text: &str) -> String {
    text.chars().take(40).collect()
}
