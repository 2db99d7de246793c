//! Validates inputs, metadata, outputs and error texts.
//!
//! Payloads are stored byte for byte. The checks ensure that a payload can be embedded in the JSON that tasks receive,
//! and that it fits into the messages that carry it.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::error::Invalid;
use crate::hatchet::wire::has_nul;

/// Bytes reserved for the rest of a message around a payload: ids, names and the enclosing JSON.
const ENVELOPE: usize = 8192;

/// Replaces an error that is too large for a message; the text of a real engine.
pub(crate) const ERROR_TOO_LARGE: &str = "Error is too large to send over the Hatchet stream.";

/// Returns a run input: an object unchanged, any other JSON value as `null`.
pub(super) fn validate_input(text: &str, max_message: usize) -> Result<Arc<str>, Invalid> {
    Ok(parse_object(text, "payload", max_message)?.unwrap_or("null").into())
}

/// Returns metadata: an object unchanged, any other JSON value as an empty object.
pub(super) fn validate_metadata(text: Option<&str>, max_message: usize) -> Result<Arc<str>, Invalid> {
    Ok(parse_object(text.unwrap_or_default(), "additionalMetadata", max_message)?.unwrap_or("{}").into())
}

/// Returns the text of a JSON object without the space around it; `None` for an empty text or another JSON value.
fn parse_object<'a>(text: &'a str, field: &str, max_message: usize) -> Result<Option<&'a str>, Invalid> {
    if text.len() + ENVELOPE > max_message {
        return Err(Invalid::too_large(format!(
            "{field} of {} bytes is over the limit of {} (the largest message less its envelope): pass a reference \
             instead",
            text.len(),
            max_message.saturating_sub(ENVELOPE)
        )));
    }
    if text.is_empty() {
        return Ok(None);
    }
    let raw = parse_value(text, field).map_err(|error| Invalid::request(&error))?;
    Ok(Some(raw).filter(|raw| raw.starts_with('{')))
}

/// Returns the text of a JSON value without the space around it, unless a real engine could not store it.
fn parse_value<'a>(text: &'a str, field: &str) -> Result<&'a str, String> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| format!("invalid json in field `{field}`"))?;
    if has_nul(text) {
        return Err(format!("encoded jsonb contains invalid null character \\u0000 in field `{field}`"));
    }
    Ok(raw.get())
}

/// Whether a text is a JSON object that a real engine could store.
pub(super) fn is_object(text: &str) -> bool {
    parse_value(text, "").is_ok_and(|raw| raw.starts_with('{'))
}

/// Returns an output. If it is invalid, the task's attempt fails with the returned error.
pub(super) fn validate_output(text: &str, max_message: usize) -> Result<Arc<str>, String> {
    if text.len() + ENVELOPE > max_message {
        return Err(format!(
            "output of {} bytes is over the limit of {}: return a reference instead",
            text.len(),
            max_message.saturating_sub(ENVELOPE)
        ));
    }
    if !text.is_empty() {
        parse_value(text, "taskOutput")?;
    }
    Ok(text.into())
}

/// Returns a task's error text, replaced or escaped if it cannot be sent to clients.
pub(super) fn sendable_error_text(text: &str, max_message: usize) -> Arc<str> {
    if text.len() + ENVELOPE > max_message {
        ERROR_TOO_LARGE.into()
    } else if has_nul(text) && serde_json::from_str::<&RawValue>(text).is_ok() {
        // A real engine stores an error text that is JSON as JSON, and replaces it with this text if it has a NUL.
        "error message contains invalid null character \\u0000. Escape it or take it out.".into()
    } else if text.contains('\0') {
        text.replace('\0', "\\0").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::InvalidKind, *};

    const MAX: usize = 1 << 20;

    #[test]
    fn object_is_unchanged_and_other_input_is_null() {
        let checked = |text: &str| validate_input(text, MAX).map(|text| text.to_string()).map_err(|e| e.kind());
        let odd = r#"{"n":9007199254740993, "f":1.0,"é":"<>&","n":1}"#;
        assert_eq!(checked(&format!(" {odd}\n")), Ok(odd.into()));
        for other in ["", "[]", "\"x\"", "null", "1"] {
            assert_eq!(checked(other), Ok("null".into()), "{other}");
        }
        for bad in ["{", "nope", r#"{"a":"\u0000"}"#] {
            assert_eq!(checked(bad), Err(InvalidKind::Field), "{bad}");
        }
        assert_eq!(checked(&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX))), Err(InvalidKind::TooLarge));
        assert_eq!(&*validate_metadata(None, MAX).unwrap(), "{}");
        assert_eq!(&*validate_metadata(Some("[1]"), MAX).unwrap(), "{}");
    }

    #[test]
    fn output_must_be_json_that_fits_a_message() {
        assert_eq!(validate_output("", MAX).as_deref(), Ok(""));
        assert_eq!(validate_output("[1]", MAX).as_deref(), Ok("[1]"));
        assert_eq!(validate_output("{", MAX), Err("invalid json in field `taskOutput`".into()));
        assert!(validate_output(r#""\u0000""#, MAX).unwrap_err().contains("null character"));
        assert!(validate_output(&format!("\"{}\"", "x".repeat(MAX)), MAX).unwrap_err().contains("reference"));
    }

    proptest! {
        #[test]
        fn any_text_is_accepted_or_refused(text in ".*") {
            let _ = (validate_input(&text, MAX), validate_metadata(Some(&text), MAX), validate_output(&text, MAX));
        }
    }
}
