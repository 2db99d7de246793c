//! Query strings. Repeated keys form lists.

use std::str::FromStr;

use super::ApiError;
use crate::{
    engine::{
        state::{RunFilter, Timestamp},
        validate::filter::parse_metadata_pair,
    },
    hatchet::wire::excerpt,
};

/// The decoded pairs of a query string.
pub(crate) fn pairs(query: Option<&str>) -> impl Iterator<Item = (String, String)> {
    query.unwrap_or_default().split('&').filter(|part| !part.is_empty()).map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(key), decode(value))
    })
}

/// Decodes percent-encoding; malformed sequences stay as they are.
fn decode(text: &str) -> String {
    let (bytes, mut out, mut index) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(index) {
        let hex = text.get(index + 1..index + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                index += 2;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
        index += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Parses a value.
pub(crate) fn parse<T: FromStr>(key: &str, value: &str) -> Result<T, ApiError> {
    value.parse().map_err(|_| ApiError::bad_request(format!("invalid {key} `{}`", excerpt(value))))
}

/// Parses a time in RFC 3339.
pub(crate) fn time(key: &str, value: &str) -> Result<Timestamp, ApiError> {
    let time: prost_types::Timestamp = value.parse().map_err(|_| {
        ApiError::bad_request(format!("invalid {key} `{}`: write a time as 2026-01-31T00:00:00Z", excerpt(value)))
    })?;
    Ok(Timestamp::from_wire(&time))
}

/// Parses a parameter that filters runs; refuses an unknown parameter.
pub(crate) fn run_filter(filter: &mut RunFilter, key: &str, value: &str) -> Result<(), ApiError> {
    match key {
        "since" => filter.since = Some(time(key, value)?),
        "until" => filter.until = Some(time(key, value)?),
        "workflow_ids" => filter.workflows.push(parse(key, value)?),
        "additional_metadata" => filter.metadata.add(parse_metadata_pair(value)?),
        "parent_task_external_id" => filter.parent = Some(parse(key, value)?),
        "triggering_event_external_id" => filter.event = Some(parse(key, value)?),
        other => return Err(unknown(other)),
    }
    Ok(())
}

/// The error of an unknown parameter.
pub(crate) fn unknown(key: &str) -> ApiError {
    ApiError::bad_request(format!("unknown parameter {}: this engine cannot filter by it", excerpt(key)))
}
