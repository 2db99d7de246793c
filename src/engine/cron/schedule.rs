//! Computes the next time of a schedule.
//!
//! The search proceeds as in robfig/cron, field by field from the month down, since its order determines the effect of
//! a change of the clock: a time that is skipped on that day does not fire, a time that occurs twice fires twice, and
//! in a zone that changes by half an hour a midnight may be missed. Times are Unix seconds.

use super::zone::{Local, Zone};
use crate::hatchet::wire::{CronExpression, CronFields, CronTimes};

/// Years after which the search ends; an expression without a time until then never fires.
pub(super) const YEARS: i64 = 5;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// The times of a cron.
#[derive(Debug, Clone)]
pub(super) enum Schedule {
    Fields(Fields),
    /// A time at this many seconds after the previous time.
    Every(i64),
}

/// The values of each field, and the time zone.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    values: CronFields,
    zone: Zone,
}

impl Schedule {
    /// Looks up the time zone of an expression.
    pub(super) fn new(expression: CronExpression) -> Result<Self, String> {
        let zone = Zone::find(&expression.zone)?;
        Ok(match expression.times {
            CronTimes::Fields(values) => Self::Fields(Fields { values, zone }),
            CronTimes::Every(seconds) => Self::Every(seconds),
        })
    }

    /// Returns the first time after the given time; `None` if there is none within [`YEARS`].
    pub(super) fn next_after(&self, time: i64) -> Option<i64> {
        match self {
            Self::Fields(fields) => fields.next_after(time),
            Self::Every(seconds) => time.checked_add(*seconds),
        }
    }
}

impl Fields {
    /// Each iteration compares the fields from the month down. A field that does not match advances the time; if that
    /// carries into the fields above, the next iteration begins.
    fn next_after(&self, after: i64) -> Option<i64> {
        let Self { values, zone } = self;
        let mut search = Search { zone, time: after.checked_add(1)?, advanced: false };
        let last_year = zone.local(search.time).year + YEARS;
        'carried: while search.local().year <= last_year {
            while !values.month.has(search.local().month) {
                let now = search.local();
                search.begin(zone.unix(Local { day: 1, ..now.midnight() }));
                let now = search.local();
                search.time = zone.unix(Local { month: now.month + 1, ..now });
                if search.local().month == 1 {
                    continue 'carried;
                }
            }
            while !values.matches_day(search.local().day, search.local().weekday()) {
                search.begin(zone.unix(search.local().midnight()));
                let now = search.local();
                search.time = zone.unix(Local { day: now.day + 1, ..now });
                // On a day without midnight, the clock shows an hour more or less.
                match search.local().hour {
                    0 => {}
                    hour @ 13.. => search.time += (24 - hour) * HOUR,
                    hour => search.time -= hour * HOUR,
                }
                if search.local().day == 1 {
                    continue 'carried;
                }
            }
            while !values.hour.has(search.local().hour) {
                let now = search.local();
                search.begin(zone.unix(Local { minute: 0, second: 0, ..now }));
                search.time += HOUR;
                if search.local().hour == 0 {
                    continue 'carried;
                }
            }
            while !values.minute.has(search.local().minute) {
                search.begin(search.time - search.time.rem_euclid(MINUTE));
                search.time += MINUTE;
                if search.local().minute == 0 {
                    continue 'carried;
                }
            }
            while !values.second.has(search.local().second) {
                search.advanced = true;
                search.time += 1;
                if search.local().second == 0 {
                    continue 'carried;
                }
            }
            return Some(search.time);
        }
        None
    }
}

/// The state of a search.
struct Search<'z> {
    zone: &'z Zone,
    time: i64,
    /// Whether the time has been advanced, so that its lower fields have their lowest values.
    advanced: bool,
}

impl Search<'_> {
    fn local(&self) -> Local {
        self.zone.local(self.time)
    }

    /// Sets the lower fields to their lowest values before the time is advanced for the first time.
    fn begin(&mut self, lowest: i64) {
        if !self.advanced {
            self.advanced = true;
            self.time = lowest;
        }
    }
}
