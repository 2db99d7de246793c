//! Human-readable durations, for messages and reports.

use std::time::Duration;

/// Formats a duration for messages and reports: with three significant digits below a minute, such as `350ms` and
/// `1.2s`, and with two units from there on, such as `1m 10s` and `2d 3h`.
///
/// Settings and the wire have another notation: see [`format_duration`](super::format_duration).
pub fn readable_duration(duration: Duration) -> String {
    const SECOND: u128 = 1_000_000_000;
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    // The unit is chosen by the rounded number, so that 999.6 ms is `1s` and 59.99 s is `1m`.
    for (unit, name, next) in [(1e3, "µs", 1e3), (1e6, "ms", 1e3), (1e9, "s", 60.0)] {
        let number = three_digits(nanos as f64 / unit);
        if number.parse().is_ok_and(|rounded: f64| rounded < next) {
            return format!("{number}{name}");
        }
    }
    let in_units = |small: u128, per_large: u128, [large_name, small_name]: [&str; 2]| {
        let rounded = (nanos + small * SECOND / 2) / (small * SECOND);
        let (large, rest) = (rounded / per_large, rounded % per_large);
        let rest = if rest == 0 { String::new() } else { format!(" {rest}{small_name}") };
        (large, format!("{large}{large_name}{rest}"))
    };
    match (in_units(1, 60, ["m", "s"]), in_units(60, 60, ["h", "m"])) {
        ((..60, text), _) | (_, (..24, text)) => text,
        _ => in_units(3600, 24, ["d", "h"]).1,
    }
}

/// Formats a duration like [`readable_duration`], rounded to whole seconds.
pub(crate) fn readable_seconds(duration: Duration) -> String {
    readable_duration(Duration::from_secs(duration.as_secs_f64().round() as u64))
}

/// A number below 1000 with three significant digits, without trailing zeros.
fn three_digits(number: f64) -> String {
    let decimals = match number {
        n if n < 9.995 => 2,
        n if n < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{number:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_has_the_unit_of_its_rounded_value() {
        for (nanos, expected) in [
            (0, "0s"),
            (50_000, "50µs"),
            (999_600, "1ms"),
            (1_500_000, "1.5ms"),
            (9_996_000, "10ms"),
            (350_000_000, "350ms"),
            (999_400_000, "999ms"),
            (999_600_000, "1s"),
            (1_200_000_000, "1.2s"),
            (12_340_000_000, "12.3s"),
            (59_940_000_000, "59.9s"),
            (59_960_000_000, "1m"),
            (70_000_000_000, "1m 10s"),
            (600_000_000_000, "10m"),
            (3_599_400_000_000, "59m 59s"),
            (3_599_600_000_000, "1h"),
            (5_400_000_000_000, "1h 30m"),
            (86_369_000_000_000, "23h 59m"),
            (86_371_000_000_000, "1d"),
            (183_600_000_000_000, "2d 3h"),
        ] {
            assert_eq!(readable_duration(Duration::from_nanos(nanos)), expected, "{nanos}");
        }
        assert_eq!(readable_duration(Duration::MAX), "213503982334601d 7h");
    }
}
