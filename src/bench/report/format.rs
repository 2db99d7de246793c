//! Formats numbers, times and sizes for the report.
//!
//! Units and precision follow the rounded value, so that 999 999.9 is `1.00 M` and 99.96 is `100`.

use std::time::Duration;

use crate::hatchet::wire::readable_duration;

/// A number with two decimals below 10, one decimal below 100, and no decimals above. Thousands are separated by a
/// space, and millions are marked by `M`.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        v if v < 999.5 => format!("{value:.0}"),
        v if v < 999_999.5 => {
            let whole = format!("{value:.0}");
            let (thousands, rest) = whole.split_at(whole.len() - 3);
            format!("{thousands} {rest}")
        }
        // Rates and counts stay far below 10^12.
        _ => format!("{} M", number(value / 1e6)),
    }
}

/// A time in milliseconds, in the unit that fits. A difference between two clocks can make a time negative.
pub(super) fn ms(value: f64) -> String {
    let time = readable_duration(Duration::try_from_secs_f64(value.abs() / 1e3).unwrap_or_default());
    if value < 0.0 { format!("-{time}") } else { time }
}

/// A value with its unit. Milliseconds are shown in the unit that fits the value.
pub(super) fn with_unit(value: f64, unit: &str) -> String {
    if unit == "ms" { ms(value) } else { format!("{} {unit}", number(value)) }
}

/// The label of 10^`power` milliseconds on an axis.
pub(super) fn power_of_ten_ms(power: i32) -> String {
    match power {
        3.. => format!("{}s", 10_i64.saturating_pow(power.unsigned_abs() - 3)),
        0..3 => format!("{}ms", 10_i64.pow(power.unsigned_abs())),
        _ => format!("{}µs", 10_f64.powi(power + 3)),
    }
}

/// An RFC 3339 time, without fractions of a second.
pub(super) fn timestamp(text: &str) -> String {
    match text.split_once('.') {
        Some((second, _)) => format!("{} UTC", second.replace('T', " ")),
        None => text.trim_end_matches('Z').replace('T', " ") + " UTC",
    }
}

/// Bytes, in MiB or GiB.
pub(super) fn bytes(bytes: u64) -> String {
    let mib = bytes as f64 / (1 << 20) as f64;
    if mib < 1023.5 { format!("{mib:.0} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

/// A change in percent. Changes of 1,000 % and more are shown as a factor.
pub(super) fn change(percent: f64) -> String {
    if percent.abs() < 999.5 {
        // Adding zero turns -0 into +0.
        format!("{:+} %", percent.round() + 0.0)
    } else {
        format!("x {}", number(percent / 100.0 + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_follows_the_rounded_number() {
        for (value, expected) in [
            (0.0, "0.00"),
            (0.1234, "0.12"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (12.34, "12.3"),
            (99.94, "99.9"),
            (99.96, "100"),
            (999.4, "999"),
            (999.6, "1 000"),
            (-999.6, "-1 000"),
            (12_345.6, "12 346"),
            (999_999.4, "999 999"),
            (999_999.9, "1.00 M"),
            (2_500_000.0, "2.50 M"),
            (2_500_000_000.0, "2 500 M"),
        ] {
            assert_eq!(number(value), expected, "{value}");
        }
    }

    #[test]
    fn unit_follows_the_rounded_value() {
        for (value, expected) in [
            (0.0, "0s"),
            (0.05, "50µs"),
            (0.9996, "1ms"),
            (1.5, "1.5ms"),
            (-3.0, "-3ms"),
            (999.6, "1s"),
            (1_500.0, "1.5s"),
            (59_990.0, "1m"),
            (90_000.0, "1m 30s"),
        ] {
            assert_eq!(ms(value), expected, "{value}");
        }
        assert_eq!([bytes(150 << 20), bytes((1 << 30) - 1), bytes(3 << 29)], ["150 MiB", "1.0 GiB", "1.5 GiB"]);
        assert_eq!([change(999.4), change(999.6), change(-5.0), change(-0.3)], ["+999 %", "x 11.0", "-5 %", "+0 %"]);
        assert_eq!([with_unit(999.6, "ms"), with_unit(999.6, "MiB")], ["1s", "1 000 MiB"]);
    }

    #[test]
    fn axis_labels_are_powers_of_ten() {
        let labels = [power_of_ten_ms(-2), power_of_ten_ms(0), power_of_ten_ms(2), power_of_ten_ms(5)];
        assert_eq!(labels, ["10µs", "1ms", "100ms", "100s"]);
    }

    #[test]
    fn timestamp_has_no_fraction() {
        assert_eq!(timestamp("2026-11-25T01:39:21.855Z"), "2026-11-25 01:39:21 UTC");
        assert_eq!(timestamp("2026-11-25T01:39:21Z"), "2026-11-25 01:39:21 UTC");
    }
}
