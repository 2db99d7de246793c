//! Colors, and the rules that decide about them.
//!
//! The help and the usage errors of clap have no colors: clap is built without them.

use std::{ffi::OsString, fmt::Display, io::IsTerminal};

/// A style of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Style {
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
    Cyan,
}

impl Style {
    /// The parameter of the escape sequence (ECMA-48, SGR).
    fn code(self) -> u8 {
        match self {
            Self::Dim => 2,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Cyan => 36,
        }
    }
}

/// Whether output to a stream has colors.
///
/// By precedence: a non-empty `NO_COLOR` turns colors off; `CLICOLOR_FORCE` turns them on, unless it is `0`; a stream
/// that is not a terminal, `CLICOLOR=0` and `TERM=dumb` turn them off.
pub(in crate::cli) fn color_enabled(stream: &impl IsTerminal) -> bool {
    decide(|name| std::env::var_os(name), stream.is_terminal())
}

/// Whether `TERM` names a terminal that interprets no escape sequences.
pub(super) fn is_dumb_terminal() -> bool {
    is_dumb(std::env::var_os("TERM"))
}

fn is_dumb(term: Option<OsString>) -> bool {
    term.is_some_and(|term| term == "dumb")
}

fn decide(variable: impl Fn(&str) -> Option<OsString>, is_terminal: bool) -> bool {
    let value = |name| variable(name).filter(|value| !value.is_empty());
    if value("NO_COLOR").is_some() {
        return false;
    }
    if value("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    is_terminal && value("CLICOLOR").is_none_or(|value| value != "0") && !is_dumb(variable("TERM"))
}

/// Formats a text in a style; unchanged if `enabled` is false.
pub(in crate::cli) fn paint(text: impl Display, style: Style, enabled: bool) -> String {
    if enabled { format!("\x1b[{}m{text}\x1b[0m", style.code()) } else { text.to_string() }
}

/// Escapes control characters, which could change the terminal. Continuation lines are indented.
pub(in crate::cli) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => printable.push_str("\n    "),
            '\t' => printable.push('\t'),
            control if control.is_control() => printable.extend(control.escape_default()),
            other => printable.push(other),
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_decides_about_colors() {
        let decide = |pairs: &[(&str, &str)], is_terminal| {
            let value = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
            decide(value, is_terminal)
        };
        for (pairs, on_terminal, elsewhere) in [
            (&[][..], true, false),
            (&[("NO_COLOR", "1")], false, false),
            (&[("NO_COLOR", "")], true, false),
            (&[("CLICOLOR", "0")], false, false),
            (&[("CLICOLOR", "1")], true, false),
            (&[("CLICOLOR_FORCE", "1")], true, true),
            (&[("CLICOLOR_FORCE", "0")], true, false),
            (&[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], true, true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
            (&[("TERM", "dumb")], false, false),
            (&[("TERM", "xterm")], true, false),
        ] {
            assert_eq!((decide(pairs, true), decide(pairs, false)), (on_terminal, elsewhere), "{pairs:?}");
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\x1b[31m\r\tb\nc é"), "a\\u{1b}[31m\\r\tb\n    c é");
    }
}
