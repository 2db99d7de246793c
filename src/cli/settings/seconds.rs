//! Durations of flags and settings.

use std::time::Duration;

use crate::hatchet::wire::parse_duration;

const TOO_LONG: &str = "it is longer than the maximum of 2562047h, about 292 years";

/// Parses the value of a duration option: a number of seconds, a duration such as `500ms` or `1h30m`, or a whole number
/// of days such as `7d`.
///
/// # Errors
///
/// Returns the rule that the text violates.
pub(in crate::cli) fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    if let Some(positive) = text.strip_prefix('-')
        && parse_seconds(positive).is_ok()
    {
        return Err("a duration is not negative");
    }
    if let Some(days) = text.strip_suffix('d').filter(|days| !days.is_empty())
        && days.bytes().all(|digit| digit.is_ascii_digit())
    {
        let hours = days.parse::<u64>().ok().and_then(|days| days.checked_mul(24)).ok_or(TOO_LONG)?;
        return parse_duration(&format!("{hours}h")).map_err(|_| TOO_LONG);
    }
    let has_unit = text.contains(|c: char| !c.is_ascii_digit() && c != '.');
    let parsed = if has_unit { parse_duration(text) } else { parse_duration(&format!("{text}s")) };
    parsed.map_err(|_| {
        // With fewer digits, a duration within the limit is valid.
        let shortened = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_number = shortened.is_empty() || parse_duration(&format!("1{shortened}")).is_ok();
        if is_number && text.len() > shortened.len() {
            TOO_LONG
        } else {
            "set it to a number of seconds, or to a duration such as 500ms, 30s, 1h30m or 7d"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_without_unit_is_in_seconds() {
        let millis = |text| parse_seconds(text).map(|duration| duration.as_millis()).ok();
        for (text, expected) in [
            ("5", 5_000),
            ("0", 0),
            ("0.5", 500),
            ("5s", 5_000),
            ("250ms", 250),
            ("1m1s", 61_000),
            ("7d", 604_800_000),
            ("106751d", 9_223_286_400_000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for text in ["", ".", "-5", "d", "1w", "1.5d", "1d1h", "+1d", "1h30", "5 ", "soon", "9999999999999"] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn violated_rule_is_named() {
        for (text, part) in [
            ("9999999999999", "the maximum of 2562047h"),
            ("9999999999999h", "the maximum of 2562047h"),
            ("99999999999999999999999999.5s", "the maximum of 2562047h"),
            ("106752d", "the maximum of 2562047h"),
            ("99999999999999999999d", "the maximum of 2562047h"),
            ("-1", "not negative"),
            ("-1d", "not negative"),
            ("-1h30m", "not negative"),
            ("1w", "such as 500ms"),
            ("", "such as 500ms"),
            ("-", "such as 500ms"),
            ("1h30", "such as 500ms"),
        ] {
            assert!(parse_seconds(text).unwrap_err().contains(part), "{text}: {:?}", parse_seconds(text));
        }
    }
}
