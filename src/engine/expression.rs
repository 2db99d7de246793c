//! Expressions of the state: CEL programs, or their absence in a build without the cargo feature `cel`.
//!
//! Only this file depends on the feature. Without it no text compiles, so a definition with an expression is refused.

use serde_json::Value as Json;

/// The result of an expression. As in a real engine, a number from JSON is a fraction.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "cel"), expect(dead_code, reason = "no expression has a result without the feature"))]
pub(super) enum Output {
    Bool(bool),
    Text(String),
    Integer(i64),
    Fraction(f64),
    /// A value of another type, by the type's name.
    Other(&'static str),
}

impl Output {
    /// The name of the type in CEL.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Text(_) => "string",
            Self::Integer(_) => "int",
            Self::Fraction(_) => "double",
            Self::Other(name) => name,
        }
    }
}

/// A compiled expression.
#[cfg(feature = "cel")]
#[derive(Debug, Clone)]
pub(super) struct Program(super::cel::Program);

#[cfg(feature = "cel")]
impl Program {
    /// Compiles an expression. The error is one line.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        super::cel::Program::compile(text).map(Self)
    }

    /// The first name in the expression that is neither declared nor a type.
    pub(super) fn undeclared_name(&self, declared: &[&str]) -> Option<&str> {
        self.0.undeclared_name(declared)
    }

    /// Whether the expression uses a variable.
    pub(super) fn uses(&self, variable: &str) -> bool {
        self.0.uses(variable)
    }

    /// Evaluates the expression with these variables. Takes at most a few milliseconds, as an expression that exceeds
    /// its cost limit is an error.
    pub(super) fn evaluate(&self, variables: &[(&str, &Json)]) -> Result<Output, String> {
        use super::cel::Value;
        let variables: Vec<_> = variables.iter().map(|(name, json)| (*name, Value::from_json(json))).collect();
        match self.0.evaluate(&variables) {
            Ok(Value::Bool(value)) => Ok(Output::Bool(value)),
            Ok(Value::Text(text)) => Ok(Output::Text(text.to_string())),
            Ok(Value::Int(number)) => Ok(Output::Integer(number)),
            Ok(Value::Double(number)) => Ok(Output::Fraction(number)),
            Ok(other) => Ok(Output::Other(other.type_name())),
            Err(fault) => Err(fault.reason().to_owned()),
        }
    }
}

/// A type without values.
#[cfg(not(feature = "cel"))]
#[derive(Debug, Clone)]
pub(super) enum Program {}

#[cfg(not(feature = "cel"))]
impl Program {
    /// Always fails: expressions need the feature.
    pub(super) fn compile(_text: &str) -> Result<Self, String> {
        Err("this engine was built without the cargo feature `cel`, which expressions need".into())
    }

    pub(super) fn undeclared_name(&self, _declared: &[&str]) -> Option<&str> {
        match *self {}
    }

    pub(super) fn uses(&self, _variable: &str) -> bool {
        match *self {}
    }

    pub(super) fn evaluate(&self, _variables: &[(&str, &Json)]) -> Result<Output, String> {
        match *self {}
    }
}
