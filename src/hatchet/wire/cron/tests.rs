use proptest::prelude::*;

use super::*;

#[test]
fn error_names_the_field_and_the_rule() {
    for (text, part) in [
        ("", "0 fields"),
        ("61 * * * *", "`61` is not a valid minute: the values are 0 to 59"),
        ("0 0 * * 7", "`7` is not a valid weekday: the values are 0 to 6 (Sunday is 0)"),
        ("0 0 L * *", "`L` is not a valid day of the month: write numbers"),
        ("0 0 * * 1#2", "`1#2` is not a valid weekday"),
        ("5-1 * * * *", "must not end before"),
        ("*/0 * * * *", "step"),
        ("*", "it has 1 field: use five"),
        ("* * *", "3 fields"),
        ("* * * * * * *", "7 fields"),
        ("@Daily", "lower case"),
        ("@every 1d", "`1d` is not an interval"),
        ("TZ=UTC", "no fields"),
    ] {
        let error = CronExpression::parse(text).unwrap_err();
        assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}");
    }
}

#[test]
fn expression_without_a_time_is_refused() {
    for text in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", ", * * * * *", "* , * * *", "* * , * ,", "0 0 1 , *", "0 0 * * ,"]
    {
        assert!(CronExpression::parse(text).unwrap_err().contains("never fires"), "{text}");
    }
    // Without a star among them, either the day of the month or the weekday must match.
    for text in ["0 0 29 2 *", "0 0 31 1,2 *", "0 0 30 2 1", "0 0 , * 1", "0 0 1 * ,", "0 0 31 2 */2"] {
        assert!(CronExpression::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn declaration_accepts_no_descriptors() {
    for text in ["@daily", "@every 5m", "TZ=UTC @daily", " @hourly"] {
        assert!(CronExpression::parse_declared(text).unwrap_err().contains("descriptors"), "{text}");
    }
    for text in ["TZ=UTC 0 0 * * *", "TZ=Europe/Berlin 0 0 3 * * *", "*/5 1-5 ? JAN,DEC MON"] {
        assert!(CronExpression::parse_declared(text).is_ok(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "[ *,/@0-9a-zA-Z#?-]{0,20}") {
        let _ = CronExpression::parse(&text);
    }
}
