//! CEL expressions of limits, over the input, the additional metadata and the id of a run.

use serde_json::Value as Json;

use super::predicate::object;
use crate::engine::expression::{Output, Program};

/// The names that an expression may use, as in a real engine.
const NAMES: [&str; 3] = ["input", "additional_metadata", RUN_ID];

/// The name of the id of the run.
const RUN_ID: &str = "workflow_run_id";

/// The result of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Evaluated {
    Text(String),
    /// A number; as in a real engine, a fraction is cut off.
    Number(i64),
}

/// The values of the names, parsed once for all expressions of a run.
#[derive(Debug)]
pub(crate) struct Variables {
    input: Json,
    metadata: Json,
    run_id: Json,
}

impl Variables {
    /// The variables of a run. `input` is a JSON object or `null`, `metadata` a JSON object.
    pub(crate) fn new(input: &str, metadata: &str, run_id: String) -> Self {
        Self { input: object(input), metadata: object(metadata), run_id: run_id.into() }
    }
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub(crate) struct TaskExpression {
    text: String,
    program: Program,
}

impl TaskExpression {
    /// Compiles an expression; the error is one line.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let program = Program::compile(text)?;
        if let Some(name) = program.undeclared_name(&NAMES) {
            return Err(format!("undeclared reference to `{name}`: use {}", NAMES.join(", ")));
        }
        Ok(Self { text: text.to_owned(), program })
    }

    /// Whether the result depends on the id of the run.
    pub(crate) fn uses_run_id(&self) -> bool {
        self.program.uses(RUN_ID)
    }

    /// Evaluates the expression. Takes at most a few milliseconds. An error becomes the error of the task, in a real
    /// engine's form.
    pub(crate) fn evaluate(&self, variables: &Variables) -> Result<Evaluated, String> {
        let Variables { input, metadata, run_id } = variables;
        let values = [(NAMES[0], input), (NAMES[1], metadata), (NAMES[2], run_id)];
        match self.program.evaluate(&values).map_err(|cause| self.error(&cause))? {
            Output::Text(text) => Ok(Evaluated::Text(text)),
            Output::Integer(number) => Ok(Evaluated::Number(number)),
            Output::Fraction(number) => Ok(Evaluated::Number(number as i64)),
            other @ (Output::Bool(_) | Output::Other(_)) => {
                Err(self.error(&format!("output must evaluate to a string or integer: got {}", other.type_name())))
            }
        }
    }

    /// Evaluates an expression that must yield a string; `what` names the value in the error.
    pub(crate) fn text(&self, variables: &Variables, what: &str) -> Result<String, String> {
        match self.evaluate(variables)? {
            Evaluated::Text(text) => Ok(text),
            Evaluated::Number(_) => Err(self.error(&format!("expected string output for {what}, got int"))),
        }
    }

    /// Evaluates an expression that must yield a number; `what` names the value in the error.
    pub(crate) fn number(&self, variables: &Variables, what: &str) -> Result<i64, String> {
        match self.evaluate(variables)? {
            Evaluated::Number(number) => Ok(number),
            Evaluated::Text(_) => Err(self.error(&format!("expected int output for {what}, got string"))),
        }
    }

    fn error(&self, cause: &str) -> String {
        format!("failed to parse step expression ({}): {cause}", self.text)
    }
}

#[cfg(all(test, feature = "cel"))]
mod tests {
    use super::*;

    fn text(expression: &str) -> Result<String, String> {
        let variables = Variables::new(r#"{"k":"x","n":5,"b":true}"#, r#"{"m":"y"}"#, "id".to_owned());
        TaskExpression::compile(expression)?.text(&variables, "concurrency key")
    }

    #[test]
    fn key_is_evaluated_over_the_names_of_a_run() {
        assert_eq!(text("input.k + additional_metadata.m + workflow_run_id"), Ok("xyid".to_owned()));
        assert!(text("'k'.checksum().startsWith('82')").unwrap_err().contains("got bool"));
        assert_eq!(text("string(input.n)"), Ok("5".to_owned()));
    }

    #[test]
    fn evaluation_error_has_form_of_real_engine() {
        let prefix = "failed to parse step expression";
        assert_eq!(text("input.no"), Err(format!("{prefix} (input.no): no such key: no")));
        let error = format!("{prefix} (input.n): expected string output for concurrency key, got int");
        assert_eq!(text("input.n"), Err(error));
        let error = format!("{prefix} (input.b): output must evaluate to a string or integer: got bool");
        assert_eq!(text("input.b"), Err(error));
    }

    #[test]
    fn undeclared_names_are_refused_at_compilation() {
        for expression in ["nope", "parents.a.b", "payload.x", "[1].exists(x, y == x)"] {
            assert!(text(expression).unwrap_err().contains("undeclared reference"), "{expression}");
        }
        assert!(text("['a'].exists(x, x == input.k) ? 'a' : 'b'").is_ok());
    }
}
