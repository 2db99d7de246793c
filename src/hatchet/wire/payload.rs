//! Checks of JSON payloads before they are sent to an engine.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// A payload that a Hatchet engine would refuse or silently replace with `null`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPayload {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// It is JSON but not an object. Engines store only objects.
    #[error("a JSON {0}, but Hatchet stores only objects: wrap it, such as {{\"value\": …}}")]
    NotAnObject(&'static str),
    /// It contains the character U+0000, which the engine's database cannot store.
    #[error("JSON with the NUL character \\u0000, which Hatchet cannot store: remove it")]
    Nul,
}

/// Whether a JSON text contains the character U+0000 in a string or a key, which JSON represents only by the escape
/// `\u0000`. The text `\\u0000` is an escaped backslash instead.
pub fn has_nul(json: &str) -> bool {
    let mut rest = json;
    while let Some(position) = rest.find("\\u0000") {
        let backslashes = rest[..position].bytes().rev().take_while(|b| *b == b'\\').count();
        if backslashes.is_multiple_of(2) {
            return true;
        }
        rest = &rest[position + 1..];
    }
    false
}

/// Checks that a text is a JSON object that an engine can store.
pub fn check_object(json: &str) -> Result<(), BadPayload> {
    let raw: &RawValue = serde_json::from_str(json).map_err(|e| BadPayload::NotJson(e.to_string()))?;
    match raw.get().as_bytes().first() {
        Some(b'{') => {}
        Some(b'[') => return Err(BadPayload::NotAnObject("array")),
        Some(b'"') => return Err(BadPayload::NotAnObject("string")),
        Some(b't' | b'f') => return Err(BadPayload::NotAnObject("boolean")),
        Some(b'n') => return Err(BadPayload::NotAnObject("null")),
        _ => return Err(BadPayload::NotAnObject("number")),
    }
    if has_nul(json) { Err(BadPayload::Nul) } else { Ok(()) }
}

/// Returns the text of a JSON object with sorted keys and without spaces. Equal objects have equal texts. The text of
/// another value is that of the empty object.
pub(crate) fn canonical_object(json: &str) -> String {
    match serde_json::from_str(json) {
        Ok(mut object @ Value::Object(_)) => {
            object.sort_all_objects();
            object.to_string()
        }
        Ok(_) | Err(_) => "{}".to_owned(),
    }
}

/// Whether the output of a task, as JSON, marks a skipped task: `{"skipped": true}`. A task can also report such an
/// output itself.
pub fn is_skipped(output: &str) -> bool {
    #[derive(Deserialize)]
    struct Output {
        skipped: bool,
    }

    // Avoids parsing most outputs.
    output.contains("\"skipped\"") && serde_json::from_str(output).is_ok_and(|output: Output| output.skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_storable_objects_pass() {
        assert_eq!(check_object(" {\"a\": [1]} "), Ok(()));
        assert!(matches!(check_object("{"), Err(BadPayload::NotJson(_))));
        for (json, kind) in
            [("[]", "array"), ("\"x\"", "string"), ("null", "null"), ("7", "number"), ("true", "boolean")]
        {
            assert_eq!(check_object(json), Err(BadPayload::NotAnObject(kind)));
        }
        assert_eq!(check_object(r#"{"a":"x\u0000"}"#), Err(BadPayload::Nul));
        assert_eq!(check_object(r#"{"a":"x\\u0000"}"#), Ok(()), "an escaped backslash, then plain text");
    }

    #[test]
    fn equal_objects_have_the_same_canonical_text() {
        let canonical = canonical_object(r#"{ "b": {"y": 1, "x": [2, 1]}, "a": "\u0062" }"#);
        assert_eq!(canonical, r#"{"a":"b","b":{"x":[2,1],"y":1}}"#);
        assert_eq!(canonical_object(&canonical), canonical);
        assert_eq!((canonical_object("[1]"), canonical_object("{")), ("{}".to_owned(), "{}".to_owned()));
    }

    proptest! {
        #[test]
        fn nul_is_found_exactly_if_present(text in "[\\\\u0\\x00a]{0,12}") {
            let json = serde_json::json!({ "k": text }).to_string();
            prop_assert_eq!(has_nul(&json), text.contains('\0'));
        }
    }
}
