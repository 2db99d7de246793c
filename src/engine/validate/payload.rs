//! Checks of what comes in, with the words of a real engine where clients may know them.

use std::sync::Arc;

use serde_json::value::RawValue;
use tonic::Status;

use crate::hatchet::wire::{RunId, RunStatus, WorkerId, has_nul};

/// What is around a payload in the largest message it is sent in: ids, names, the wrapping JSON.
const ENVELOPE: usize = 8192;

/// An input as tasks get it: an object byte for byte, anything else `null`.
pub(in crate::engine) fn input(text: &str, max_message: usize) -> Result<Arc<str>, Status> {
    Ok(object(text, "payload", max_message)?.unwrap_or("null").into())
}

/// Metadata: an object byte for byte, anything else empty.
pub(in crate::engine) fn metadata(text: Option<&str>, max_message: usize) -> Result<Arc<str>, Status> {
    Ok(object(text.unwrap_or_default(), "additionalMetadata", max_message)?.unwrap_or("{}").into())
}

/// JSON text, as far as it is an object.
fn object<'a>(text: &'a str, field: &str, max_message: usize) -> Result<Option<&'a str>, Status> {
    if text.len() + ENVELOPE > max_message {
        return Err(Status::resource_exhausted(format!(
            "{field} of {} bytes: the limit is {} (message size less the envelope); pass a reference instead",
            text.len(),
            max_message.saturating_sub(ENVELOPE)
        )));
    }
    if text.is_empty() {
        return Ok(None);
    }
    let raw = json(text, field).map_err(|e| Status::invalid_argument(format!("Invalid request: {e}")))?;
    Ok(Some(raw).filter(|raw| raw.starts_with('{')))
}

/// JSON text without the space around it, or why it cannot be kept.
fn json<'a>(text: &'a str, field: &str) -> Result<&'a str, String> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| format!("invalid json in field `{field}`"))?;
    if has_nul(text) {
        return Err(format!("encoded jsonb contains invalid null character \\u0000 in field `{field}`"));
    }
    Ok(raw.get())
}

/// An output, or the error that its task ends with instead.
pub(in crate::engine) fn output(text: &str, max_message: usize) -> Result<Arc<str>, String> {
    if text.len() + ENVELOPE > max_message {
        return Err(format!(
            "the output has {} bytes, more than the {} that can be sent on: return a reference instead",
            text.len(),
            max_message.saturating_sub(ENVELOPE)
        ));
    }
    if !text.is_empty() {
        json(text, "taskOutput")?;
    }
    Ok(text.into())
}

/// An error text as it can be sent on.
pub(in crate::engine) fn error(text: &str, max_message: usize) -> Arc<str> {
    if text.len() + ENVELOPE > max_message {
        "Error is too large to send over the Hatchet stream.".into()
    } else if has_nul(text) && serde_json::from_str::<&RawValue>(text).is_ok() {
        // A real engine keeps error texts as JSON where they are that, and says this.
        "error message contains invalid null character \\u0000. Escape it or take it out.".into()
    } else if text.contains('\0') {
        text.replace('\0', "\\0").into()
    } else {
        text.into()
    }
}

/// A priority, if there is one.
pub(in crate::engine) fn priority(given: Option<i32>) -> Result<Option<i32>, Status> {
    match given {
        Some(n) if !(1..=3).contains(&n) => {
            Err(Status::invalid_argument(format!("Invalid request: priority must be between 1 and 3, got {n}")))
        }
        fine => Ok(fine),
    }
}

/// A worker's id.
pub(in crate::engine) fn worker_id(text: &str) -> Result<WorkerId, Status> {
    text.parse().map_err(|_| Status::invalid_argument(format!("invalid worker ID format: {}", brief(text))))
}

/// A task run's id in a step event.
pub(in crate::engine) fn step_id(text: &str) -> Result<RunId, Status> {
    text.parse().map_err(|_| {
        Status::invalid_argument(format!("invalid task external run id {}: it is not a UUID", brief(text)))
    })
}

/// A task run's id anywhere else.
pub(in crate::engine) fn task_id(text: &str) -> Result<RunId, Status> {
    text.parse().map_err(|_| Status::invalid_argument("task external run id is not a valid uuid"))
}

/// `key:value`, as metadata filters are written.
pub(in crate::engine) fn metadata_pair(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once(':').ok_or_else(|| format!("invalid additional metadata filter: {}", brief(text)))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A status as filters write it.
pub(in crate::engine) fn status_word(text: &str) -> Result<RunStatus, String> {
    match text {
        "QUEUED" => Ok(RunStatus::Queued),
        "RUNNING" => Ok(RunStatus::Running),
        "COMPLETED" => Ok(RunStatus::Completed),
        "FAILED" => Ok(RunStatus::Failed),
        "CANCELLED" => Ok(RunStatus::Cancelled),
        "EVICTED" => Ok(RunStatus::Evicted),
        other => Err(format!(
            "invalid status {}: use QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED or EVICTED",
            brief(other)
        )),
    }
}

/// As much of a text as fits an error: a long one would break the client, whose headers are limited.
pub(in crate::engine) fn brief(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1 << 20;

    #[test]
    fn objects_are_kept_byte_for_byte_and_the_rest_is_null() {
        let kept = |text: &str| input(text, MAX).map(|kept| kept.to_string()).map_err(|e| e.code());
        let odd = r#"{"n":9007199254740993, "f":1.0,"é":"<>&","n":1}"#;
        assert_eq!(kept(&format!(" {odd}\n")), Ok(odd.into()));
        for other in ["", "[]", "\"x\"", "null", "1"] {
            assert_eq!(kept(other), Ok("null".into()), "{other}");
        }
        for bad in ["{", "nope", r#"{"a":"\u0000"}"#] {
            assert_eq!(kept(bad), Err(tonic::Code::InvalidArgument), "{bad}");
        }
        assert_eq!(kept(&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX))), Err(tonic::Code::ResourceExhausted));
        assert_eq!(&*metadata(None, MAX).unwrap(), "{}");
        assert_eq!(&*metadata(Some("[1]"), MAX).unwrap(), "{}");
    }

    #[test]
    fn outputs() {
        assert_eq!(output("", MAX).as_deref(), Ok(""));
        assert_eq!(output("[1]", MAX).as_deref(), Ok("[1]"));
        assert_eq!(output("{", MAX), Err("invalid json in field `taskOutput`".into()));
        assert!(output(r#""\u0000""#, MAX).unwrap_err().contains("null character"));
        assert!(output(&format!("\"{}\"", "x".repeat(MAX)), MAX).unwrap_err().contains("reference"));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".*") {
            let _ = (input(&text, MAX), metadata(Some(&text), MAX), output(&text, MAX), metadata_pair(&text));
        }
    }
}
