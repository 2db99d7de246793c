//! Time zones: converts Unix seconds to local time and back.

use jiff::{Timestamp, tz::TimeZone};

use crate::hatchet::wire::excerpt;

const DAY: i64 = 86_400;

#[derive(Debug, Clone)]
pub(super) struct Zone(TimeZone);

/// A local time. The month and the day may exceed their range; [`Zone::unix`] carries them over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
}

impl Zone {
    /// Finds a zone by its name, which must be spelled as in the system's zone data. An empty name and `Local` mean
    /// UTC, as in a real engine's scheduler.
    pub(super) fn find(name: &str) -> Result<Self, String> {
        if matches!(name, "" | "UTC" | "Local") {
            return Ok(Self(TimeZone::UTC));
        }
        match TimeZone::get(name) {
            Ok(zone) if zone.iana_name() == Some(name) => Ok(Self(zone)),
            _ if jiff::tz::db().is_definitively_empty() => Err(format!(
                "the time zone `{}` is unknown because this system has no zone data: install the package tzdata, or \
                 write the times in UTC",
                excerpt(name)
            )),
            _ => Err(format!("unknown time zone `{}`: use a name such as Europe/Berlin", excerpt(name))),
        }
    }

    /// Converts a Unix time to local time.
    pub(super) fn local(&self, time: i64) -> Local {
        let local = time + self.offset(time);
        let (year, month, day) = date(local.div_euclid(DAY));
        let second = local.rem_euclid(DAY);
        Local { year, month, day, hour: second / 3600, minute: second / 60 % 60, second: second % 60 }
    }

    /// Converts a local time to Unix time. A local time that is skipped or occurs twice has the Unix time that Go's
    /// `time.Date` chooses: the offset is computed for the local time read as UTC, and then again for the result.
    pub(super) fn unix(&self, local: Local) -> i64 {
        let utc = local.days() * DAY + local.hour * 3600 + local.minute * 60 + local.second;
        utc - self.offset(utc - self.offset(utc))
    }

    /// Offset from UTC in seconds, positive towards the east.
    fn offset(&self, time: i64) -> i64 {
        // No cron fires beyond the year 9999, the end of jiff's range.
        Timestamp::from_second(time).map_or(0, |time| self.0.to_offset(time).seconds().into())
    }
}

impl Local {
    /// The beginning of the day.
    pub(super) fn midnight(self) -> Self {
        Self { hour: 0, minute: 0, second: 0, ..self }
    }

    /// The weekday; 0 is Sunday.
    pub(super) fn weekday(self) -> i64 {
        // 1970-01-01 was a Thursday.
        (self.days() + 4).rem_euclid(7)
    }

    /// Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, which makes the leap day the last
    /// day of a year.
    fn days(self) -> i64 {
        let months = self.year * 12 + self.month - 3;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12));
        let days_of_years = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        // From March on, the lengths of months repeat as 31, 30, 31, 30, 31 days.
        days_of_years + (153 * month + 2) / 5 + self.day - 1 - DAYS_BEFORE_1970
    }
}

/// Days from March 1 of the year 0 to 1970-01-01.
const DAYS_BEFORE_1970: i64 = 719_468;

/// The year, month and day of a number of days since 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_BEFORE_1970;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}
