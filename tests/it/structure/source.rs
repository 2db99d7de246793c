//! Reads the source files of `src` as tokens, without comments, literals and test code.

use std::path::{Path, PathBuf};

/// A token. Literals, numbers and lifetimes are omitted, as no rule needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Ident(String),
    /// `::`
    PathSeparator,
    Punctuation(char),
}

impl Token {
    pub fn is_ident(&self, name: &str) -> bool {
        matches!(self, Self::Ident(ident) if ident == name)
    }

    pub fn is(&self, character: char) -> bool {
        *self == Self::Punctuation(character)
    }
}

/// A source file of the crate.
pub struct File {
    /// Relative to `src`, such as `engine/rest/mod.rs`.
    pub path: PathBuf,
    /// The module of this file, from the crate's root: `["engine", "rest"]`.
    pub module: Vec<String>,
    /// The code without items under `#[cfg(test)]`.
    pub tokens: Vec<Token>,
    /// Lines without items under `#[cfg(test)]`.
    pub lines: usize,
}

/// All files of `src` in order of their paths, without test modules, generated code and the two binaries.
pub fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    paths.iter().map(|path| read(&root, path)).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["tests", "bin", "generated"].contains(&name) {
                collect(&path, paths);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            paths.push(path);
        }
    }
}

fn read(root: &Path, path: &Path) -> File {
    let text = std::fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(root).unwrap().to_owned();
    let mut module: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    let (tokens, test_lines) = without_tests(tokenize(&text));
    File { path, module, tokens, lines: text.lines().count() - test_lines }
}

/// The tokens of a file, each with the number of its line.
pub fn tokenize(text: &str) -> Vec<(Token, usize)> {
    let characters: Vec<char> = text.chars().collect();
    let character = |index: usize| characters.get(index).copied().unwrap_or('\0');
    let (mut tokens, mut line, mut index) = (Vec::new(), 1, 0);
    while index < characters.len() {
        let start = index;
        match character(index) {
            '/' if character(index + 1) == '/' => index = skip_while(&characters, index, |c| c != '\n'),
            '/' if character(index + 1) == '*' => index = end_of_comment(&characters, index),
            '"' => index = end_of_string(&characters, index),
            'r' | 'b' | 'c' if prefix_of_string(&characters, index).is_some() => {
                let (quote, hashes) = prefix_of_string(&characters, index).unwrap_or_default();
                let is_raw = characters[index..quote].contains(&'r');
                index = if is_raw { end_of_raw(&characters, quote, hashes) } else { end_of_string(&characters, quote) };
            }
            '\'' => index = end_of_quote(&characters, index),
            c if c.is_alphabetic() || c == '_' => {
                index = skip_while(&characters, index, |c| c.is_alphanumeric() || c == '_');
                tokens.push((Token::Ident(characters[start..index].iter().collect()), line));
            }
            // A number, with its suffix.
            c if c.is_ascii_digit() => index = skip_while(&characters, index, |c| c.is_alphanumeric() || c == '_'),
            ':' if character(index + 1) == ':' => {
                tokens.push((Token::PathSeparator, line));
                index += 2;
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push((Token::Punctuation(c), line));
                }
                index += 1;
            }
        }
        line += characters[start..index.min(characters.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn skip_while(characters: &[char], mut index: usize, accept: impl Fn(char) -> bool) -> usize {
    while characters.get(index).is_some_and(|c| accept(*c)) {
        index += 1;
    }
    index
}

fn end_of_comment(characters: &[char], start: usize) -> usize {
    let (mut depth, mut index) = (0_usize, start);
    while index < characters.len() {
        match characters[index..].get(..2) {
            Some(['/', '*']) => depth += 1,
            Some(['*', '/']) => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            break;
        }
    }
    index
}

fn end_of_string(characters: &[char], quote: usize) -> usize {
    let mut index = quote + 1;
    while index < characters.len() && characters[index] != '"' {
        index += if characters[index] == '\\' { 2 } else { 1 };
    }
    index + 1
}

/// The position of the quote and the number of hashes, if a literal such as `r#"…"#` or `b"…"` begins here.
fn prefix_of_string(characters: &[char], start: usize) -> Option<(usize, usize)> {
    let hashes_at = skip_while(characters, start, |c| matches!(c, 'r' | 'b' | 'c'));
    let quote = skip_while(characters, hashes_at, |c| c == '#');
    let is_string = hashes_at - start <= 2 && characters.get(quote) == Some(&'"');
    is_string.then_some((quote, quote - hashes_at))
}

fn end_of_raw(characters: &[char], quote: usize, hashes: usize) -> usize {
    let mut index = quote + 1;
    while index < characters.len() {
        let end = skip_while(characters, index + 1, |c| c == '#');
        if characters[index] == '"' && end > index + hashes {
            return index + 1 + hashes;
        }
        index += 1;
    }
    index
}

/// The end of a character literal, or of the quote of a lifetime.
fn end_of_quote(characters: &[char], start: usize) -> usize {
    match (characters.get(start + 1), characters.get(start + 2)) {
        (Some('\\'), _) => skip_while(characters, start + 3, |c| c != '\'') + 1,
        (_, Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// Removes each item with the attribute `#[cfg(test)]`. Returns the number of removed lines, too.
fn without_tests(tokens: Vec<(Token, usize)>) -> (Vec<Token>, usize) {
    let (mut code, mut test_lines, mut index) = (Vec::new(), 0, 0);
    while index < tokens.len() {
        if is_test_attribute(&tokens[index..]) {
            let end = end_of_item(&tokens, index);
            test_lines += tokens[end - 1].1 - tokens[index].1 + 1;
            index = end;
        } else {
            code.push(tokens[index].0.clone());
            index += 1;
        }
    }
    (code, test_lines)
}

fn is_test_attribute(tokens: &[(Token, usize)]) -> bool {
    if !(tokens.len() > 3 && tokens[0].0.is('#') && tokens[1].0.is('[') && tokens[2].0.is_ident("cfg")) {
        return false;
    }
    let mut attribute = tokens.iter().take_while(|(token, _)| !token.is(']'));
    let names: Vec<&Token> = attribute.by_ref().map(|(token, _)| token).collect();
    names.iter().any(|token| token.is_ident("test")) && !names.iter().any(|token| token.is_ident("not"))
}

/// The index after an item, which ends with the first `;` or `{…}` outside of brackets.
fn end_of_item(tokens: &[(Token, usize)], start: usize) -> usize {
    let mut depth = 0_usize;
    for (index, (token, _)) in tokens.iter().enumerate().skip(start) {
        match token {
            Token::Punctuation('{' | '(' | '[') => depth += 1,
            Token::Punctuation(closing @ ('}' | ')' | ']')) => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *closing == '}' {
                    // `use a::{b};` ends one token later.
                    let ends_later = tokens.get(index + 1).is_some_and(|(next, _)| next.is(';'));
                    return index + if ends_later { 2 } else { 1 };
                }
            }
            Token::Punctuation(';') if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[test]
fn tokenizer_skips_comments_literals_and_test_code() {
    let text = r##"
        // crate::a
        /* crate::b /* crate::c */ */
        fn f<'a>(x: &'a str) -> char { g("crate::d", r#"crate::"e"#, b"\"", '\'', 'c'); crate::real }
        #[cfg(test)]
        mod tests {
            use crate::f;
        }
        #[cfg(test)]
        use crate::{g, h};
        use super::other;
    "##;
    let (tokens, test_lines) = without_tests(tokenize(text));
    let idents: Vec<&str> = tokens
        .iter()
        .filter_map(|token| if let Token::Ident(ident) = token { Some(ident.as_str()) } else { None })
        .collect();
    assert_eq!(
        idents,
        ["fn", "f", "a", "x", "a", "str", "char", "g", "crate", "real", "use", "super", "other"],
        "{tokens:?}"
    );
    assert_eq!(test_lines, 6);
}
