//! The error text of a failed attempt, in the format of the official SDKs.
//!
//! The first line is `Type: message`. A newline inside the message is written as backslash and newline, as in the
//! Python SDK, whose parser reads the first line as the message. Details follow, such as causes and a traceback. This
//! library adds a last line with the task and the attempt.

use std::{borrow::Cow, fmt};

/// Separator between the task and the attempt's number in the last line.
const ATTEMPT: &str = ", attempt ";
const IN_TASK: &str = "    in task ";

/// Formats the first line of an error text.
pub fn failure_text(type_name: &str, message: &str) -> String {
    format!("{type_name}: {}", message.replace('\n', "\\\n"))
}

/// Adds a last line that names the task and the attempt, counted from 1.
pub fn with_attempt(text: &str, task: &str, attempt: u32) -> String {
    format!("{text}\n{IN_TASK}{task}{ATTEMPT}{attempt}")
}

/// The parts of an error text that any SDK has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The error's type, such as `ParseIntError`. `None` if the text does not start with a type.
    pub type_name: Option<&'a str>,
    /// The message without the type and the details.
    pub message: Cow<'a, str>,
    /// The number of the attempt, counted from 1. `None` if the text does not contain it.
    pub attempt: Option<u32>,
}

impl<'a> Failure<'a> {
    /// Parses an error text. Any text is valid: without the format, it is all message.
    pub fn parse(text: &'a str) -> Self {
        let end = text
            .match_indices('\n')
            .map(|(index, _)| index)
            .find(|index| !text[..*index].ends_with('\\'))
            .unwrap_or(text.len());
        let first = &text[..end];
        let is_type = |name: &str| {
            name.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
        };
        let (type_name, message) = match first.split_once(": ") {
            Some((name, message)) if is_type(name) => (Some(name), message),
            _ => (None, first),
        };
        let message =
            if message.contains("\\\n") { Cow::Owned(message.replace("\\\n", "\n")) } else { Cow::Borrowed(message) };
        let last = text.rsplit_once('\n').map(|(_, line)| line).filter(|line| line.starts_with(IN_TASK));
        let attempt = last.and_then(|line| line.rsplit_once(ATTEMPT)?.1.parse().ok());
        Self { type_name, message, attempt }
    }
}

impl fmt::Display for Failure<'_> {
    /// Type and message in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(type_name) = self.type_name {
            write!(f, "{type_name}: ")?;
        }
        f.write_str(&self.message.replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatted_text_is_parsed_back() {
        let text = with_attempt(&(failure_text("Broken", "two\nlines: x") + "\nCaused by:\n    y"), "t", 3);
        assert_eq!(text, "Broken: two\\\nlines: x\nCaused by:\n    y\n    in task t, attempt 3");
        let failure = Failure { type_name: Some("Broken"), message: "two\nlines: x".into(), attempt: Some(3) };
        assert_eq!(Failure::parse(&text), failure);
    }

    #[test]
    fn text_of_other_sdks_is_parsed() {
        for (text, type_name, message) in [
            ("ValueError: bad\nTraceback:\n  x", Some("ValueError"), "bad"),
            ("Task exceeded timeout of 3s", None, "Task exceeded timeout of 3s"),
            ("no such file: a.txt", None, "no such file: a.txt"),
            ("", None, ""),
            ("\n", None, ""),
        ] {
            assert_eq!(Failure::parse(text), Failure { type_name, message: message.into(), attempt: None }, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed(text in ".*", attempt in 1u32..) {
            Failure::parse(&text);
            let formatted = with_attempt(&failure_text("T", &text), "t", attempt);
            proptest::prop_assert_eq!(Failure::parse(&formatted).attempt, Some(attempt));
        }
    }
}
