//! Durations in Go's notation, such as `500ms`, `60s`, `1.5h` and `1h30m`.

use std::time::Duration;

use super::text::excerpt;

/// Maximum duration of an engine in nanoseconds: Go's 2^63 - 1, which is 2562047h47m16.854775807s.
const MAX_NANOS: u128 = i64::MAX as u128;

/// Number of digits of a fraction that are read. Further digits have no effect, since an hour has fewer nanoseconds.
const MAX_FRACTION_DIGITS: usize = 18;

/// A unit and its nanoseconds. In a list, `ms` precedes `m`, since the first matching unit is used.
type Unit = (&'static str, u128);

/// Units that Hatchet accepts in its API.
const API_UNITS: [Unit; 4] = [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];

/// Units of Go's `time.ParseDuration`. The two spellings of µs are U+00B5 and U+03BC.
const GO_UNITS: [Unit; 8] = [
    ("ns", 1),
    ("us", 1000),
    ("\u{b5}s", 1000),
    ("\u{3bc}s", 1000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A text that Hatchet engines do not accept as a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid duration \"{0}\": write one or more of <number><unit> with the units ms, s, m and h, such as 500ms, 30s or \
     1h30m, up to 2562047h"
)]
pub struct BadDuration(String);

/// Parses a duration like Hatchet's API: one or more of `<number><unit>` with the units `ms`, `s`, `m` and `h`. A
/// number may have a fraction, including `.5s` and `5.s`. Signs, numbers without a unit, days and nanoseconds are
/// errors.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let nanos = sum_parts(text, &API_UNITS).filter(|nanos| *nanos <= MAX_NANOS);
    let nanos = nanos.and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| BadDuration(excerpt(text)))
}

/// Parses a duration like Go's `time.ParseDuration`, and returns nanoseconds. In addition to the grammar of
/// [`parse_duration`], accepts a sign, the units `ns`, `us` and `µs`, and `0` without a unit.
pub(crate) fn parse_go_duration(text: &str) -> Option<i64> {
    let (is_negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if number == "0" {
        return Some(0);
    }
    let nanos = i128::try_from(sum_parts(number, &GO_UNITS)?).ok()?;
    i64::try_from(if is_negative { -nanos } else { nanos }).ok()
}

/// Sums the nanoseconds of one or more `<number><unit>`. `None` above [`MAX_NANOS`] + 1.
fn sum_parts(text: &str, units: &[Unit]) -> Option<u128> {
    let mut nanos = 0;
    let mut rest = text;
    loop {
        let (part, after) = parse_part(rest, units)?;
        nanos += part;
        if nanos > MAX_NANOS + 1 {
            return None;
        }
        if after.is_empty() {
            return Some(nanos);
        }
        rest = after;
    }
}

/// Parses the first `<number><unit>`. Returns its nanoseconds, rounded down, and the text after it.
fn parse_part<'a>(text: &'a str, units: &[Unit]) -> Option<(u128, &'a str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = units.iter().find_map(|(name, unit)| Some((*unit, rest.strip_prefix(name)?)))?;
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let fraction = &fraction[..fraction.len().min(MAX_FRACTION_DIGITS)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let nanos = number(whole)?.checked_mul(unit)?.checked_add(number(fraction)? * unit / scale)?;
    (nanos <= MAX_NANOS + 1).then_some((nanos, rest))
}

/// Formats a duration in whole milliseconds, so that [`parse_duration`] and every engine can parse it.
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn api_durations_are_parsed_and_others_refused() {
        for (text, millis) in [("500ms", 500), ("60s", 60_000), ("1.5h", 5_400_000), ("1h30m", 5_400_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "60", "-5s", "1d", "5ns", "5us", "s", "1h 30m", "1..5s", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fraction_is_exact_and_may_lack_either_side() {
        for (text, nanos) in [
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("1.h.5m", 3_630_000_000_000),
            ("0.0001ms", 100),
            ("0.1s", 100_000_000),
            ("1.000000000000000000000000000000000000000001s", 1_000_000_000),
            ("00000000000000000000000000000000000000000005ms", 5_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for bad in [".s", ".", "1.5.5s", "1.-5s", "+1s", "1e3s", "٣s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn maximum_duration_equals_that_of_an_engine() {
        for text in ["2562047h", "2562047h47m16s", "2562047h47m16.854775807s", "9223372036854ms"] {
            assert!(parse_duration(text).is_ok(), "{text}");
        }
        for bad in ["2562048h", "2562047h47m17s", "2562047h47m16.854775808s", "9223372036855ms"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        let maximum = parse_duration("2562047h").unwrap();
        assert_eq!(parse_duration(&format_duration(maximum)), Ok(maximum));
    }

    #[test]
    fn go_durations_have_signs_and_small_units() {
        for (text, nanos) in [
            ("1ns", 1),
            ("1us", 1000),
            ("1\u{b5}s", 1000),
            ("1\u{3bc}s", 1000),
            ("-1s", -1_000_000_000),
            ("+1m2ms", 60_002_000_000),
            ("0", 0),
            ("-0", 0),
            ("2562047h47m16.854775807s", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse_go_duration(text), Some(nanos), "{text}");
        }
        for bad in ["", "-", "1", "00", "--1s", "1 s", "1d", "9223372036854775808ns", "-9223372036854775809ns"] {
            assert_eq!(parse_go_duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn formatted_duration_is_parsed_back(millis in 0u64..=9_223_372_036_854) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn whole_grammar_is_parsed(
            text in r"(([0-9]{1,3}(\.[0-9]{0,3})?|\.[0-9]{1,3})(ms|s|m|h)){1,4}",
        ) {
            prop_assert!(parse_duration(&text).is_ok(), "{}", text);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = (parse_duration(&text), parse_go_duration(&text));
        }
    }
}
