//! Formats times relative to now.

use std::time::{Duration, SystemTime};

/// Formats an RFC 3339 time relative to now, such as `5m ago` or `in 2h`. Returns the text if it is not a time, and `-`
/// without a text.
pub(in crate::cli) fn relative_time(time: Option<&str>) -> String {
    let Some(text) = time.filter(|text| !text.is_empty()) else { return "-".to_owned() };
    match parse_rfc3339(text) {
        Some(time) => relative(time, SystemTime::now()),
        None => text.to_owned(),
    }
}

/// Parses an RFC 3339 time.
pub(in crate::cli) fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    text.parse::<prost_types::Timestamp>().ok()?.try_into().ok()
}

fn relative(time: SystemTime, now: SystemTime) -> String {
    match now.duration_since(time) {
        // The clocks of the engine and of this machine differ slightly.
        Ok(ago) if ago < Duration::from_secs(1) => "now".to_owned(),
        Ok(ago) => format!("{} ago", in_one_unit(ago)),
        Err(ahead) if ahead.duration() < Duration::from_secs(1) => "now".to_owned(),
        Err(ahead) => format!("in {}", in_one_unit(ahead.duration())),
    }
}

/// A duration in its largest unit, rounded to the nearest number.
fn in_one_unit(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let rounded = |unit: u64| (seconds + unit / 2) / unit;
    match seconds {
        ..60 => format!("{seconds}s"),
        _ if rounded(60) < 60 => format!("{}m", rounded(60)),
        _ if rounded(3600) < 24 => format!("{}h", rounded(3600)),
        _ => format!("{}d", rounded(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_relative_in_one_unit() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (seconds, past, future) in [
            (0, "now", "now"),
            (59, "59s ago", "in 59s"),
            (89, "1m ago", "in 1m"),
            (3_599, "1h ago", "in 1h"),
            (7_199, "2h ago", "in 2h"),
            (86_399, "1d ago", "in 1d"),
            (86_400 * 9, "9d ago", "in 9d"),
        ] {
            let difference = Duration::from_secs(seconds);
            assert_eq!(
                (relative(now - difference, now), relative(now + difference, now)),
                (past.into(), future.into())
            );
        }
        assert_eq!((relative_time(None), relative_time(Some("soon"))), ("-".into(), "soon".into()));
        assert_eq!(parse_rfc3339("1970-01-12T13:46:40Z"), Some(now));
    }
}
