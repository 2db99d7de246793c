//! Validates event filters.

use super::{error::Invalid, json};
use crate::engine::state::{FilterRule, predicate::Predicate};

/// The fields of a filter before their validation. `payload` is a JSON text; absent means an empty object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterFields<'a> {
    pub(crate) scope: &'a str,
    pub(crate) expression: &'a str,
    pub(crate) payload: Option<&'a str>,
}

/// Validates a filter. The error has the name of the field and the reason.
pub(super) fn validate_rule(fields: FilterFields<'_>) -> Result<FilterRule, (&'static str, String)> {
    if fields.scope.is_empty() {
        return Err(("scope", "the scope is empty".to_owned()));
    }
    if fields.expression.trim().is_empty() {
        return Err(("expression", "the expression is empty: use `true` for every event of the scope".to_owned()));
    }
    let predicate = Predicate::compile(fields.expression).map_err(|reason| ("expression", reason))?;
    let payload = fields.payload.unwrap_or("{}");
    if !json::is_object(payload) {
        return Err(("payload", "it is not a JSON object".to_owned()));
    }
    Ok(FilterRule::new(fields.scope, predicate, payload))
}

/// Validates a stored filter.
#[cfg(feature = "durable")]
pub(crate) fn validate_stored_filter(scope: &str, expression: &str, payload: &str) -> Result<FilterRule, String> {
    let fields = FilterFields { scope, expression, payload: Some(payload) };
    validate_filter(fields).map_err(Invalid::into_message)
}

/// Compiles an expression that is evaluated once, with the variables of a filter.
pub(crate) fn validate_expression(expression: &str) -> Result<Predicate, String> {
    if expression.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    Predicate::compile(expression)
}

/// Validates a filter of a REST request.
pub(crate) fn validate_filter(fields: FilterFields<'_>) -> Result<FilterRule, Invalid> {
    validate_rule(fields).map_err(|(field, reason)| Invalid::new(format!("invalid {field}: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_invalid_field() {
        let valid = FilterFields { scope: "s", expression: "true", payload: None };
        assert_eq!(&*validate_filter(valid).unwrap().payload, "{}");
        for (field, fields) in [
            ("scope", FilterFields { scope: "", ..valid }),
            ("expression", FilterFields { expression: " ", ..valid }),
            ("expression", FilterFields { expression: "input.a >", ..valid }),
            ("payload", FilterFields { payload: Some("[1]"), ..valid }),
            ("payload", FilterFields { payload: Some("{"), ..valid }),
        ] {
            let message = validate_filter(fields).unwrap_err().into_message();
            assert!(message.starts_with(&format!("invalid {field}: ")), "{message}");
        }
    }
}
