//! Splits a text into tokens.

use std::{iter::Peekable, str::CharIndices};

/// A token of a CEL expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// An integer without a sign, which is an operator.
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// The signs, longer signs first.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "+", "-", "*", "/", "%", "<",
    ">", "!",
];

/// Splits a text into tokens, each with the byte at which it begins. The last token is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let mut all = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let rest = &text[start..];
        if matches!(first, ' ' | '\t' | '\n' | '\r' | '\x0c') {
            start += 1;
        } else if rest.starts_with("//") {
            start += rest.find('\n').unwrap_or(rest.len());
        } else {
            let (token, length) =
                token(rest, first).map_err(|reason| format!("{reason} at {}", position(text, start)))?;
            all.push((start, token));
            start += length;
        }
    }
    all.push((start, Token::End));
    Ok(all)
}

/// Formats the line and column of a byte, for errors.
pub(super) fn position(text: &str, byte: usize) -> String {
    let before = &text[..byte];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

/// Reads the first token. Returns its length in bytes, too.
fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
    if let Some(opened) = opening(rest) {
        return quoted(rest, opened);
    }
    if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
        return number(rest);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        return Ok((Token::Name(rest[..end].to_owned()), end));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(sign) => Ok((Token::Sign(sign), sign.len())),
        None => Err(format!("unexpected character `{}`", first.escape_default())),
    }
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    let digits = |from: usize| rest[from..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |n| from + n);
    let bad = |end: usize| format!("number `{}` is out of range", &rest[..end.min(40)]);
    if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let length = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let value = u64::from_str_radix(&hex[..length], 16).map_err(|_| bad(length + 2))?;
        return Ok(unsigned(rest, length + 2, value));
    }
    let mut end = digits(0);
    let mut whole = true;
    if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        (end, whole) = (digits(end + 1), false);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        if rest[end + 1 + sign..].starts_with(|c: char| c.is_ascii_digit()) {
            (end, whole) = (digits(end + 1 + sign), false);
        }
    }
    if whole {
        return Ok(unsigned(rest, end, rest[..end].parse().map_err(|_| bad(end))?));
    }
    Ok((Token::Double(rest[..end].parse().map_err(|_| bad(end))?), end))
}

/// Returns the token of an integer, which the suffix `u` makes unsigned.
fn unsigned(rest: &str, end: usize, value: u64) -> (Token, usize) {
    if rest[end..].starts_with(['u', 'U']) { (Token::Uint(value), end + 1) } else { (Token::Int(value), end) }
}

/// The beginning of a string literal.
struct Opening {
    raw: bool,
    /// Bytes before the content.
    length: usize,
    quote: &'static str,
}

fn opening(rest: &str) -> Option<Opening> {
    let raw = rest.starts_with(['r', 'R']);
    let from = usize::from(raw);
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest[from..].starts_with(quote))?;
    Some(Opening { raw, length: from + quote.len(), quote })
}

fn quoted(rest: &str, Opening { raw, length, quote }: Opening) -> Result<(Token, usize), String> {
    let mut value = String::new();
    let mut chars = rest[length..].char_indices().peekable();
    while let Some((index, c)) = chars.next() {
        if rest[length + index..].starts_with(quote) {
            return Ok((Token::Text(value), length + index + quote.len()));
        }
        match c {
            '\\' if !raw => value.push(escape(&mut chars)?),
            '\n' | '\r' if quote.len() == 1 => break,
            other => value.push(other),
        }
    }
    Err("unterminated string".to_owned())
}

/// Reads an escape sequence whose backslash has been consumed.
fn escape(chars: &mut Peekable<CharIndices<'_>>) -> Result<char, String> {
    let (_, c) = chars.next().ok_or("unterminated string")?;
    match c {
        'a' => Ok('\x07'),
        'b' => Ok('\x08'),
        'f' => Ok('\x0c'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        'v' => Ok('\x0b'),
        '\\' | '?' | '"' | '\'' | '`' => Ok(c),
        'x' | 'X' => code(chars, 2, 16, 0),
        'u' => code(chars, 4, 16, 0),
        'U' => code(chars, 8, 16, 0),
        '0'..='3' => code(chars, 2, 8, c as u32 - '0' as u32),
        other => Err(format!("unknown escape `\\{}`", other.escape_default())),
    }
}

/// Reads the number of a character with this number of further digits; `read` is the value of the digits that have been
/// consumed.
fn code(chars: &mut Peekable<CharIndices<'_>>, digits: u32, radix: u32, read: u32) -> Result<char, String> {
    let mut number = read;
    for _ in 0..digits {
        let digit = chars.next().and_then(|(_, c)| c.to_digit(radix)).ok_or("an escape has too few digits")?;
        number = number.wrapping_mul(radix).wrapping_add(digit);
    }
    char::from_u32(number).ok_or_else(|| "an escape does not name a character".to_owned())
}
