//! An interpreter for CEL (Common Expression Language) whose work is bounded: parsing by the length and the nesting of
//! the text, evaluation by a cost limit and a deadline.
//!
//! Existing evaluators have no such limits, so that a single expression could block the engine: `all` over lists of ten
//! elements, nested eight deep, takes a hundred million steps and fits into 250 characters. An error would not stop
//! such an evaluation, since `&&`, `||`, `all` and `exists` absorb errors; [`Fault::Exhausted`] passes through all of
//! them.
//!
//! The supported subset is the standard library without bytes and without time zones of timestamps: every operator, the
//! macros `has`, `all`, `exists`, `exists_one`, `map` and `filter`, and the functions of [`functions`]. Optional values
//! and messages are not supported. Numbers from JSON are doubles, as in a real engine.
//!
//! An expression is nested at most [`parser::MAX_DEPTH`] deep. A value is nested at most [`parser::MAX_CONTAINERS`]
//! deeper than the input, which serde_json limits to 128 levels. So recursion cannot overflow the stack.
//!
//! | file | contents |
//! |---|---|
//! | `lexer` | splits a text into tokens |
//! | `parser`, `tree` | parses tokens into a syntax tree, macros included |
//! | `names` | finds the names that an expression uses |
//! | `eval`, `budget` | evaluates a tree within a cost limit and a deadline |
//! | `operators`, `functions`, `time` | operations on values |
//! | `value`, `fault` | results and errors |

mod budget;
mod eval;
mod fault;
mod functions;
mod lexer;
mod names;
mod operators;
mod parser;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod value;

use self::budget::Budget;
use self::fault::Fault;
pub(super) use self::value::Value;

/// Longest expression, in characters: the default limit of cel-go and so of a real engine.
const MAX_TEXT: usize = 100_000;

/// A parsed expression.
#[derive(Debug, Clone)]
pub(super) struct Program {
    root: tree::Node,
}

impl Program {
    /// Parses an expression. The error is a single line with the position.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        if text.chars().nth(MAX_TEXT).is_some() {
            return Err(format!("the expression has more than {MAX_TEXT} characters"));
        }
        Ok(Self { root: parser::parse(text)? })
    }

    /// The first name in the expression that is neither declared nor a type.
    pub(super) fn undeclared_name(&self, declared: &[&str]) -> Option<&str> {
        names::undeclared(&self.root, declared)
    }

    /// Whether the expression uses a variable.
    pub(super) fn uses(&self, variable: &str) -> bool {
        names::uses(&self.root, variable)
    }

    /// Evaluates the expression with these variables.
    pub(super) fn evaluate<'a>(&'a self, variables: &[(&'a str, Value<'a>)]) -> Result<Value<'a>, Fault> {
        eval::evaluate(&self.root, variables, &mut Budget::new())
    }
}
