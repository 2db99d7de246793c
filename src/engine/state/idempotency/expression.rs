//! Idempotency expressions: CEL expressions that compute a run's key from its input and metadata.

use serde_json::Value as Json;

use crate::engine::expression::{Output, Program};

/// A compiled expression.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    text: String,
    program: Program,
}

impl Expression {
    /// Compiles an expression; the error is one line.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), program: Program::compile(text)? })
    }

    /// Computes the key of a run. Takes at most a few milliseconds in addition to parsing the input. As in a real
    /// engine, all numbers are doubles.
    pub(crate) fn key(&self, input: &str, metadata: &str) -> Result<String, String> {
        let parse = |json: &str| serde_json::from_str(json).map_err(|e| self.error(&one_line(&e.to_string())));
        let (input, metadata): (Json, Json) = (parse(input)?, parse(metadata)?);
        match self.program.evaluate(&[("input", &input), ("additional_metadata", &metadata)]) {
            Ok(Output::Text(key)) => Ok(key),
            Ok(other) => Err(self.error(&format!("it yields {}, not a string", other.type_name()))),
            Err(cause) => Err(self.error(&cause)),
        }
    }

    fn error(&self, cause: &str) -> String {
        /// Characters of the expression in an error. Limited, since an error is sent in a header of limited size.
        const MAX_CHARS: usize = 500;
        let text: String = self.text.chars().take(MAX_CHARS).collect();
        let ellipsis = if text.len() < self.text.len() { "…" } else { "" };
        format!("the idempotency expression `{text}{ellipsis}` has no key for this run: {cause}")
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(all(test, feature = "cel"))]
mod tests {
    use super::*;

    #[test]
    fn key_is_computed_or_error_names_expression() {
        let key = |text: &str, input: &str| Expression::compile(text).unwrap().key(input, r#"{"m":"x"}"#);
        assert_eq!(key("input.id", r#"{"id":"a"}"#), Ok("a".into()));
        assert_eq!(key("'w:' + string(input.n)", r#"{"n":5}"#), Ok("w:5".into()));
        assert_eq!(key("has(additional_metadata.m) ? additional_metadata.m : ''", "{}"), Ok("x".into()));
        for (text, input) in [("input.id", "{}"), ("input.id", r#"{"id":5}"#), ("input.id", "null"), ("nope", "{}")] {
            let error = key(text, input).unwrap_err();
            assert!(error.contains(text) && !error.contains('\n'), "{error}");
        }
        assert!(Expression::compile("input.").is_err());
    }

    #[test]
    fn long_expression_is_shortened_in_its_error() {
        let text = format!("'{}' == ''", "é".repeat(50_000));
        let error = Expression::compile(&text).unwrap().key("{}", "{}").unwrap_err();
        assert!(error.contains("yields bool") && error.len() < 2000, "{error}");
    }
}
