//! Predicates: CEL expressions that yield a truth value, and the rules of event filters.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::{
    engine::expression::{Output, Program},
    hatchet::wire::canonical_object,
};

/// A compiled predicate.
#[derive(Debug, Clone)]
pub(crate) struct Predicate {
    text: Arc<str>,
    /// `None` for an expression that always holds.
    program: Option<Arc<Program>>,
}

/// The validated scope, expression and payload of a filter.
#[derive(Debug, Clone)]
pub(crate) struct FilterRule {
    pub(crate) scope: Arc<str>,
    /// Evaluated with the event and the payload.
    pub(crate) predicate: Predicate,
    /// A JSON object, which is passed to the expression and to the triggered runs.
    pub(crate) payload: Arc<str>,
    /// The payload as a text that is equal for equal objects.
    canonical_payload: Arc<str>,
}

impl FilterRule {
    pub(crate) fn new(scope: &str, predicate: Predicate, payload: &str) -> Self {
        let payload: Arc<str> = payload.into();
        let canonical = canonical_object(&payload);
        let canonical_payload = if canonical == *payload { payload.clone() } else { canonical.into() };
        Self { scope: scope.into(), predicate, payload, canonical_payload }
    }

    /// The scope, the expression and the payload as an object. A workflow has at most one rule with a key.
    pub(crate) fn unique_key(&self) -> (Arc<str>, Arc<str>, Arc<str>) {
        (self.scope.clone(), self.predicate.text.clone(), self.canonical_payload.clone())
    }

    /// Estimated memory of the texts in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.scope.len() + self.predicate.text.len() + self.payload.len() + self.canonical_payload.len()
    }
}

impl Predicate {
    /// Compiles an expression. As in a real engine, an empty expression always holds. The error is one line.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let is_trivial = matches!(text.trim(), "" | "true");
        let program = if is_trivial { None } else { Some(Arc::new(Program::compile(text)?)) };
        Ok(Self { text: text.into(), program })
    }

    /// The declared expression.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether the predicate holds for these variables. Takes at most a few milliseconds, as an expression that exceeds
    /// its cost limit is an error. As in a real engine, all numbers are doubles.
    pub(crate) fn holds(&self, variables: &[(&str, &Json)]) -> Result<bool, String> {
        let Some(program) = &self.program else { return Ok(true) };
        match program.evaluate(variables)? {
            Output::Bool(holds) => Ok(holds),
            other => Err(format!("it yields {}, not bool", other.type_name())),
        }
    }
}

/// Parses a payload as an object for the variables of an expression. Another value is an empty object.
pub(crate) fn object(json: &str) -> Json {
    match serde_json::from_str(json) {
        Ok(object @ Json::Object(_)) => object,
        Ok(_) | Err(_) => Json::Object(serde_json::Map::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_predicate_always_holds() {
        for text in ["", "true"] {
            assert_eq!(Predicate::compile(text).unwrap().holds(&[]), Ok(true));
        }
    }

    #[cfg(feature = "cel")]
    #[test]
    fn predicate_needs_a_truth_value() {
        let output = object(r#"{"v":2}"#);
        let holds = |text: &str| Predicate::compile(text).unwrap().holds(&[("output", &output)]);
        assert_eq!((holds("output.v > 1"), holds("output.v > 2.5")), (Ok(true), Ok(false)));
        assert!(holds("output.v + 1.0").unwrap_err().contains("not bool"));
        assert!(holds("output.missing > 1").is_err() && Predicate::compile("output.").is_err());
        assert_eq!(object("[1]"), object("{}"));
    }
}
