//! A parser of `.env` files with the grammar of python-dotenv, which the Python SDK uses.
//!
//! A statement is `[export] NAME=value`, optionally followed by a comment. A value in single or double quotes may span
//! lines; an unquoted value ends at the end of the line or at a `#` that follows a space. `${NAME}` and
//! `${NAME:-default}` are replaced in every value.
//!
//! Unlike in python-dotenv, a malformed statement affects its first line only: an unclosed quote does not swallow the
//! lines up to the next quote.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

/// Maximum size of a file in bytes. Files of settings have a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// The contents of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Env {
    /// Names and values in the file's order. The last value of a name applies.
    pub(super) values: Vec<(String, String)>,
    pub(super) malformed_lines: Vec<MalformedLine>,
}

/// A line that was skipped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MalformedLine {
    /// Counted from 1.
    pub(super) number: usize,
    /// Verb phrase. It does not quote the line, which may contain a secret.
    pub(super) reason: &'static str,
}

/// The reason why a file was skipped, as a verb phrase.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("is {0}, not a file")]
    NotAFile(&'static str),
    #[error("cannot be read: {0}")]
    Io(io::Error),
    #[error("is larger than {} KiB", MAX_BYTES >> 10)]
    TooLarge,
    #[error("is UTF-16 text; save it as UTF-8")]
    Utf16,
    #[error("contains a NUL byte in line {0}; remove it, or save the file as UTF-8 if it is UTF-16")]
    NulByte(usize),
}

/// Reads a file. `None` if it does not exist. `lookup` returns the variables of the process, for `${NAME}`.
///
/// Opens regular files only, since opening a named pipe blocks.
pub(super) fn read(path: &Path, lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Env>, Unreadable> {
    let kind = match fs::metadata(path) {
        Ok(found) if found.is_file() => None,
        Ok(found) if found.is_dir() => Some("a directory"),
        Ok(_) => Some("a pipe, socket or device"),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Unreadable::Io(e)),
        Err(_) if fs::symlink_metadata(path).is_ok() => Some("a symbolic link to nothing"),
        Err(_) => return Ok(None),
    };
    if let Some(kind) = kind {
        return Err(Unreadable::NotAFile(kind));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Unreadable::Io)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    // Some editors on Windows save UTF-16, with a byte order mark.
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Unreadable::Utf16);
    }
    if let Some(position) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Unreadable::NulByte(1 + bytes[..position].iter().filter(|byte| **byte == b'\n').count()));
    }
    Ok(Some(parse(&String::from_utf8_lossy(&bytes), lookup)))
}

/// Parses the text of a file.
fn parse(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Env {
    // As in Python's text mode, CRLF and CR are line ends too, also inside quotes.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut env = Env::default();
    let mut earlier: HashMap<String, String> = HashMap::new();
    let (mut rest, mut number) = (text.as_str(), 1);
    loop {
        let unparsed = rest.trim_start();
        number += count_lines(&rest[..rest.len() - unparsed.len()]);
        if unparsed.is_empty() {
            return env;
        }
        match parse_statement(unparsed) {
            Ok((statement, after)) => {
                if let Some((name, value)) = statement {
                    let value = value
                        .map(|value| interpolate(&value, |name| earlier.get(name).cloned().or_else(|| lookup(name))));
                    earlier.insert(name.to_owned(), value.clone().unwrap_or_default());
                    env.values.extend(value.map(|value| (name.to_owned(), value)));
                }
                number += count_lines(&unparsed[..unparsed.len() - after.len()]);
                rest = after;
            }
            Err(reason) => {
                env.malformed_lines.push(MalformedLine { number, reason });
                // The line end remains: it is counted with the white space before the next statement.
                rest = unparsed.find('\n').map_or("", |end| &unparsed[end..]);
            }
        }
    }
}

fn count_lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// A name and its value. `None` for a comment; a name alone has no value.
type Statement<'a> = Option<(&'a str, Option<String>)>;

/// Parses one statement up to the end of its line. The rest starts with the line end.
fn parse_statement(text: &str) -> Result<(Statement<'_>, &str), &'static str> {
    if text.starts_with('#') {
        return Ok((None, skip_to_line_end(text)?));
    }
    let (name, rest) = parse_name(skip_export(text))?;
    let rest = skip_blanks(rest);
    let (value, rest) = match rest.strip_prefix('=') {
        None => (None, rest),
        Some(rest) => {
            let (value, rest) = parse_value(rest)?;
            (Some(value), rest)
        }
    };
    let after = skip_to_line_end(rest)?;
    // The replacement for bytes that are not UTF-8.
    if text[..text.len() - after.len()].contains('\u{fffd}') {
        return Err("is not UTF-8 text");
    }
    Ok((Some((name, value)), after))
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches(|c: char| c != '\n' && c.is_whitespace())
}

fn skip_export(text: &str) -> &str {
    match text.strip_prefix("export") {
        Some(rest) if skip_blanks(rest).len() < rest.len() => skip_blanks(rest),
        _ => text,
    }
}

fn parse_name(text: &str) -> Result<(&str, &str), &'static str> {
    const NO_NAME: &str = "is not NAME=value";
    if let Some(quoted) = text.strip_prefix('\'') {
        return quoted.split_once('\'').filter(|(name, _)| !name.is_empty()).ok_or(NO_NAME);
    }
    let end = text.find(|c: char| matches!(c, '=' | '#') || c.is_whitespace()).unwrap_or(text.len());
    if end == 0 { Err(NO_NAME) } else { Ok(text.split_at(end)) }
}

/// Parses the value after the `=`.
fn parse_value(text: &str) -> Result<(String, &str), &'static str> {
    let value = skip_blanks(text);
    match value.chars().next() {
        Some(quote @ ('\'' | '"')) => parse_quoted(&value[1..], quote).ok_or("has a quote that does not close"),
        // A comment must follow a space.
        Some('#') if value.len() < text.len() => Ok((String::new(), value)),
        _ => {
            let (line, rest) = value.split_at(value.find('\n').unwrap_or(value.len()));
            Ok((strip_comment(line).trim_end().to_owned(), rest))
        }
    }
}

/// Removes a comment: a `#` that follows a space, up to the end of the line.
fn strip_comment(line: &str) -> &str {
    let comment = line
        .match_indices('#')
        .find(|(position, _)| line[..*position].chars().next_back().is_some_and(char::is_whitespace));
    comment.map_or(line, |(position, _)| &line[..position])
}

/// Parses up to the closing quote. A backslash escapes the next character.
fn parse_quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '\\' => {
                let escaped = rest.next()?;
                match unescape(escaped, quote) {
                    Some(c) => value.push(c),
                    None => value.extend(['\\', escaped]),
                }
            }
            c if c == quote => return Some((value, rest.as_str())),
            c => value.push(c),
        }
    }
}

/// The character that an escape sequence represents. `None` if the backslash is literal.
fn unescape(escaped: char, quote: char) -> Option<char> {
    match escaped {
        '\\' | '\'' => Some(escaped),
        _ if quote == '\'' => None,
        '"' => Some('"'),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        _ => None,
    }
}

/// Skips blanks and a comment. Any other text before the end of the line is an error.
fn skip_to_line_end(text: &str) -> Result<&str, &'static str> {
    let rest = skip_blanks(text);
    let end = rest.find('\n').unwrap_or(rest.len());
    if end == 0 || rest.starts_with('#') { Ok(&rest[end..]) } else { Err("is not NAME=value") }
}

/// Replaces `${NAME}` and `${NAME:-default}`. A variable that is not set and has no default is empty.
fn interpolate(value: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut result = String::new();
    let mut rest = value;
    while let Some(position) = rest.find("${") {
        let (before, variable) = rest.split_at(position);
        result.push_str(before);
        match parse_reference(&variable[2..]) {
            Some((name, default, after)) => {
                result.push_str(&lookup(name).unwrap_or_else(|| default.to_owned()));
                rest = after;
            }
            // Without any closing brace, no later reference can be complete.
            None if !variable.contains('}') => return result + variable,
            None => {
                result.push_str("${");
                rest = &variable[2..];
            }
        }
    }
    result + rest
}

/// Parses a variable's name and default up to the closing brace, and returns them with the rest.
fn parse_reference(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_at(text.find([':', '}'])?);
    let (default, after) = match rest.strip_prefix(":-") {
        Some(rest) => rest.split_once('}')?,
        None => ("", rest.strip_prefix('}')?),
    };
    Some((name, default, after))
}

#[cfg(test)]
mod tests;
