//! Formats numbers, times and sizes for readers.

/// A number with three significant digits, and a space between thousands.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{:.2} M", value / 1e6),
        v if v >= 1000.0 => {
            let whole = format!("{value:.0}");
            let thousands = whole.len() - 3;
            format!("{} {}", &whole[..thousands], &whole[thousands..])
        }
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Milliseconds, in µs, ms, s or min.
pub(super) fn ms(value: f64) -> String {
    match value.abs() {
        v if v >= 60_000.0 => format!("{} min", number(value / 60_000.0)),
        v if v >= 1_000.0 => format!("{} s", number(value / 1_000.0)),
        v if v >= 1.0 || v == 0.0 => format!("{} ms", number(value)),
        _ => format!("{} µs", number(value * 1e3)),
    }
}

/// A value with its unit. Milliseconds are shown in the unit that fits the value.
pub(super) fn with_unit(value: f64, unit: &str) -> String {
    if unit == "ms" { ms(value) } else { format!("{} {unit}", number(value)) }
}

/// The label of 10^`power` milliseconds on an axis.
pub(super) fn power_of_ten_ms(power: i32) -> String {
    match power {
        3.. => format!("{} s", 10_i64.saturating_pow(power.unsigned_abs() - 3)),
        0..3 => format!("{} ms", 10_i64.pow(power.unsigned_abs())),
        _ => format!("{} µs", 10_f64.powi(power + 3)),
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
    if mib >= 1024.0 { format!("{:.1} GiB", mib / 1024.0) } else { format!("{mib:.0} MiB") }
}

/// A change in per cent. Changes of 1,000 % and more are shown as a factor.
pub(super) fn change(percent: f64) -> String {
    if percent.abs() < 1000.0 { format!("{percent:+.0} %") } else { format!("x {}", number(percent / 100.0 + 1.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        let shown = [number(0.1234), number(12.34), number(999.0), number(12_345.6), number(2_500_000.0)];
        assert_eq!(shown, ["0.12", "12.3", "999", "12 346", "2.50 M"]);
        assert_eq!(bytes(150 << 20), "150 MiB");
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        let shown = [ms(0.05), ms(1.5), ms(1_500.0), ms(90_000.0), ms(-3.0)];
        assert_eq!(shown, ["50.0 µs", "1.50 ms", "1.50 s", "1.50 min", "-3.00 ms"]);
        let labels = [power_of_ten_ms(-2), power_of_ten_ms(0), power_of_ten_ms(2), power_of_ten_ms(5)];
        assert_eq!(labels, ["10 µs", "1 ms", "100 ms", "100 s"]);
    }

    #[test]
    fn timestamp_has_no_fraction() {
        assert_eq!(timestamp("2026-11-25T01:39:21.855Z"), "2026-11-25 01:39:21 UTC");
        assert_eq!(timestamp("2026-11-25T01:39:21Z"), "2026-11-25 01:39:21 UTC");
    }
}
