//! Cron expressions: five fields, or six with seconds before them, in UTC.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, tz::TimeZone};

use super::state::Moment;

/// When a workflow runs by itself.
#[derive(Debug, Clone)]
pub(crate) struct CronRule {
    text: String,
    cron: Cron,
}

impl CronRule {
    /// Reads an expression, or says in one line what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let shown: String = trimmed.chars().take(100).collect();
        let upper = trimmed.to_uppercase();
        if upper.starts_with("CRON_TZ=") || upper.starts_with("TZ=") {
            return Err(format!("`{shown}`: time zones are not supported here: write the times in UTC"));
        }
        if upper.starts_with("@EVERY") || upper.starts_with("@REBOOT") {
            return Err(format!("`{shown}` is not supported here: use fields, such as `*/5 * * * *`"));
        }
        let pattern = if upper == "@MIDNIGHT" { "@daily" } else { trimmed };
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(pattern).map_err(|e| format!("`{shown}` is not a cron expression: {e}"))?;
        Ok(Self { text: trimmed.to_owned(), cron })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The next time after a moment; `None` if there is none.
    pub(crate) fn next_after(&self, moment: Moment) -> Option<Moment> {
        let from = Timestamp::from_millisecond(i64::try_from(moment.0).ok()?).ok()?.to_zoned(TimeZone::UTC);
        let next = self.cron.find_next_occurrence(&from, false).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok().map(Moment)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-02 03:04:05.678 UTC, a Friday.
    const FROM: Moment = Moment(1_767_323_045_678);

    #[test]
    fn the_next_time_is_after_now_and_in_utc() {
        let next = |text: &str| CronRule::parse(text).unwrap().next_after(FROM).unwrap().timestamp().to_string();
        for (text, time) in [
            ("* * * * *", "2026-01-02T03:05:00Z"),
            ("*/10 * * * * *", "2026-01-02T03:04:10Z"),
            ("5 4 3 2 *", "2026-02-03T04:05:00Z"),
            ("0 0 * * 0", "2026-01-04T00:00:00Z"),
            ("0 12 13 * FRI", "2026-01-02T12:00:00Z"),
            ("@hourly", "2026-01-02T04:00:00Z"),
            ("@midnight", "2026-01-03T00:00:00Z"),
        ] {
            assert_eq!(next(text), time, "{text}");
        }
        let exact = Moment(1_767_323_100_000);
        assert!(CronRule::parse("* * * * *").unwrap().next_after(exact).unwrap() > exact, "never now again");
    }

    #[test]
    fn what_is_no_expression_is_said() {
        for text in ["", "* * * *", "* * * * * * *", "61 * * * *", "@every 1h", "CRON_TZ=Europe/Berlin * * * * *", "x"]
        {
            let error = CronRule::parse(text).unwrap_err();
            assert!(!error.contains('\n') && !error.is_empty(), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ *,/@0-9a-zA-Z#?-]{0,20}") {
            let _ = CronRule::parse(&text).map(|rule| rule.next_after(FROM));
        }
    }
}
