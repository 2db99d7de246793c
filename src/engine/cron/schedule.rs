//! Fields to the next time.
//!
//! The search goes as robfig/cron's does, field by field from the month down, since its order decides what happens at a
//! change of the clock: a time that is left out that day does not fire, one that comes twice fires twice, and in a zone
//! that changes by half an hour a midnight may be missed. Times are Unix seconds.

use super::zone::{Local, Zone};

/// How far the search goes before an expression counts as one that never fires.
pub(super) const YEARS: i64 = 5;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// When a cron fires.
#[derive(Debug, Clone)]
pub(super) enum Schedule {
    Fields(Fields),
    /// So many seconds after the last time.
    Every(i64),
}

/// The values of each field.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) second: Set,
    pub(super) minute: Set,
    pub(super) hour: Set,
    pub(super) day: Set,
    pub(super) month: Set,
    pub(super) weekday: Set,
    pub(super) zone: Zone,
}

/// A set of values below 64.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Set {
    bits: u64,
    /// Whether `*` or `?` without a step is part of it, which decides how days and weekdays go together.
    star: bool,
}

impl Set {
    /// Adds each `step`th value of a range; `None` if the step is zero.
    pub(super) fn add(&mut self, start: u64, end: u64, step: u64, star: bool) -> Option<()> {
        for value in (start..=end).step_by(usize::try_from(step).ok().filter(|step| *step > 0)?) {
            self.bits |= 1 << value;
        }
        self.star |= star;
        Some(())
    }

    fn has(self, value: i64) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits.checked_shr(value).unwrap_or(0) & 1 == 1)
    }

    fn is_empty(self) -> bool {
        self.bits == 0
    }
}

impl Schedule {
    /// The first time after another; `None` if there is none within [`YEARS`].
    pub(super) fn next_after(&self, time: i64) -> Option<i64> {
        match self {
            Self::Fields(fields) => fields.next_after(time),
            Self::Every(seconds) => time.checked_add(*seconds),
        }
    }
}

impl Fields {
    /// The search. Each turn of the loop goes through the fields from the month down; one that does not match moves the
    /// time on, and if that carries into the fields above, the next turn begins.
    fn next_after(&self, after: i64) -> Option<i64> {
        // An empty set never matches, and seconds would be counted for years.
        if [self.second, self.minute, self.hour, self.day, self.month, self.weekday].into_iter().any(Set::is_empty) {
            return None;
        }
        let zone = &self.zone;
        let mut search = Search { zone, time: after.checked_add(1)?, moved: false };
        let last_year = zone.local(search.time).year + YEARS;
        'carried: while search.local().year <= last_year {
            while !self.month.has(search.local().month) {
                let now = search.local();
                search.begin(zone.unix(Local { day: 1, ..now.midnight() }));
                let now = search.local();
                search.time = zone.unix(Local { month: now.month + 1, ..now });
                if search.local().month == 1 {
                    continue 'carried;
                }
            }
            while !self.fits_day(search.local()) {
                search.begin(zone.unix(search.local().midnight()));
                let now = search.local();
                search.time = zone.unix(Local { day: now.day + 1, ..now });
                // Where midnight is left out, the clock shows an hour more or less.
                match search.local().hour {
                    0 => {}
                    hour @ 13.. => search.time += (24 - hour) * HOUR,
                    hour => search.time -= hour * HOUR,
                }
                if search.local().day == 1 {
                    continue 'carried;
                }
            }
            while !self.hour.has(search.local().hour) {
                let now = search.local();
                search.begin(zone.unix(Local { minute: 0, second: 0, ..now }));
                search.time += HOUR;
                if search.local().hour == 0 {
                    continue 'carried;
                }
            }
            while !self.minute.has(search.local().minute) {
                search.begin(search.time - search.time.rem_euclid(MINUTE));
                search.time += MINUTE;
                if search.local().minute == 0 {
                    continue 'carried;
                }
            }
            while !self.second.has(search.local().second) {
                search.moved = true;
                search.time += 1;
                if search.local().second == 0 {
                    continue 'carried;
                }
            }
            return Some(search.time);
        }
        None
    }

    /// Whether the day of the month and the weekday fit: both if one of them is a star, or else one of them.
    fn fits_day(&self, local: Local) -> bool {
        let (day, weekday) = (self.day.has(local.day), self.weekday.has(local.weekday()));
        if self.day.star || self.weekday.star { day && weekday } else { day || weekday }
    }
}

/// The time that a search has come to.
struct Search<'z> {
    zone: &'z Zone,
    time: i64,
    /// Whether the fields below the one that is moved have been set to their lowest values.
    moved: bool,
}

impl Search<'_> {
    fn local(&self) -> Local {
        self.zone.local(self.time)
    }

    /// Before the first move: sets the lower fields to their lowest values.
    fn begin(&mut self, lowest: i64) {
        if !self.moved {
            self.moved = true;
            self.time = lowest;
        }
    }
}
