//! Durations of flags and settings.

use std::time::Duration;

use crate::hatchet::wire::parse_duration;

/// Parses the value of a duration option: a number of seconds, or a duration such as `500ms` or `1h30m`.
///
/// # Errors
///
/// Returns the rule that the text violates.
pub(in crate::cli) fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    let has_unit = text.contains(|c: char| !c.is_ascii_digit() && c != '.');
    let parsed = if has_unit { parse_duration(text) } else { parse_duration(&format!("{text}s")) };
    parsed.map_err(|_| "set it to a number of seconds, or to a duration such as 500ms, 30s or 1h30m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_without_unit_is_in_seconds() {
        let millis = |text| parse_seconds(text).map(|duration| duration.as_millis()).ok();
        for (text, expected) in [("5", 5_000), ("0", 0), ("0.5", 500), ("5s", 5_000), ("250ms", 250), ("1m1s", 61_000)]
        {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for text in ["", ".", "-5", "1d", "1h30", "5 ", "soon", "9999999999999"] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
