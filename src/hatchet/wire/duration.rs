//! Durations as Hatchet writes them: `500ms`, `60s`, `1.5h`, `1h30m`.

use std::time::Duration;

/// The longest duration that an engine takes: Go's, 2^63 - 1 nanoseconds, which is 2562047h47m16.854775807s.
const MAX_NANOS: u128 = i64::MAX as u128;

/// Digits of a fraction that count; an hour has fewer nanoseconds.
const FRACTION_DIGITS: usize = 18;

/// The units and their nanoseconds. `ms` stands before `m`, since the longer one is meant.
const UNITS: [(&str, u128); 4] =
    [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];

/// Text that is no duration for a Hatchet engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a duration: write one or more of <number><unit>, units ms, s, m, h, such as 500ms, 30s or 1h30m, up to \
     2562047h"
)]
pub struct BadDuration(String);

/// Reads a duration by an engine's rule: one or more `<number><unit>` with units `ms`, `s`, `m`, `h`; fractions
/// are fine, also as `.5s` and `5.s`; no sign, no bare number, no days, no nanoseconds. The longest is some 292 years.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.chars().take(80).collect());
    let mut nanos = 0;
    let mut rest = text;
    loop {
        let (part, after) = part(rest).ok_or_else(bad)?;
        nanos += part;
        if nanos > MAX_NANOS {
            return Err(bad());
        }
        if after.is_empty() {
            return u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| bad());
        }
        rest = after;
    }
}

/// The nanoseconds of one `<number><unit>` and what follows it; a fraction of a nanosecond is cut off.
fn part(text: &str) -> Option<(u128, &str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = UNITS.iter().find_map(|(name, unit)| Some((unit, rest.strip_prefix(name)?)))?;
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let nanos = number(whole)?.checked_mul(*unit)?.checked_add(number(fraction)? * unit / scale)?;
    (nanos <= MAX_NANOS).then_some((nanos, rest))
}

/// Writes a duration in a form that [`parse_duration`] and every engine reads; whole milliseconds.
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_an_engine_takes() {
        for (text, millis) in [("500ms", 500), ("60s", 60_000), ("1.5h", 5_400_000), ("1h30m", 5_400_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "60", "-5s", "1d", "5ns", "5us", "s", "1h 30m", "1..5s", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fraction_may_lack_either_side_and_counts_exactly() {
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
    fn longest_duration_is_that_of_an_engine() {
        for text in ["2562047h", "2562047h47m16s", "2562047h47m16.854775807s", "9223372036854ms"] {
            assert!(parse_duration(text).is_ok(), "{text}");
        }
        for bad in ["2562048h", "2562047h47m17s", "2562047h47m16.854775808s", "9223372036855ms"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        let longest = parse_duration("2562047h").unwrap();
        assert_eq!(parse_duration(&format_duration(longest)), Ok(longest));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0u64..=9_223_372_036_854) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn whole_grammar_is_read(
            text in r"(([0-9]{1,3}(\.[0-9]{0,3})?|\.[0-9]{1,3})(ms|s|m|h)){1,4}",
        ) {
            prop_assert!(parse_duration(&text).is_ok(), "{}", text);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = parse_duration(&text);
        }
    }
}
