//! Parsers of single arguments. Each error is the rule that the text violates.

use std::time::SystemTime;

use crate::{
    cli::output::parse_rfc3339,
    hatchet::{task::Priority, wire::RunStatus},
};

/// Parses a metadata pair.
pub(super) fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("write key=value"),
    }
}

/// Parses a status in any case.
pub(super) fn status(text: &str) -> Result<RunStatus, &'static str> {
    RunStatus::from_name(&text.to_ascii_uppercase())
        .ok_or("set it to queued, running, completed, failed, cancelled or evicted")
}

/// Parses a priority.
pub(super) fn priority(text: &str) -> Result<Priority, &'static str> {
    text.parse().ok().and_then(Priority::from_number).ok_or("set it to a number from 1 to 3")
}

/// Parses a number of rows.
pub(super) fn count(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| "set it to a whole number, such as 50")
}

/// Parses an RFC 3339 time.
pub(super) fn time(text: &str) -> Result<SystemTime, &'static str> {
    parse_rfc3339(text).ok_or("set it to a time in RFC 3339, such as 2030-01-31T09:00:00Z or 2030-01-31T09:00:00+01:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_is_parsed_or_its_rule_is_named() {
        assert_eq!(pair("k=a=b"), Ok(("k".to_owned(), "a=b".to_owned())));
        assert!(pair("k").is_err() && pair("=v").is_err());
        assert_eq!(status("Failed"), Ok(RunStatus::Failed));
        assert!(status("done").unwrap_err().contains("completed"));
        assert_eq!((priority("3"), priority("4").is_err()), (Ok(Priority::High), true));
        assert_eq!((count("0"), count("-1").is_err(), count("many").is_err()), (Ok(0), true, true));
        let nine = time("2030-01-31T09:00:00Z").unwrap();
        assert_eq!(time("2030-01-31T10:00:00+01:00"), Ok(nine));
        assert!(time("tomorrow").is_err());
    }
}
