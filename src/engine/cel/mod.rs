//! A CEL interpreter whose work is bounded: parsing by the length and the nesting of the text, evaluation by a cost
//! limit and a deadline.
//!
//! It exists because an evaluator that offers neither lets one expression stop the engine: ten-element lists in `all`,
//! eight deep, are a hundred million steps in 250 characters of text. Errors are no way to stop such an evaluator
//! either, since `&&`, `||`, `all` and `exists` absorb them; a [`Fault::Exhausted`] passes through all of them.
//!
//! The subset is the standard library without bytes, timestamps and durations: every operator, the macros `has`,
//! `all`, `exists`, `exists_one`, `map` and `filter`, and the functions of [`functions`]. It has no optional values and
//! no messages. Numbers from JSON are doubles, as they are with a real engine.
//!
//! An expression is nested at most [`parser::MAX_DEPTH`] deep, and a value at most [`parser::MAX_CONTAINERS`] deeper than
//! its input, which JSON bounds at 128, so that nothing overflows the stack.
//!
//! | step | file |
//! |---|---|
//! | text to tokens | `lexer` |
//! | tokens to a tree, macros included | `parser` |
//! | tree to a value, within a [`Budget`] | `eval` |
//! | operators and functions on values | `operators`, `functions` |

mod budget;
mod eval;
mod functions;
mod lexer;
mod operators;
mod parser;
#[cfg(test)]
mod tests;
mod value;

use self::budget::Budget;
pub(super) use self::value::Value;

/// Longest expression, in characters: cel-go's default limit, which a real engine has.
const MAX_TEXT: usize = 100_000;

/// A parsed expression.
#[derive(Debug)]
pub(super) struct Program {
    root: parser::Node,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// An error of the language, which `&&`, `||`, `all` and `exists` may absorb.
    Error(String),
    /// The cost limit or the deadline was reached. Nothing absorbs it.
    Exhausted(String),
}

impl Fault {
    /// The reason in one line.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Error(reason) | Self::Exhausted(reason) => reason,
        }
    }
}

impl Program {
    /// Parses an expression; the error is one line and says where it is.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        if text.chars().nth(MAX_TEXT).is_some() {
            return Err(format!("the expression has more than {MAX_TEXT} characters"));
        }
        Ok(Self { root: parser::parse(text)? })
    }

    /// The value with these variables.
    pub(super) fn evaluate<'a>(&'a self, variables: &[(&'a str, Value<'a>)]) -> Result<Value<'a>, Fault> {
        eval::evaluate(&self.root, variables, &mut Budget::new())
    }
}
