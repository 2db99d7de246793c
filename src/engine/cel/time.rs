//! Timestamps and durations: conversions, fields and arithmetic. Fields of a timestamp are in UTC.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use super::value::Value;

/// The units of durations and their nanoseconds. A unit precedes the units that are a prefix of it.
const UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Parses a duration in the form of Go: a sign, and numbers with units, as in `-1h30m` or `1.5s`.
pub(super) fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let (name, factor) = UNITS.iter().find(|(name, _)| unit.starts_with(name))?;
        nanos += number.parse::<f64>().ok()? * factor;
        rest = &unit[name.len()..];
    }
    // A duration has 64 bits of nanoseconds, as in Go.
    (!text.is_empty() && nanos < i64::MAX as f64 && text != "-" && text != "+")
        .then(|| SignedDuration::from_nanos((sign * nanos).round() as i64))
}

/// The seconds of a duration as a decimal number with the unit.
pub(super) fn duration_text(duration: SignedDuration) -> String {
    format!("{}s", duration.as_secs_f64())
}

/// The value of a field of a timestamp or duration; `None` if it has no such field.
pub(super) fn field(function: &str, value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Timestamp(timestamp) => timestamp_field(function, TimeZone::UTC.to_datetime(*timestamp)),
        Value::Duration(duration) => duration_field(function, *duration),
        _ => None,
    }
}

fn timestamp_field(function: &str, time: DateTime) -> Option<i64> {
    Some(match function {
        "getFullYear" => time.year().into(),
        "getMonth" => i64::from(time.month()) - 1,
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDate" => time.day().into(),
        "getDayOfWeek" => time.weekday().to_sunday_zero_offset().into(),
        "getHours" => time.hour().into(),
        "getMinutes" => time.minute().into(),
        "getSeconds" => time.second().into(),
        "getMilliseconds" => time.millisecond().into(),
        _ => return None,
    })
}

/// The whole duration in the unit of the field.
fn duration_field(function: &str, duration: SignedDuration) -> Option<i64> {
    Some(match function {
        "getHours" => duration.as_hours(),
        "getMinutes" => duration.as_mins(),
        "getSeconds" => duration.as_secs(),
        "getMilliseconds" => i64::try_from(duration.as_millis()).ok()?,
        _ => return None,
    })
}

/// The sum of timestamps and durations; `None` for other values, `Some(None)` if the result is out of range.
pub(super) fn add<'a>(left: &Value<'a>, right: &Value<'a>) -> Option<Option<Value<'a>>> {
    Some(match (left, right) {
        (Value::Timestamp(timestamp), Value::Duration(by)) | (Value::Duration(by), Value::Timestamp(timestamp)) => {
            shift(*timestamp, *by)
        }
        (Value::Duration(a), Value::Duration(b)) => a.checked_add(*b).map(Value::Duration),
        _ => return None,
    })
}

/// The difference of timestamps and durations, like [`add`].
pub(super) fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Option<Option<Value<'a>>> {
    Some(match (left, right) {
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(Value::Duration(a.duration_since(*b))),
        (Value::Timestamp(timestamp), Value::Duration(by)) => by.checked_neg().and_then(|by| shift(*timestamp, by)),
        (Value::Duration(a), Value::Duration(b)) => a.checked_sub(*b).map(Value::Duration),
        _ => return None,
    })
}

fn shift<'a>(timestamp: Timestamp, by: SignedDuration) -> Option<Value<'a>> {
    timestamp.checked_add(by).ok().map(Value::Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_form_of_go() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("1h30m", Some(5_400_000_000_000)),
            ("-1.5s", Some(-1_500_000_000)),
            ("+2ms3us4ns", Some(2_003_004)),
            (".5s", Some(500_000_000)),
            ("", None),
            ("-", None),
            ("1", None),
            ("1d", None),
            ("h", None),
            ("1..5s", None),
            ("1s ", None),
            ("99999999999h", None),
        ] {
            assert_eq!(parse_duration(text).map(|duration| duration.as_nanos()), nanos, "{text}");
        }
        assert_eq!(parse_duration("1m1.5s").map(duration_text).as_deref(), Some("61.5s"));
    }
}
