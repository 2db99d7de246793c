//! Durations as Hatchet writes them: `500ms`, `60s`, `1.5h`, `1h30m`.

use std::time::Duration;

/// The longest part that is read: about 285 years, as far as an engine's 64-bit nanoseconds reach.
const LIMIT_MICROS: f64 = 9e15;

/// Text that is no duration for a Hatchet engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write one or more of <number><unit>, units ms, s, m, h, such as 500ms, 30s or 1h30m")]
pub struct BadDuration(String);

/// Reads a duration by an engine's rule: one or more `<number><unit>` with units `ms`, `s`, `m`, `h`; fractions
/// are fine; no sign, no bare number, no days, no nanoseconds.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.chars().take(80).collect());
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, after) = rest.split_at(end);
        if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
            return Err(bad());
        }
        let number: f64 = number.parse().map_err(|_| bad())?;
        // `ms` before `m`: the longer unit wins.
        let (unit, after) = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .into_iter()
            .find_map(|(unit, seconds)| after.strip_prefix(unit).map(|after| (seconds, after)))
            .ok_or_else(bad)?;
        // To the microsecond: the fraction of a binary float is noise below that.
        let micros = (number * unit * 1e6).round();
        if micros >= LIMIT_MICROS {
            return Err(bad());
        }
        total = total.checked_add(Duration::from_micros(micros as u64)).ok_or_else(bad)?;
        rest = after;
    }
    Ok(total)
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
        for bad in ["", "60", "-5s", "1d", "5ns", "5us", "s", ".5s", "5.s", "1h 30m", "1..5s", "99999999999999999999h"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = parse_duration(&text);
        }
    }
}
