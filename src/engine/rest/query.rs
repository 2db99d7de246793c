//! Query strings: arrays come as repeated keys, and what cannot be asked is refused rather than passed over.

use std::str::FromStr;

use crate::engine::state::Timestamp;

/// The pairs of a query string, decoded.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(key), decode(value))
    })
}

/// Undoes percent-encoding; what is not well encoded stays as it is.
fn decode(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|two| u8::from_str_radix(two, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A value, or which one is none.
pub(super) fn read<T: FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{}` is no value for {key}", value.chars().take(80).collect::<String>()))
}

/// A time as RFC 3339 writes it.
pub(super) fn time(key: &str, value: &str) -> Result<Timestamp, String> {
    read::<prost_types::Timestamp>(key, value).map(|at| Timestamp::from_wire(&at))
}

/// Refuses a key.
pub(super) fn unknown(key: &str) -> String {
    format!("this engine cannot filter by {}", key.chars().take(80).collect::<String>())
}
