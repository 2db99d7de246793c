//! The sets of values that the fields of an expression select.

/// The values of each field.
#[derive(Debug, Clone)]
pub(crate) struct CronFields {
    pub(crate) second: ValueSet,
    pub(crate) minute: ValueSet,
    pub(crate) hour: ValueSet,
    pub(crate) day: ValueSet,
    pub(crate) month: ValueSet,
    pub(crate) weekday: ValueSet,
}

/// A set of values below 64.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ValueSet {
    bits: u64,
    /// Whether `*` or `?` without a step is part of it, which decides how days and weekdays go together.
    star: bool,
}

impl ValueSet {
    /// Adds every `step`-th value of a range; `None` if the step is zero.
    pub(super) fn add(&mut self, start: u64, end: u64, step: u64, star: bool) -> Option<()> {
        for value in (start..=end).step_by(usize::try_from(step).ok().filter(|step| *step > 0)?) {
            self.bits |= 1 << value;
        }
        self.star |= star;
        Some(())
    }

    pub(crate) fn has(self, value: i64) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits.checked_shr(value).unwrap_or(0) & 1 == 1)
    }

    fn is_empty(self) -> bool {
        self.bits == 0
    }
}

impl CronFields {
    /// Whether a day matches: by day of the month and weekday (0 is Sunday) if one of them is a star, otherwise by
    /// either of them.
    pub(crate) fn matches_day(&self, day: i64, weekday: i64) -> bool {
        let (by_day, by_weekday) = (self.day.has(day), self.weekday.has(weekday));
        if self.day.star || self.weekday.star { by_day && by_weekday } else { by_day || by_weekday }
    }

    /// Whether any time matches all fields. Every day of a month is any weekday in some year.
    pub(super) fn can_fire(&self) -> bool {
        let has_time = ![self.second, self.minute, self.hour].into_iter().any(ValueSet::is_empty);
        let days = (1..=12).filter(|month| self.month.has(*month)).flat_map(|month| 1..=longest_month(month));
        has_time && days.into_iter().any(|day| (0..=6).any(|weekday| self.matches_day(day, weekday)))
    }
}

/// Number of days of a month; of February in a leap year.
fn longest_month(month: i64) -> i64 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
